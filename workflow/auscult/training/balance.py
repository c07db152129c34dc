"""Class balance: weights of rare classes, for the loss or for drawing."""

from __future__ import annotations

import numpy as np

from auscult.config.systems import Head
from auscult.heads.outputs import columns


def class_weights(heads: dict[str, Head], targets: np.ndarray, balanced: bool) -> np.ndarray:
    """(2, outputs): weights of a negative and of a positive, n / (2 × count) when balanced, else 1.

    For a multiclass head the row of positives holds n / (classes × count) and the other is not used.
    """
    weights = np.ones((2, targets.shape[1]), dtype=np.float32)
    if not balanced:
        return weights
    for name, span in columns(heads).items():
        values = targets[:, span]
        values = values[~np.isnan(values[:, 0])]
        counts = np.stack([(values == 0).sum(axis=0), (values == 1).sum(axis=0)]).clip(1)
        classes = values.shape[1] if heads[name].kind == "multiclass" else 2
        weights[:, span] = len(values) / (classes * counts)
    return weights


def draw_weights(heads: dict[str, Head], targets: np.ndarray) -> np.ndarray:
    """(n,) weight of each row when drawing: the mean over the heads of its class's balanced weight."""
    weights = class_weights(heads, targets, balanced=True)
    total = np.zeros(len(targets))
    for name, span in columns(heads).items():
        values = np.nan_to_num(targets[:, span])
        weight = values * weights[1, span]
        if heads[name].kind != "multiclass":
            weight = weight + (1 - values) * weights[0, span]
        total += np.where(np.isnan(targets[:, span][:, 0]), 0, weight.max(axis=1))
    return total / len(heads)
