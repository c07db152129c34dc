"""Augmentation: masks, gain, noise and mixup do what they say and nothing to their input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.config.systems import Augment
from auscult.training.augment import augment, cutmix, mix, mixup

OFF = Augment()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(size: int = 64) -> torch.Tensor:
    return torch.randn(size, 2, 30, 12, generator=generator(1))


def runs(row: np.ndarray) -> list[int]:
    """Lengths of the runs of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
    return (edges[1::2] - edges[::2]).tolist()


def hidden(x: torch.Tensor, out: torch.Tensor) -> np.ndarray:
    """(batch, frames, bands): where a window was masked; every channel must be."""
    changed = out != x
    assert (changed == changed[:, :1]).all()
    return changed[:, 0].numpy()


def test_nothing_is_changed_when_all_is_off():
    x = batch()
    assert torch.equal(augment(x, OFF, 10.0, generator()), x)


def test_time_shifts_turn_windows_around():
    x = batch(300)
    out = augment(x, OFF.model_copy(update={"time_shift_s": 0.5}), 10.0, generator())
    shifts = []
    for before, after in zip(x, out, strict=True):
        fits = [k for k in range(-15, 15) if torch.equal(torch.roll(before, k, dims=1), after)]
        assert len(fits) == 1
        shifts += fits
    assert sorted(set(shifts)) == list(range(-5, 6))


def test_time_masks():
    x = batch(300)
    out = augment(x, OFF.model_copy(update={"time_masks": 1, "time_mask_s": 0.8}), 10.0, generator())
    mask = hidden(x, out)
    assert (mask == mask[:, :, :1]).all()  # whole frames
    widths = [runs(row)[0] if row.any() else 0 for row in mask[:, :, 0]]
    assert all(len(runs(row)) <= 1 for row in mask[:, :, 0])
    assert sorted(set(widths)) == list(range(9))  # 0 … 0.8 s × 10 frames per second, all of them
    assert mask[:, 0, 0].any() and mask[:, -1, 0].any()  # both ends can be reached


def test_band_masks():
    x = batch(300)
    mask = hidden(x, augment(x, OFF.model_copy(update={"band_masks": 1, "band_mask": 4}), 10.0, generator()))
    assert (mask == mask[:, :1]).all()
    assert sorted({int(row.sum()) for row in mask[:, 0]}) == list(range(5))
    assert mask[:, 0, 0].any() and mask[:, 0, -1].any()


def test_masks_hold_the_mean_of_their_window():
    x = batch() + 3
    out = augment(x, OFF.model_copy(update={"time_masks": 2, "band_masks": 1}), 10.0, generator())
    for before, after in zip(x, out, strict=True):
        filled = after[after != before]
        assert (filled - before.mean()).abs().max() < 1e-5 if len(filled) else True


def test_a_mask_longer_than_the_window_covers_half_of_it():
    x = batch(200)
    mask = hidden(x, augment(x, OFF.model_copy(update={"time_masks": 1, "time_mask_s": 99.0}), 10.0, generator()))
    assert max(row.sum() for row in mask[:, :, 0]) == 15


@pytest.mark.parametrize("shape", [(64, 2, 30, 1), (64, 2, 1, 8)])
def test_a_single_band_or_frame_is_never_masked(shape):
    x = torch.randn(shape, generator=generator())
    settings = OFF.model_copy(update={"band_masks": 3, "time_masks": 3, "time_mask_s": 9.0, "band_mask": 9})
    changed = augment(x, settings, 10.0, generator())
    along = 2 if shape[3] == 1 else 3
    assert ((changed != x).any(dim=1).float().mean(dim=(1, 2)) < 1).all()  # some of every window is left
    assert (changed.std(dim=along) > 0).all()


@pytest.mark.parametrize("shape", [(6, 1, 400, 1), (6, 1, 1, 400), (6, 1, 400, 400)])
def test_cutmix_has_the_share_of_its_draw_whatever_the_shape(shape):
    """By the same random numbers: λ is drawn before the rectangle."""
    for seed in range(8):
        draw = generator().manual_seed(seed)
        a, b = torch._standard_gamma(torch.tensor([1.0, 1.0]), generator=draw).tolist()
        y = torch.arange(6.0)[:, None]
        x = y[:, None, None].expand(shape).clone()
        windows, _ = cutmix(x, y, 1.0, generator().manual_seed(seed))
        moved = windows != x
        rows = moved.flatten(1).any(dim=1)
        if rows.any():
            assert float(moved[rows].float().mean()) == pytest.approx(b / (a + b), abs=0.01)


def test_gain_shifts_whole_windows():
    x = batch(500)
    shift = augment(x, OFF.model_copy(update={"gain": 0.5}), 10.0, generator()) - x
    assert shift.flatten(1).std(dim=1).max() < 1e-5
    assert shift[:, 0, 0, 0].std() == pytest.approx(0.5, rel=0.1)


def test_noise_is_white():
    x = batch()
    noise = augment(x, OFF.model_copy(update={"noise": 0.5}), 10.0, generator()) - x
    assert noise.std() == pytest.approx(0.5, rel=0.03)
    assert torch.corrcoef(noise.flatten(1)).fill_diagonal_(0).abs().max() < 0.2


def test_the_input_is_kept_and_the_seed_decides():
    everything = Augment(time_masks=1, band_masks=1, gain=1.0, noise=1.0)
    x = batch()
    original = x.clone()
    first, again, other = (augment(x, everything, 10.0, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(x, original)
    assert torch.equal(first, again) and not torch.equal(first, other)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.2, 0.4, 1.0, 8.0]), st.integers(1, 9))
