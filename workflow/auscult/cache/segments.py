"""Segments: fixed-length windows of recordings, as an index over the cache, never a copy."""

from __future__ import annotations

import numpy as np
import pandas as pd

from auscult.config.systems import Segment


def window_frames(segment: Segment, frames_per_second: float) -> tuple[int, int]:
    """Length and hop of a window in frames, each at least 1."""
    return (
        max(1, round(segment.seconds * frames_per_second)),
        max(1, round(segment.hop_s * frames_per_second)),
    )


def segments(recordings: list[str], lengths: np.ndarray, window: int, hop: int) -> pd.DataFrame:
    """All whole windows of the recordings: `recording, start, length` in frames, and `padded`.

    A recording shorter than one window has one, `padded` at its end; `length` is then the recording's own.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    counts = 1 + np.maximum(0, (lengths - window) // hop)
    which = np.repeat(np.arange(len(recordings)), counts)
    first = np.cumsum(counts) - counts
    start = (np.arange(len(which)) - first[which]) * hop
    length = np.minimum(window, lengths[which])
    names = np.asarray(recordings, dtype=object)[which]
    return pd.DataFrame({"recording": names, "start": start, "length": length, "padded": length < window})
