"""Beats: planted ones are found at their times, excerpts against slices, and absent beats, which change nothing."""

import random

import pytest
import torch

from auscult.networks.layers.beats import BeatFeatures, excerpts, intervals, peaks, spread


def planted(seed: int, rate_hz: float = 100, seconds: float = 8) -> tuple[torch.Tensor, list[int], float]:
    """An ECG (1, 3, frames) of QRS and T waves, the frames of its R peaks, and the seconds between them."""
    chance = random.Random(seed)
    period, first = chance.uniform(0.45, 1.4), chance.uniform(0.3, 0.8)
    times = torch.arange(round(seconds * rate_hz)) / rate_hz
    gains = torch.tensor([[chance.choice([-1, 1]) * chance.uniform(0.5, 2)] for _ in range(3)])
    x, at = torch.zeros(3, len(times)), []
    while first + period * len(at) < seconds - 0.4:
        at.append(first + period * len(at))
        x += gains * (
            torch.exp(-(((times - at[-1]) / 0.02) ** 2)) + 0.3 * torch.exp(-(((times - at[-1] - 0.25) / 0.06) ** 2))
        )
    return x[None], [round(k * rate_hz) for k in at], period


@pytest.mark.parametrize("rate_hz", [100, 250])
@pytest.mark.parametrize("seed", range(10))
def test_planted_beats_are_found_and_their_rate_is_known(seed, rate_hz):
    x, at, period = planted(seed, rate_hz)
    positions, is_beat = peaks(x + 5, rate_hz, 24)
    found = positions[is_beat].tolist()
    assert len(found) == len(at)
    assert all(abs(a - b) <= 0.04 * rate_hz for a, b in zip(found, at, strict=True))
    between = intervals(positions, x.shape[2], rate_hz)[0, 1 : len(at), 0]
    torch.testing.assert_close(between, torch.full_like(between, period), rtol=0, atol=0.031)


@pytest.mark.parametrize("seed", range(10))
def test_of_too_many_beats_the_strongest_remain_in_order_of_time(seed):
    chance = random.Random(seed)
    strengths = [1 + 0.1 * k for k in range(10)]
    chance.shuffle(strengths)
    x = torch.zeros(1, 1, 1000)
    for number, strength in enumerate(strengths):
        x[0, 0, 50 + 100 * number] = strength
    positions, is_beat = peaks(x, 100, 4)
    strongest = sorted(sorted(range(10), key=lambda number: -strengths[number])[:4])
    assert is_beat.all() and [round((k - 50) / 100) for k in positions[0].tolist()] == strongest


@pytest.mark.parametrize("seed", range(10))
def test_any_window_has_beats_that_are_apart(seed):
    chance = random.Random(seed)
    frames, count = chance.randint(1, 400), chance.randint(1, 20)
    x = torch.randn(4, 2, frames, generator=torch.Generator().manual_seed(seed))
    positions, is_beat = peaks(x, 100, count)
    assert positions.shape == is_beat.shape == (4, count) and is_beat[:, 0].all()
    assert (positions[~is_beat] == frames).all() and (positions[is_beat] < frames).all()
    assert all((found[mask].diff() > 15).all() for found, mask in zip(positions, is_beat, strict=True))


def test_a_window_without_change_has_a_beat_in_its_first_frame():
    for frames in (1, 2, 300):
        positions, is_beat = peaks(torch.full((1, 2, frames), 3.0), 100, 5)
        assert positions.tolist() == [[0, *[frames] * 4]] and is_beat.sum() == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_shifted_recording_has_shifted_beats(seed):
    x = planted(seed)[0]
    shift = random.Random(seed).randint(1, 20)
    positions, is_beat = peaks(x, 100, 24)
    shifted, _ = peaks(torch.cat([x.new_zeros(1, 3, shift), x], dim=2)[..., : x.shape[2]], 100, 24)
    assert torch.equal(positions[is_beat] + shift, shifted[is_beat])


@pytest.mark.parametrize("seed", range(5))
def test_intervals_fill_the_window_and_do_not_vanish(seed):
    x = torch.randn(6, 2, 300, generator=torch.Generator().manual_seed(seed))
    positions, is_beat = peaks(x, 100, 7)
    seconds = intervals(positions, 300, 100)
    torch.testing.assert_close(seconds[..., 0].sum(dim=1) + seconds[:, -1, 1], torch.full((6,), 3.0))
    assert (seconds >= 0).all() and (seconds.sum(dim=2)[is_beat] > 0).all()
    torch.testing.assert_close(seconds[:, 1:, 0], seconds[:, :-1, 1])


@pytest.mark.parametrize("seed", range(10))
def test_excerpts_are_slices_with_zeros_beyond_the_edges(seed):
    chance = random.Random(seed)
    frames = chance.randint(1, 200)
    x = torch.randn(2, 3, frames, generator=torch.Generator().manual_seed(seed))
    positions = torch.tensor([[chance.randint(0, frames) for _ in range(4)] for _ in range(2)])
    beats = excerpts(x, positions, 100)
    assert beats.shape == (2, 4, 3, 64)
    padded = torch.cat([x.new_zeros(2, 3, 100), x, x.new_zeros(2, 3, 100)], dim=2)
    for row in range(2):
        for number, at in enumerate(positions[row].tolist()):
            assert torch.equal(beats[row, number], padded[row, :, 100 + at - 25 : 100 + at + 39])


@pytest.mark.parametrize("seed", range(10))
def test_weights_are_spread_over_the_frames_of_the_excerpts(seed):
    chance = random.Random(seed)
    frames = chance.randint(70, 300)
    positions = torch.tensor([[chance.randint(0, frames) for _ in range(5)] for _ in range(3)])
    weights = torch.rand(3, 5, generator=torch.Generator().manual_seed(seed))
    by_hand = torch.zeros(3, frames)
    for row in range(3):
        for weight, at in zip(weights[row], positions[row].tolist(), strict=True):
            by_hand[row, max(0, at - 25) : at + 39] += weight / 64
    torch.testing.assert_close(spread(weights, positions, frames, 100), by_hand)


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_absent_beats_are_0_and_change_nothing(seed, is_training):
    torch.manual_seed(seed)
    first = BeatFeatures(2, [8, 8, 8], 1).train(is_training)
    second = BeatFeatures(2, [8, 8, 8], 1).train(is_training)
    second.load_state_dict(first.state_dict())
    beats, is_beat = torch.randn(4, 6, 2, 64), torch.rand(4, 6) < 0.5
    is_beat[0, 0], is_beat[0, 1] = True, False
    rubbish = torch.where(is_beat[..., None, None], beats, 100 * torch.randn_like(beats))
    features = first(beats, is_beat)
    torch.testing.assert_close(second(rubbish, is_beat), features)
    assert not features[~is_beat].any() and features[is_beat].any(dim=1).all()
    for name, value in first.state_dict().items():  # the statistics of batch normalisation too
        torch.testing.assert_close(second.state_dict()[name], value)


def test_beats_are_independent_of_each_other_and_equal_the_same_beat_alone():
    torch.manual_seed(0)
    features, beats = BeatFeatures(2, [8, 8, 8], 1).eval(), torch.randn(3, 5, 2, 64)
    every = torch.ones(3, 5, dtype=torch.bool)
    torch.testing.assert_close(features(beats, every)[1:2, 2:3], features(beats[1:2, 2:3], every[:1, :1]))
