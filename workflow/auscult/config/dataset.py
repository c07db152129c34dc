"""The section `dataset` of a study file."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from auscult.config.base import Count, Name, Positive, Strict


class Dataset(Strict):
    """The recordings of a study, and the adapter that reads them."""

    name: Name = Field(description="Folder name below `results/datasets` and `results/cache`, which all studies share.")
    adapter: Name = Field(description="File in `workflow/auscult/datasets` that reads the raw release.")
    root: str = Field(description="Folder of the raw release; `--config root=DIR` replaces it.")
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
        description="Whether ids of subjects or cases that differ in writing only (`P01`, `p1`) are different ones; "
        "otherwise such ids stop the study.",
    )
    shards: Count = Field(default=16, description="Number of HDF5 files per cache.")
