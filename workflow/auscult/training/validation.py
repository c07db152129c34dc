"""Validation: how well a network does on the cases that choose an epoch."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from auscult.config.systems import Head, Training
from auscult.heads.outputs import activate, columns
from auscult.heads.pooling import pool
from auscult.metrics import formulas
from auscult.training.device import autocast
from auscult.training.role_data import RoleData


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


def validation_score(probabilities: np.ndarray, targets: np.ndarray, heads: dict[str, Head], by: str) -> float:
    """How good case probabilities (cases, outputs) are; higher is better, the mean over the heads.

    `auroc`; `loss`: the negative balanced log-loss; `balanced_accuracy` at 0.5. A head with one class only scores
    by its loss: there is no AUROC.
    """
    scores = []
    for span in columns(heads).values():
        has_both = ~np.isnan(targets[:, span][:, 0]) & ~np.isnan(probabilities[:, span][:, 0])
        truth, p = targets[has_both, span].astype(int), probabilities[has_both, span]
        if not len(truth):
            continue
        score = np.nan
        if by == "auroc":
            score = float(formulas.macro_auroc(truth, p))
        elif by == "balanced_accuracy":
            score = float(np.nanmean(formulas.uar(formulas.multilabel_counts(truth, (p >= 0.5).astype(int)))))
        if np.isnan(score):
            p = np.clip(p, 1e-7, 1 - 1e-7)
            losses = [-np.log(np.where(t == 1, q, 1 - q)) for t, q in zip(truth.T, p.T, strict=True)]
            score = -float(
                np.mean(
                    [
                        np.mean([loss[t == c].mean() for c in (0, 1) if (t == c).any()])
                        for t, loss in zip(truth.T, losses, strict=True)
                    ]
                )
            )
        scores.append(score)
    return float(np.mean(scores)) if scores else float("nan")
