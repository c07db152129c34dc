"""Which recordings a study reads."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from auscult.config.base import Count, Name, Positive, Strict


class Dataset(Strict):
    """Which recordings, read by which adapter."""

    name: Name = Field(description="Folder under `results/datasets` and `results/cache`; shared by all studies.")
    adapter: Name = Field(description="File in `workflow/auscult/datasets` that reads the raw release.")
    root: str = Field(description="Folder of the raw release; `--config root=DIR` points to a copy.")
    options: dict[str, Any] = Field(default={}, description="Options of the adapter.")
    rate_hz: Count = Field(default=4000, description="Every recording is resampled to this rate once.")
    channels: Literal["mean", "all"] = Field(
        default="mean", description="`mean`: channels are averaged to one; `all`: every channel is kept."
    )
    sample_format: Literal["int16", "float32"] = Field(
        default="int16", description="How samples are cached; `float32` for signals that are not within ±1."
    )
    short_s: Positive = Field(default=4.0, description="Shorter recordings get a row `short` in quality.csv.")
    shards: Count = Field(default=16, description="HDF5 files per cache.")
