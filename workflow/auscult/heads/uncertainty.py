"""Uncertainty of stochastic passes: variance, entropies and mutual information, per head."""

from __future__ import annotations

import numpy as np

from auscult.config.systems import Head
from auscult.heads.outputs import columns


def entropy(p: np.ndarray, kind: str) -> np.ndarray:
    """Entropy in nats over the last axis: of the classes (multiclass), else the sum over independent yes/no outputs."""
    p = np.clip(p, 1e-12, 1.0)
    if kind == "multiclass":
        return -(p * np.log(p)).sum(axis=-1)
    q = np.clip(1 - p, 1e-12, 1.0)
    return -(p * np.log(p) + q * np.log(q)).sum(axis=-1)


def measures(passes: np.ndarray, heads: dict[str, Head], weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Measures over the passes of (n, passes, outputs) probabilities; `weights` (n, passes) where they count unlike.

    `mean` and `variance` (n, outputs), variance with the divisor `passes`; entropies in nats (n, heads):
    `predictive_entropy` of the mean, `expected_entropy` = mean over the passes, and their difference, which is the
    mutual information between prediction and weights (never below 0).
    """
    weights = np.ones(passes.shape[:2]) if weights is None else weights
    share = weights / weights.sum(axis=1, keepdims=True)
    mean = np.einsum("npo,np->no", passes, share)
    predictive, expected = [], []
    for name, span in columns(heads).items():
        predictive.append(entropy(mean[:, span], heads[name].kind))
        expected.append((entropy(passes[..., span], heads[name].kind) * share).sum(axis=1))
    predictive, expected = np.stack(predictive, axis=-1), np.stack(expected, axis=-1)
    return {
        "mean": mean,
        "variance": np.einsum("npo,np->no", (passes - mean[:, None]) ** 2, share),
        "predictive_entropy": predictive,
        "expected_entropy": expected,
        "mutual_information": np.maximum(predictive - expected, 0.0),
    }
