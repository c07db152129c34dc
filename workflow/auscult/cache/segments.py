"""Segments: windows of fixed length, as a table of positions in the cache; no samples are copied."""

from __future__ import annotations

import numpy as np
import pandas as pd

from auscult.config.systems import Segment


def window_frames(segment: Segment, frames_per_second: float) -> tuple[int, int]:
    """Return length and hop of a window in frames, each at least 1."""
    return (
        max(1, round(segment.seconds * frames_per_second)),
        max(1, round(segment.hop_s * frames_per_second)),
    )


def segments(
    recordings: list[str], lengths: np.ndarray, window: int, hop: int, to_the_end: bool = False
) -> pd.DataFrame:
    """Return all complete windows of the recordings: a table `recording, start, length, padded`, in frames.

    Windows are `hop` apart. to_the_end: where the last of them leaves frames over, one more window ends with the
    recording. A recording shorter than a window has one window, with `padded` true and the recording's length as
    `length`.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    last_start = np.maximum(0, lengths - window)
    counts = 1 + (-(-last_start // hop) if to_the_end else last_start // hop)
    recording_of_window = np.repeat(np.arange(len(recordings)), counts)
    first_window = np.cumsum(counts) - counts
    start = (np.arange(len(recording_of_window)) - first_window[recording_of_window]) * hop
    start = np.minimum(start, last_start[recording_of_window])
    length = np.minimum(window, lengths[recording_of_window])
    names = np.asarray(recordings, dtype=object)[recording_of_window]
    return pd.DataFrame({"recording": names, "start": start, "length": length, "padded": length < window})
