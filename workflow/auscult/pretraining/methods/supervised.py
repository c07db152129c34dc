"""Labels of other data sets: the encoder learns them with heads that are then thrown away. Any network fits.

A data set without the column of a head teaches it nothing, so that data sets with different labels can be learnt
together.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from auscult.config.base import Name
from auscult.config.systems import Head
from auscult.heads.outputs import columns


class Options(BaseModel):
    """The labels to learn."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    heads: dict[Name, Head] = Field(min_length=1, description="Heads by name, as in `tasks`.")


def check(heads: dict[str, Head], targets: np.ndarray) -> None:
    """Raise ValueError for a head of which all recordings have the same label, or none, or one that is no class of it.

    targets: (recordings, outputs), NaN where there is no label.
    """
    for name, span in columns(heads).items():
        head, values = heads[name], targets[:, span]
        column = head.train_on.column if head.train_on else head.label
        values = values[~np.isnan(values).any(axis=1)]
        if not len(values):
            raise ValueError(f"heads.{name}: no recording of these data sets has a label in the column {column!r}")
        if head.kind == "multiclass" and (values.sum(axis=1) != 1).any():
            raise ValueError(
                f"heads.{name}: the column {column!r} has cells that are not one of {head.classes}; name all its "
                "words, or set kind: multilabel"
            )
        if (values == values[0]).all():
            raise ValueError(
                f"heads.{name}: all {len(values)} labelled recordings are of one class; compare the words in the "
                f"column {column!r} with {'positive' if head.kind == 'binary' else 'classes'} here"
            )
