"""Segments compared with a slow loop: every complete window, and one padded window of a short recording."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.cache.segments import segments, window_frames
from auscult.config.systems import Segment


def slow(names: list[str], lengths: list[int], window: int, hop: int) -> list[tuple[str, int, int, bool]]:
    rows = []
    for name, length in zip(names, lengths, strict=True):
        if length < window:
            rows.append((name, 0, length, True))
        start = 0
        while start + window <= length:
            rows.append((name, start, window, False))
            start += hop
    return rows


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), max_size=8), st.integers(1, 20), st.integers(1, 25))
def test_segments_are_all_complete_windows(lengths: list[int], window: int, hop: int) -> None:
    names = [f"r{i}" for i in range(len(lengths))]
    table = segments(names, np.array(lengths, dtype=np.int64), window, hop)
    assert list(table.columns) == ["recording", "start", "length", "padded"]
    assert [tuple(row) for row in table.itertuples(index=False)] == slow(names, lengths, window, hop)


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), max_size=8), st.integers(1, 20), st.integers(1, 25))
def test_windows_to_the_end_add_one_where_frames_are_left(lengths: list[int], window: int, hop: int) -> None:
    names = [f"r{i}" for i in range(len(lengths))]
    table = segments(names, np.array(lengths, dtype=np.int64), window, hop, to_the_end=True)
    expected = []
    for name, length in zip(names, lengths, strict=True):
        rows = slow([name], [length], window, hop)
        if rows[-1][1] + rows[-1][2] < length:
            rows.append((name, length - window, window, False))
        expected += rows
    assert [tuple(row) for row in table.itertuples(index=False)] == expected


def test_short_recordings_are_padded_not_dropped() -> None:
    table = segments(["a", "b", "c", "d"], np.array([399, 400, 499, 500]), 400, 100)
    rows = [tuple(row) for row in table.itertuples(index=False)]
    complete_windows = [("b", 0), ("c", 0), ("d", 0), ("d", 100)]
    assert rows == [("a", 0, 399, True), *((name, start, 400, False) for name, start in complete_windows)]


def test_no_recordings() -> None:
    assert segments([], [], 4, 2).empty


@pytest.mark.parametrize(("samples", "windows"), [(16060, 1), (20059, 1), (20060, 2), (80000, 16), (258048, 61)])
def test_windows_of_the_reference(samples: int, windows: int) -> None:
    """25-ms frames every 10 ms at 4 kHz, windows of 4 s every second."""
    window, hop = window_frames(Segment(seconds=4.0, hop_s=1.0), 100.0)
    assert (window, hop) == (400, 100)
    frames = 1 + (samples - 100) // 40
    assert len(segments(["x"], np.array([frames]), window, hop)) == windows


@pytest.mark.parametrize(
    ("seconds", "hop_s", "rate", "expected"),
    [(4.0, 1.0, 62.5, (250, 62)), (0.001, 0.001, 100.0, (1, 1)), (2.5, 10.0, 100.0, (250, 1000))],
)
def test_windows_in_frames(seconds: float, hop_s: float, rate: float, expected: tuple[int, int]) -> None:
    assert window_frames(Segment(seconds=seconds, hop_s=hop_s), rate) == expected
