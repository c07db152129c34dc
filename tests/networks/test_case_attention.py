"""Attention over a case: padding, order and recordings of a case."""

import pytest
import torch

from auscult import networks
from auscult.networks.layers.dropout import set_stochastic

VALUES, MARKS = 5, 3


def build(**options) -> torch.nn.Module:
    torch.manual_seed(0)
    network = networks.build(
        "case_attention", {"width": 8, "attention_heads": 2, **options}, (2, 30, VALUES + MARKS), 3, MARKS
    )
    return network.eval()


def window(frames: int, length: int, seed: int = 0, pad: float = 0.0) -> torch.Tensor:
    """(1, 2, length, values): so many frames at the first of two sites, then padding."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.full((1, 2, length, VALUES + MARKS), pad)
    x[:, :, :frames, :VALUES] = torch.randn(1, 2, frames, VALUES, generator=generator)
    x[..., VALUES:] = (torch.arange(length) < frames).float()[:, None] * torch.tensor([1.0, 0.0, 1.0])
    return x


@pytest.mark.parametrize("frames", [0, 1, 2, 17, 30])
@pytest.mark.parametrize("length", [30, 31, 90])
def test_padding_changes_nothing(frames, length):
    network = build()
    x = window(frames, 30)
    longer = torch.full((1, 2, length, VALUES + MARKS), 7.0)
    longer[..., VALUES:] = 0
    longer[:, :, :frames] = x[:, :, :frames]
    for a, b in zip(network(x), network(longer), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_frames_changes_nothing(seed):
    network, x = build(depth=2), window(20, 30)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(network(x)[0], network(x[:, :, order])[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("frame", [0, 7, 19])
def test_every_frame_counts(frame):
    network, x = build(), window(20, 30)
    changed = x.clone()
    changed[:, :, frame, :VALUES] += 1
    assert (network(changed)[0] != network(x)[0]).all()


def test_frames_are_left_out_at_random_in_passes_and_padding_never_comes_in():
    network = build(dropout=0.0, frames_left_out=0.5)
    set_stochastic(network, True)
    x = window(20, 30)
    torch.manual_seed(1)
    first, second = network(x)[0], network(x)[0]
    assert not torch.equal(first, second)
    changed = window(20, 30, pad=3.0)
    torch.manual_seed(1)
    torch.testing.assert_close(network(changed)[0], first, rtol=1e-5, atol=1e-6)


def test_batch_statistics_are_of_real_frames_alone():
    network = build().train()
    x = torch.cat([window(20, 30, seed=1, pad=100.0), window(3, 30, seed=2, pad=100.0)])
    network(x)
    real = torch.cat([x[0, :, :20, :VALUES], x[1, :, :3, :VALUES]], dim=1).transpose(0, 1).flatten(1)
    torch.testing.assert_close(network.norm_of_values.running_mean, 0.1 * real.mean(dim=0))


def test_heads_divide_the_width():
    with pytest.raises(ValueError, match="width must be a multiple of attention_heads"):
        networks.build("case_attention", {"width": 10, "attention_heads": 4}, (1, 30, 6), 1, 1)


@pytest.mark.parametrize("site", [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
def test_a_site_that_training_never_had_or_always_had_changes_little(site):
    """A mark that was constant in training must not become a huge number."""
    network = build(dropout=0.0, frames_left_out=0.0).train()
    with torch.no_grad():
        for seed in range(50):
            network(window(20, 30, seed))
    network.eval()
    x = window(20, 30)
    other = x.clone()
    other[:, :, :20, VALUES : VALUES + 2] = torch.tensor(site)
    assert (network(other)[0] - network(x)[0]).abs().max() < 2
