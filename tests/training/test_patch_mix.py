"""Patch-Mix: shares, the common subset, positions that stay, and the contrast worked by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult import networks
from auscult.training import patch_mix

CPU = torch.device("cpu")
OPTIONS = {"patch": 4, "stride": 4, "width": 16, "depth": 1, "attention_heads": 2, "dropout": 0}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(**options) -> torch.nn.Module:
    torch.manual_seed(0)
    return networks.build("ast", {**OPTIONS, **options}, (1, 16, 8), 3).eval()


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), batch=st.integers(1, 9), patches=st.integers(1, 40))
def test_the_share_is_that_of_the_patches(seed, batch, patches):
    mixing = patch_mix.draw(batch, patches, generator(seed), CPU)
    assert mixing.mask.shape == (patches,) and sorted(mixing.order.tolist()) == list(range(batch))
    assert mixing.share == pytest.approx(1 - int(mixing.mask.sum()) / patches)
    y = torch.eye(batch)
    shares = patch_mix.mixed_targets(y, mixing)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(batch))
    for row, partner in enumerate(mixing.order.tolist()):
        expected = 1.0 if partner == row else mixing.share
        assert float(shares[row, row]) == pytest.approx(expected)


def test_shares_are_drawn_evenly():
    shares = torch.tensor([patch_mix.draw(4, 1000, generator(seed), CPU).share for seed in range(400)])
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.05) and float(shares.std()) == pytest.approx(
        0.289, abs=0.03
    )


def test_the_whole_batch_shares_one_subset_and_positions_are_not_mixed(monkeypatch):
    net, x = network(), torch.randn(5, 1, 16, 8)
    mixing = patch_mix.draw(5, net.patches, generator(3), CPU)
    assert 0 < int(mixing.mask.sum()) < net.patches == 8
    seen = []
    place_all = net.v.with_positions
    monkeypatch.setattr(net.v, "with_positions", lambda patches: (seen.append(patches), place_all(patches))[1])
    net(x, mixing.order, mixing.mask)
    mixed, clean = seen[0], net.v.embed(x)
    for place in range(8):
        source = clean[mixing.order] if mixing.mask[place] else clean
        torch.testing.assert_close(mixed[:, place], source[:, place])  # embeddings as they were, before positions


def test_nothing_taken_is_the_clean_window():
    net, x = network(), torch.randn(3, 1, 16, 8)
    taken = torch.zeros(8, dtype=torch.bool)
    for a, b in zip(net(x), net(x, torch.tensor([2, 0, 1]), taken), strict=True):
        torch.testing.assert_close(a, b)
    everything = net(x, torch.tensor([2, 0, 1]), ~taken)
    torch.testing.assert_close(everything[0], net(x)[0][[2, 0, 1]])


def test_contrast_worked_by_hand():
    """Three windows at right angles; the mixed ones point exactly at their own."""
    mixing = patch_mix.Mixing(torch.tensor([1, 2, 0]), torch.tensor([True, False, False, False]), 0.75)
    latents = 5 * torch.eye(3)
    logits = torch.eye(3) / patch_mix.TEMPERATURE
    log = torch.log_softmax(logits, dim=1)
    expected = -torch.stack([0.75 * log[k, k] + 0.25 * log[k, (k + 1) % 3] for k in range(3)]).mean()
    torch.testing.assert_close(patch_mix.contrast(2 * torch.eye(3), latents, mixing), expected)


def test_contrast_gives_clean_windows_no_gradient_and_is_least_for_the_right_mixture():
    mixing = patch_mix.Mixing(torch.tensor([1, 0]), torch.tensor([True, False]), 0.5)
    latents = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    projected = torch.tensor([[1.0, 1.0], [1.0, 1.0]], requires_grad=True)
    right = patch_mix.contrast(projected, latents, mixing)
    right.backward()
    assert latents.grad is None and projected.grad is not None
    assert right < patch_mix.contrast(torch.tensor([[1.0, 0.2], [1.0, 0.2]]), latents, mixing)
    assert float(right) == pytest.approx(0.6931472)