def test_mixup_mixes_rows_with_one_share(seed, alpha, size):
    x, y = torch.eye(size)[:, None, :, None], torch.eye(size)
    mixed, targets = mixup(x, y, alpha, generator(seed))
    torch.testing.assert_close(mixed[:, 0, :, 0], targets)  # the same rows and share on both sides
    torch.testing.assert_close(targets.sum(dim=0), torch.ones(size))  # a permutation
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(size))
    own = targets.diagonal()
    moved = own < 1 - 1e-6
    assert (own >= 0.5 - 1e-6).all()
    assert not moved.any() or own[moved].max() - own[moved].min() < 1e-6  # one share for the batch


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_draws_its_share_from_the_beta_distribution(alpha):
    x = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    shares = []
    for seed in range(1500):
        mixed, _ = mixup(x, torch.zeros(2, 1), alpha, generator(seed))
        shares += [float(mixed[1])] if float(mixed[1]) != 1 else []
    drawn = np.random.default_rng(0).beta(alpha, alpha, 4000)
    expected = np.maximum(drawn, 1 - drawn)
    # a share of exactly 1 cannot be distinguished from a row mixed with itself, so compare below it
    shares, expected = np.minimum(shares, 0.999), expected[expected < 0.999]
    shares = shares[shares < 0.999]
    assert shares.mean() == pytest.approx(expected.mean(), abs=0.02)


def test_mixup_keeps_a_missing_target_missing_on_both_sides():
    y = torch.tensor([[np.nan, 0.0], [1.0, 1.0], [0.0, np.nan]])
    lost = set()
    for seed in range(20):
        _, mixed = mixup(torch.zeros(3, 1, 1, 1), y, 0.4, generator(seed))
        assert mixed[0, 0].isnan() and mixed[2, 1].isnan()
        assert mixed.isnan().sum() <= 4
        lost.add(int(mixed.isnan().sum()))
    assert max(lost) > 2  # partners lose theirs too


@given(seed=st.integers(0, 10_000), alpha=st.floats(0.1, 2), size=st.integers(2, 6))
def test_cutmix_takes_a_rectangle_and_its_share_of_the_target(seed, alpha, size):
    """Rows of one number each: what a window holds of another row is what its target says."""
    x = torch.arange(size, dtype=torch.float32)[:, None, None, None].expand(size, 2, 9, 7).contiguous()
    original = x.clone()
    mixed, targets = cutmix(x, torch.eye(size), alpha, generator(seed))
    assert torch.equal(x, original)
    for row in range(size):
        shares = torch.stack([(mixed[row] == other).float().mean() for other in range(size)])
        torch.testing.assert_close(shares, targets[row])
    foreign = (mixed != original).any(dim=1)
    rectangle = foreign.any(dim=0)
    rows, columns = rectangle.any(dim=1), rectangle.any(dim=0)
    assert torch.equal(rectangle, rows[:, None] & columns[None, :])


def test_cutmix_keeps_a_missing_target_missing():
    y = torch.tensor([[1.0], [float("nan")]])
    for seed in range(20):
        mixed, targets = cutmix(torch.zeros(2, 1, 8, 8), y, 1.0, generator(seed))
        assert torch.isnan(targets[1]).all() and mixed.shape == (2, 1, 8, 8)


@given(seed=st.integers(0, 10_000))
def test_numbers_in_the_last_channel_are_not_hidden(seed):
    x = torch.randn(6, 3, 20, 8, generator=generator(seed))
    settings = Augment(time_masks=2, band_masks=2, time_shift_s=0.5, gain=0.3, noise=0.3)
    images = augment(x[:, :2], settings, 10.0, generator(seed))
    out = augment(x, settings, 10.0, generator(seed), has_scalars=True)
    assert torch.equal(out, torch.cat([images, x[:, 2:]], dim=1))


@given(seed=st.integers(0, 10_000), size=st.integers(2, 6))
def test_cutmix_mixes_numbers_as_it_mixes_targets(seed, size):
    """The last channel holds one number per row, the number of the row."""
    x = torch.arange(size, dtype=torch.float32)[:, None, None, None].expand(size, 2, 9, 7).contiguous()
    mixed, targets = cutmix(x, torch.eye(size), 1.0, generator(seed), has_scalars=True)
    expected = targets @ torch.arange(size, dtype=torch.float32)
    torch.testing.assert_close(mixed[:, -1], expected[:, None, None].expand(size, 9, 7))


@pytest.mark.parametrize(
    ("settings", "cut"),
    [
        ({"mixup": 0.4}, 0.0),
        ({"cutmix": 1.0}, 1.0),
        ({"mixup": 0.4, "cutmix": 1.0, "cutmix_share": 0.6}, 0.6),
        ({"mixup": 0.4, "cutmix": 1.0, "cutmix_share": 0.0}, 0.0),
    ],
)
def test_which_mixing_a_batch_gets(monkeypatch, settings, cut):
    monkeypatch.setattr("auscult.training.augment.cutmix", lambda x, y, alpha, *_: ("cut", alpha))
    monkeypatch.setattr("auscult.training.augment.mixup", lambda x, y, alpha, g: ("mixed", alpha))
    g = generator(0)
    said = [mix(None, None, Augment(**settings), g) for _ in range(300)]
    assert sum(kind == "cut" for kind, _ in said) / 300 == pytest.approx(cut, abs=0.08)
    assert set(said) <= {("cut", 1.0), ("mixed", 0.4)}


def test_without_mixing_a_batch_stays():
    x, y = torch.ones(2, 1, 3, 3), torch.ones(2, 1)
    assert mix(x, y, Augment(), generator(0)) == (x, y)
