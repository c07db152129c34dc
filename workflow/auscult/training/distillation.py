"""Distillation: the divergence between a student's outputs and its teacher's.

`binary` is the loss for several labels of MVKT-ECG (Qin et al. 2023): half the sum of the divergences of the single
outputs. The softmax over the outputs is that of Hinton et al. 2015, and of MVMS-Net.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from auscult.config.systems import Head, Teacher
from auscult.heads.outputs import columns


def softened(logits: torch.Tensor, heads: dict[str, Head], teacher: Teacher) -> torch.Tensor:
    """A teacher's logits (n, outputs) to the probabilities that `divergence` compares."""
    logits = logits / teacher.temperature
    p = logits.sigmoid()
    for name, span in columns(heads).items():
        if _is_softmax(heads[name], teacher):
            p[:, span] = logits[:, span].softmax(dim=1)
    return p


def divergence(logits: torch.Tensor, p: torch.Tensor, heads: dict[str, Head], teacher: Teacher) -> torch.Tensor:
    """Mean over heads and rows of the divergence of a student's outputs from its teacher's, a scalar of at least 0.

    logits: the student's, (batch, outputs). p: the teacher's, of `softened`, (batch, outputs).
    """
    losses = []
    for name, span in columns(heads).items():
        z, t = logits[:, span] / teacher.temperature, p[:, span]
        if _is_softmax(heads[name], teacher):
            loss = _weighted_log_ratio(t, functional.log_softmax(z, dim=1)).sum(dim=1)
        else:
            positive = _weighted_log_ratio(t, functional.logsigmoid(z))
            loss = 0.5 * (positive + _weighted_log_ratio(1 - t, functional.logsigmoid(-z))).sum(dim=1)
        losses.append(loss.mean())
    return teacher.temperature**2 * torch.stack(losses).mean()


def _is_softmax(head: Head, teacher: Teacher) -> bool:
    return head.kind == "multiclass" or (teacher.loss == "softmax" and head.outputs > 1)


def _weighted_log_ratio(t: torch.Tensor, log_p: torch.Tensor) -> torch.Tensor:
    """t log(t / p), 0 where t is 0."""
    return torch.xlogy(t, t) - t * log_p
