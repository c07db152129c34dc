"""Labels as tables write them, and as numbers: a class name per cell, or several joined by `|`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def class_numbers(cells: Sequence[str], classes: list[str]) -> np.ndarray:
    """Class numbers (n,) of cells with one class each. Raises KeyError for a cell that is none of the classes."""
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers[cell] for cell in cells], dtype=int)


def class_sets(cells: Sequence[str], classes: list[str]) -> np.ndarray:
    """0 and 1 (n, classes) of cells with any number of classes; an empty cell has none."""
    rows = [[name in cell.split("|") for name in classes] for cell in cells]
    return np.array(rows, dtype=int).reshape(-1, len(classes))


def has_any(cells: Sequence[str], classes: list[str]) -> np.ndarray:
    """Whether each cell (n,) has one of the classes, alone or among others."""
    return class_sets(cells, classes).any(axis=1)


def encode(cells: Sequence[str], classes: list[str], kind: str) -> np.ndarray:
    """`class_sets` of a multilabel target, else `class_numbers`; no cell may be unlabelled."""
    return class_sets(cells, classes) if kind == "multilabel" else class_numbers(cells, classes)


def decode(numbers: np.ndarray, classes: list[str]) -> list[str]:
    """The cells of class numbers (n,), or of 0 and 1 (n, classes)."""
    names = np.array(classes, dtype=object)
    if numbers.ndim == 1:
        return names[numbers].tolist()
    return ["|".join(names[row.astype(bool)]) for row in numbers]
