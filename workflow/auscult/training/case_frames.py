"""The frames of cases: those of all recordings of a case one after another, each marked with its recording's site.

A network that reads cases gets windows of them (`segment.of: case`). After the values of the front end, a frame has a
value for each site, 1 for the site of its recording, and as its last value 1; all of them are 0 in the padding.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from auscult.cache.store import Cache
from auscult.training.data import Frames, Windowing, load_frames


def sites_of(recordings: pd.DataFrame) -> tuple[str, ...]:
    """The sites of recordings in alphabetical order."""
    return tuple(sorted(set(recordings["site"]) - {""}))


def network_frames(
    cache: Cache, recordings: pd.DataFrame, windowing: Windowing, device: torch.device, resident: bool
) -> Frames:
    """The frames of recordings, or of their cases where the windows are of cases; see `data.load_frames`.

    recordings: `recording, case, site`. What `Frames` calls recordings are then cases, in alphabetical order.
    """
    if windowing.sites is None:
        return load_frames(cache, recordings["recording"].tolist(), windowing, device, resident)
    return _case_frames(cache, recordings.sort_values(["case", "site", "recording"]), windowing, device)


def _case_frames(cache: Cache, recordings: pd.DataFrame, windowing: Windowing, device: torch.device) -> Frames:
    """Frames of cases in memory; recordings: sorted by case."""
    channels, window, values = windowing.shape
    bands = values - windowing.added
    alone = replace(windowing, shape=(channels, window, bands), sites=None)
    frames = load_frames(cache, recordings["recording"].tolist(), alone, torch.device("cpu"), True)
    lengths = frames.length.numpy()
    marks = np.zeros((len(frames.values), windowing.added), dtype=np.float16)
    marks[:-1, -1] = 1  # the last row is the padding
    site_of_frame = np.repeat(recordings["site"].to_numpy(dtype=object), lengths)
    for number, site in enumerate(windowing.sites):
        marks[:-1, number] = site_of_frame == site
    by_channel = frames.values.numpy().reshape(-1, channels, bands)
    marks = np.broadcast_to(marks[:, None], (len(marks), channels, windowing.added))
    rows = np.concatenate([by_channel, marks], axis=2).reshape(len(marks), channels * values)
    of_case = pd.Series(lengths).groupby(recordings["case"].to_numpy(dtype=object)).sum()
    ends = np.cumsum(of_case.to_numpy())
    return Frames(
        of_case.index.tolist(),
        windowing,
        torch.tensor(ends - of_case.to_numpy(), device=device),
        torch.tensor(of_case.to_numpy(), device=device),
        torch.from_numpy(rows).to(device),
        cache,
        device,
    )
