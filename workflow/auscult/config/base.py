"""Base class and value types of all models of the configuration."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

NAME = r"^[a-z][a-z0-9_]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=100)]
Fraction = Annotated[float, Field(ge=1e-6, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Few = Annotated[int, Field(ge=1, le=1000)]
Folds = Annotated[int, Field(ge=2, le=1000)]
Seconds = Annotated[float, Field(ge=0.001, le=86_400)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


def _without_duplicates(values: list) -> list:
    if duplicates := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"{duplicates[0]!r} is named twice")
    return values


Unique = AfterValidator(_without_duplicates)


def _cell_of_a_table(name: str) -> str:
    """Return a class name. Raises ValueError for one that no cell of a table can have as its label."""
    if not name:
        raise ValueError("an empty cell means that a case has no label; give this class a name in the data")
    if "|" in name:
        raise ValueError(f"{name!r}: `|` separates several labels of one cell; write the class without it in the data")
    if name != name.strip():
        raise ValueError(f"{name!r}: blanks around a cell are no part of it; leave them out here")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise ValueError(f"{name!r}: has a control character; write the class without it in the data")
    return name


def _label_column(name: str) -> str:
    """Return a column's name. Raises ValueError for a column of the folds, which a label cannot stand beside."""
    if name in ("case", "role"):
        raise ValueError(f"{name!r} is a column of the folds; give the label column another name in the data")
    return name


LabelColumn = Annotated[str, AfterValidator(_label_column)]
"""Name of a column of cases.csv with labels."""

ClassName = Annotated[str, AfterValidator(_cell_of_a_table)]
"""Any text that can be one label of a cell."""


class Strict(BaseModel):
    """Base of all models. Unknown keys, infinity and NaN are refused; values cannot be changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
