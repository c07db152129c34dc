"""The labels whose classes folds keep in proportion."""

from __future__ import annotations

import numpy as np
import pandas as pd

from auscult.config.protocols import Protocol
from auscult.config.targets import TargetClasses
from auscult.folds.planned import FoldError


def stratify_labels(protocol: Protocol, targets: dict[str, TargetClasses]) -> list[str]:
    """Return the label columns whose classes folds keep in proportion: `protocol.stratify`, by default all targets'."""
    stratify = getattr(protocol, "stratify", None)
    return stratify or list(dict.fromkeys(target.label for target in targets.values()))


def stratify_keys(protocol: Protocol, targets: dict[str, TargetClasses], cases: pd.DataFrame) -> np.ndarray:
    """Return one string per case: its labels of the stratified columns, joined by `/`. Raises FoldError."""
    labels = stratify_labels(protocol, targets)
    for label in labels:
        if label not in cases:
            raise FoldError(f"protocol.stratify: the data set has no column {label!r}")
    return cases[labels].map(str).agg("/".join, axis=1).to_numpy()
