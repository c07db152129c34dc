"""From logits to probabilities, from parts to wholes, and the validation score that chooses an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from auscult.config.systems import Head
from auscult.evaluation import metrics
from auscult.training.targets import columns

if TYPE_CHECKING:
    import torch  # slow to load, and not needed to pool


def activate(logits: torch.Tensor, heads: dict[str, Head]) -> torch.Tensor:
    """Logits (…, outputs) to probabilities: softmax over a multiclass head, else sigmoid."""
    out = logits.sigmoid()
    for name, span in columns(heads).items():
        if heads[name].kind == "multiclass":
            out[..., span] = logits[..., span].softmax(dim=-1)
    return out


def pool(values: np.ndarray, owner: np.ndarray, owners: int, how: str, k: int) -> np.ndarray:
    """Probabilities of parts (n, …) to those of their `owners` (owners, …).

    `owner` (n,) numbers the whole that each part belongs to. `mean`; `min`; `max`; `top_k`: mean of the k largest;
    `noisy_or`: 1 − ∏(1 − p). A whole without parts is NaN.
    """
    order = np.argsort(owner, kind="stable")
    values, owner = values[order].astype(np.float64), owner[order]
    counts = np.bincount(owner, minlength=owners)
    out = np.full((owners, *values.shape[1:]), np.nan)
    filled = counts > 0
    if not filled.any():
        return out
    starts = (np.cumsum(counts) - counts)[filled]
    share = counts[filled].reshape(-1, *[1] * (values.ndim - 1))
    if how == "mean":
        out[filled] = np.add.reduceat(values, starts, axis=0) / share
    elif how == "min":
        out[filled] = np.minimum.reduceat(values, starts, axis=0)
    elif how == "max":
        out[filled] = np.maximum.reduceat(values, starts, axis=0)
    elif how == "noisy_or":
        rest = np.add.reduceat(np.log1p(-np.clip(values, 0, 1 - 1e-9)), starts, axis=0)
        out[filled] = -np.expm1(rest)
    else:
        for number, start in zip(np.flatnonzero(filled), starts, strict=True):
            part = np.sort(values[start : start + counts[number]], axis=0)
            out[number] = part[-k:].mean(axis=0)
    return out


def validation_score(probabilities: np.ndarray, targets: np.ndarray, heads: dict[str, Head], by: str) -> float:
    """How good case probabilities (cases, outputs) are; higher is better, the mean over the heads.

    `auroc`; `loss`: the negative balanced log-loss; `balanced_accuracy` at 0.5. A head with one class only scores
    by its loss: there is no AUROC.
    """
    scores = []
    for span in columns(heads).values():
        known = ~np.isnan(targets[:, span][:, 0]) & ~np.isnan(probabilities[:, span][:, 0])
        truth, p = targets[known, span].astype(int), probabilities[known, span]
        if not len(truth):
            continue
        score = np.nan
        if by == "auroc":
            score = float(metrics.macro_auroc(truth, p))
        elif by == "balanced_accuracy":
            score = float(np.nanmean(metrics.uar(metrics.multilabel_counts(truth, (p >= 0.5).astype(int)))))
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
