"""The validation score that chooses an epoch."""

from __future__ import annotations

import numpy as np

from auscult.config.systems import Head
from auscult.heads.outputs import columns
from auscult.metrics import formulas


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
