"""The sections `dataset` and `extra_training` of a study file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from auscult.config.base import ClassName, Count, Few, Name, Positive, Strict

if TYPE_CHECKING:
    from pandas import Series

LOCAL_IDS = ("folder", "simulate")
"""Adapters of which two data sets may give different subjects the same id."""


class Dataset(Strict):
    """The recordings of a study, and the adapter that reads them."""

    name: Name = Field(description="Folder name below `results/datasets` and `results/cache`, which all studies share.")
    adapter: Name = Field(description="File in `workflow/auscult/datasets` that reads the raw release.")
    root: str = Field(pattern=r"^[^\x00]*$", description="Folder of the raw release; `--config root=DIR` replaces it.")
    options: dict[str, Any] = Field(default={}, description="Options of the adapter.")
    rate_hz: Count = Field(default=4000, description="Sampling rate to which every recording is resampled, once.")
    channels: Literal["mean", "all"] = Field(
        default="mean", description="`mean`: channels are averaged to one; `all`: every channel is kept."
    )
    sample_format: Literal["int16", "float32"] = Field(
        default="int16", description="Format of the cached samples; use `float32` for signals outside ±1."
    )
    short_s: Positive = Field(default=4.0, description="Recordings shorter than this get a row `short` in quality.csv.")
    distinct_ids: bool = Field(
        default=False,
        description="Whether ids of subjects, cases or groups that differ in writing only (`P01`, `p1`) are different "
        "ones; otherwise such ids stop the study.",
    )
    shards: Few = Field(default=16, description="Number of HDF5 files per cache.")

    def has_ids_of(self, other: Dataset) -> bool:
        """Return whether an id means the same subject in both data sets: they are parts of one release."""
        return self.adapter == other.adapter and self.adapter not in LOCAL_IDS


class OtherLabel(Strict):
    """A label of another data set in words of the study."""

    column: str = Field(description="Label column of that data set.")
    words: dict[str, ClassName] = Field(
        min_length=1,
        description="Its words, and what they mean in the study, as {abnormal: Present, normal: Absent}; a case with "
        "none of them has no label. `none` means none of the classes of a multilabel target or head.",
    )

    def read(self, cells: Series, several: bool) -> Series:
        """Return cells of the column in words of the study, '' where they have none.

        several: whether a case may have several words, joined by `|`; otherwise one with several has no label.
        """
        return cells.map(lambda cell: self._read_cell(cell, several))

    def _read_cell(self, cell: str, several: bool) -> str:
        words = dict.fromkeys(self.words[word] for word in cell.split("|") if word in self.words)
        words = [word for word in words if word != "none" or len(words) == 1]
        return "|".join(words) if several or len(words) == 1 else ""


class ExtraTraining(Strict):
    """A data set whose cases join the training cases of every fold and inner fold, and no other role."""

    dataset: Dataset
    heads: dict[Name, OtherLabel] = Field(
        min_length=1, description="Heads of the study's tasks that learn from it; to the others it says nothing."
    )
