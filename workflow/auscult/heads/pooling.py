"""Pooling: probabilities of windows to those of recordings, and of recordings to those of cases."""

from __future__ import annotations

import numpy as np

from auscult.config.systems import Head, Pool
from auscult.heads.outputs import columns


def pool(values: np.ndarray, owner: np.ndarray, owners: int, how: str, k: int) -> np.ndarray:
    """Probabilities of parts (n, …) to those of their `owners` (owners, …).

    `owner` (n,) numbers the whole that each part belongs to. `mean`; `min`; `max`; `top_k`: mean of the k largest;
    `noisy_or`: 1 − ∏(1 − p). A whole without parts is NaN.
    """
    order = np.argsort(owner, kind="stable")
    values, owner = values[order].astype(np.float64), owner[order]
    counts = np.bincount(owner, minlength=owners)
    out = np.full((owners, *values.shape[1:]), np.nan)
    has_values = counts > 0
    if not has_values.any():
        return out
    starts = (np.cumsum(counts) - counts)[has_values]
    share = counts[has_values].reshape(-1, *[1] * (values.ndim - 1))
    if how == "mean":
        out[has_values] = np.add.reduceat(values, starts, axis=0) / share
    elif how == "min":
        out[has_values] = np.minimum.reduceat(values, starts, axis=0)
    elif how == "max":
        out[has_values] = np.maximum.reduceat(values, starts, axis=0)
    elif how == "noisy_or":
        rest = np.add.reduceat(np.log1p(-np.clip(values, 0, 1 - 1e-9)), starts, axis=0)
        out[has_values] = -np.expm1(rest)
    else:
        for number, start in zip(np.flatnonzero(has_values), starts, strict=True):
            part = np.sort(values[start : start + counts[number]], axis=0)
            out[number] = part[-k:].mean(axis=0)
    return out


def pool_heads(
    values: np.ndarray,
    owner: np.ndarray,
    owners: int,
    heads: dict[str, Head],
    pools: dict[str, Pool],
    level: str,
) -> np.ndarray:
    """`pool` with each head's own rule; `level` is `segments` or `recordings`. Last axis of `values`: outputs."""
    parts = []
    for name, span in columns(heads).items():
        rule = pools.get(name, Pool())
        of_head = pool(values[..., span], owner, owners, getattr(rule, level), rule.k)
        if heads[name].kind == "multiclass":
            of_head = np.maximum(of_head, 1e-12)  # the least of every class may be 0
            of_head /= of_head.sum(axis=-1, keepdims=True)
        parts.append(of_head)
    return np.concatenate(parts, axis=-1)
