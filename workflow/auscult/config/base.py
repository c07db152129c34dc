"""Base class and value types of all models of the configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

NAME = r"^[a-z][a-z0-9_]*$"
Name = Annotated[str, Field(pattern=NAME)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


def _without_duplicates(values: list) -> list:
    if duplicates := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"{duplicates[0]!r} is named twice")
    return values


Unique = AfterValidator(_without_duplicates)


class Strict(BaseModel):
    """Base of all models. Unknown keys, infinity and NaN are refused; values cannot be changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
