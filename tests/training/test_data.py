"""Windows are slices of the cache, padded at the end, the same in memory and from disk."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.cache.segments import segments
from auscult.cache.store import CacheError, open_cache, write_cache
from auscult.training.data import Windowing, load_frames, random_crops

CPU = torch.device("cpu")
PAD = -4.605170185988091  # a number that float16 cannot hold
LENGTHS = {"a": 25, "b": 7, "c": 12, "d": 40, "e": 1}
CHANNELS, BANDS, WINDOW = 2, 3, 12


def random_frames(row, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, ord(row.recording)])
    return rng.standard_normal((LENGTHS[row.recording], CHANNELS, BANDS)).astype(np.float16)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    table = pd.DataFrame({"recording": list(LENGTHS), "sha256": "x"})
    write_cache(folder, table, partial(random_frames, seed=0), {}, "code", shards=2)
    return open_cache(folder, {})


def frames(cache, resident: bool, names=("d", "b", "a", "e", "c")):
    return load_frames(cache, list(names), Windowing((CHANNELS, WINDOW, BANDS), 5, PAD), CPU, resident)


@pytest.mark.parametrize("resident", [True, False])
def test_windows_are_slices_of_the_cache(cache, resident):
    part = frames(cache, resident)
    recording, start = part.windows()
    x = part.batch(recording, start)
    assert x.shape == (len(recording), CHANNELS, WINDOW, BANDS) and x.dtype == torch.float32
    for window, number, first in zip(x.numpy(), recording.tolist(), start.tolist(), strict=True):
        own = cache.read(part.recordings[number])[first : first + WINDOW]
        assert (window[:, : len(own)] == own.transpose(1, 0, 2)).all()
        assert (window[:, len(own) :] == np.float16(PAD)).all()
    assert part.length.tolist() == [40, 7, 25, 1, 12]


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("shape", [(1, 3), (2, 1), (12, 3), (3, 2)])
def test_frames_of_another_shape_are_refused_not_copied(cache, resident, shape):
    channels, bands = shape
    with pytest.raises(CacheError, match=f"2 channels and 3 bands, the network reads {channels} and {bands}"):
        load_frames(cache, list(LENGTHS), Windowing((channels, WINDOW, bands), 5, PAD), CPU, resident)


def test_resident_and_not_give_identical_batches(cache):
    recording = torch.tensor([4, 0, 1, 1, 3, 2, 0])
    start = torch.tensor([0, 28, 0, 0, 0, 13, 3])
    assert torch.equal(frames(cache, True).batch(recording, start), frames(cache, False).batch(recording, start))


def test_a_window_past_the_end_is_padded_not_filled_with_the_next_recording(cache):
    for resident in (True, False):
        x = frames(cache, resident).batch(torch.tensor([0, 4]), torch.tensor([35, 11]))
        assert (x[0, :, 5:] == np.float16(PAD)).all() and (x[1, :, 1:] == np.float16(PAD)).all()


def test_windows_are_those_of_the_index(cache):
    part = frames(cache, True)
    for to_the_end in (False, True):
        recording, start = part.windows(to_the_end)
        table = segments(part.recordings, part.length.numpy(), WINDOW, 5, to_the_end)
        assert [part.recordings[k] for k in recording] == table["recording"].tolist()
        assert start.tolist() == table["start"].tolist()
        ends = [28] if to_the_end else []
        assert start[recording == 0].tolist() == [0, 5, 10, 15, 20, 25, *ends]
        assert start[recording == 1].tolist() == [0]


def test_every_frame_is_in_a_window_that_is_scored(cache):
    part = frames(cache, True)
    recording, start = part.windows()
    for number, length in enumerate(part.length.tolist()):
        covered = np.zeros(length, dtype=bool)
        for first in start[recording == number].tolist():
            covered[first : first + WINDOW] = True
        assert covered.all()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(1, 20), st.integers(1, 5), st.integers(0, 99))
def test_random_crops_lie_inside(lengths, window, crops, seed):
    lengths = torch.tensor(lengths)
    recording, start = random_crops(lengths, window, crops, torch.Generator().manual_seed(seed))
    assert torch.bincount(recording).tolist() == [crops] * len(lengths)
    assert (start >= 0).all()
    assert (start <= (lengths[recording] - window).clamp(min=0)).all()


def test_random_crops_reach_every_start_alike():
    recording, start = random_crops(torch.tensor([13]), 10, 4000, torch.Generator().manual_seed(0))
    assert torch.bincount(start).tolist() == pytest.approx([1000] * 4, rel=0.1)
    assert (recording == 0).all()
