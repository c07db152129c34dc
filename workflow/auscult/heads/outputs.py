"""Output columns of a network: which belong to which head, their names, probabilities, and those of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from auscult.config.systems import Head
from auscult.config.targets import TargetClasses

if TYPE_CHECKING:
    import torch  # slow to load, and only needed by what has a tensor already


def columns(heads: dict[str, Head]) -> dict[str, slice]:
    """Which output columns belong to which head, in the order of the heads."""
    ends = np.cumsum([head.outputs for head in heads.values()])
    return {
        name: slice(int(end) - head.outputs, int(end)) for (name, head), end in zip(heads.items(), ends, strict=True)
    }


def output_names(heads: dict[str, Head]) -> list[str]:
    """A name per output column: the head, with `_class` where the head has classes."""
    return [f"{name}_{c}" if c else name for name, head in heads.items() for c in (head.classes or [""])]


def class_columns(classes: list[str], target: str | None = None) -> list[str]:
    """Columns of a table that hold probabilities of a target's classes.

    `p_<class>` where a table has a row per target; `<target>:<class>` where targets stand side by side (`aggregate`).
    """
    return [f"p_{c}" if target is None else f"{target}:{c}" for c in classes]


def activate(logits: torch.Tensor, heads: dict[str, Head]) -> torch.Tensor:
    """Logits (…, outputs) to probabilities: softmax over a multiclass head, else sigmoid."""
    out = logits.sigmoid()
    for name, span in columns(heads).items():
        if heads[name].kind == "multiclass":
            out[..., span] = logits[..., span].softmax(dim=-1)
    return out


def class_probabilities(target: TargetClasses, heads: dict[str, Head], p: np.ndarray) -> np.ndarray:
    """Probabilities of the heads (n, outputs) to those of the target's classes (n, classes).

    A multiclass or multilabel head gives its own. Binary heads form a chain: the first class has p₁, the second
    (1 − p₁) p₂, …, the last the remainder (Walker et al. 2022).
    """
    spans = columns(heads)
    if heads[target.heads[0]].kind != "binary":
        return p[:, spans[target.heads[0]]]
    remainder, probabilities = np.ones(len(p)), []
    for name in target.heads:
        q = p[:, spans[name].start]
        probabilities.append(remainder * q)
        remainder = remainder * (1 - q)
    return np.stack([*probabilities, remainder], axis=1)
