"""Validation: how well a network does on the cases that choose an epoch."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from auscult.config.systems import Head, Training
from auscult.heads.outputs import activate
from auscult.heads.pooling import pool
from auscult.training.device import autocast
from auscult.training.role_data import RoleData
from auscult.training.scoring import validation_score


@torch.no_grad()
def validate(network: nn.Module, data: RoleData, heads: dict[str, Head], settings: Training) -> float:
    """Score of cases by the measure `settings.select` (see `validation_score`); -inf when it is undefined.

    Without dropout; a case has the plain mean over its recordings, and those over their windows.
    """
    network.eval()
    recording, start = data.frames.windows()
    probabilities = []
    for batch in torch.split(torch.arange(len(recording)), 4 * settings.batch):
        with autocast(data.frames.device, settings.precision):
            logits, _ = network(data.frames.batch(recording[batch], start[batch]))
        probabilities.append(activate(logits.float(), heads).cpu().numpy())
    by_recording = pool(np.concatenate(probabilities), recording.numpy(), len(data.frames.recordings), "mean", 1)
    by_case = pool(by_recording, data.case_of, len(data.case_targets), "mean", 1)
    score = validation_score(by_case, data.case_targets, heads, settings.select)
    return score if math.isfinite(score) else -math.inf
