"""MetaECGNet: published sizes, and the frames that each kind of attention uses."""

import pytest
import torch
from torch.nn import functional

from auscult import networks
from auscult.networks.meta_ecgnet import GridAttention, PooledAttention

SMALL = {"depths": [1, 1], "widths": [8, 16], "windows": [5, 1], "attention_heads": 2}


def grid(window: int) -> GridAttention:
    return GridAttention(12, 6, 3, window).eval()


def plain(attention: GridAttention, of_queries: torch.Tensor, of_keys: torch.Tensor) -> torch.Tensor:
    """Attention of three heads by hand."""
    q = attention.query(of_queries).unflatten(2, (3, 2))
    k, v = (part.unflatten(2, (3, 2)) for part in attention.key_value(of_keys).split(6, dim=2))
    weights = torch.softmax(torch.einsum("bqhs,bkhs->bhqk", q, k) / 2**0.5, dim=-1)
    return torch.einsum("bhqk,bkhs->bqhs", weights, v).flatten(2)


def test_the_published_sizes():
    network = networks.build("meta_ecgnet", {}, (12, 1000, 1), 9)
    assert sum(p.numel() for p in network.parameters()) == 7_763_373
    assert networks.multiply_adds(network, (12, 1000, 1)) == pytest.approx(1.27e9, rel=0.005)


def test_stages_halve_the_frames():
    network = networks.build("meta_ecgnet", SMALL, (3, 203, 1), 2)
    assert network.maps(torch.randn(2, 3, 203)).shape == (2, 16, 51, 1)


@pytest.mark.parametrize("seed", range(3))
def test_grid_attention_of_every_frame_is_plain_attention(seed):
    torch.manual_seed(seed)
    attention, x = grid(1), torch.randn(2, int(torch.randint(1, 40, ())), 12)
    torch.testing.assert_close(attention(x), plain(attention, x, x))


@pytest.mark.parametrize("frames", [1, 3, 5, 23, 40])
def test_grid_attention_is_plain_attention_of_every_fifth_frame(frames):
    torch.manual_seed(frames)
    attention, x = grid(5), torch.randn(2, frames, 12)
    by_hand = torch.zeros(2, frames, 6)
    for first in range(min(5, frames)):
        by_hand[:, first::5] = plain(attention, x[:, first::5], x[:, first::5])
    torch.testing.assert_close(attention(x), by_hand)


@pytest.mark.parametrize("seed", range(3))
def test_a_cyclic_shift_of_the_frames_shifts_grid_attention(seed):
    torch.manual_seed(seed)
    attention, x, shift = grid(5), torch.randn(2, 40, 12), int(torch.randint(1, 40, ()))
    torch.testing.assert_close(attention(x.roll(shift, 1)), attention(x).roll(shift, 1))


@pytest.mark.parametrize("frames", [1, 3, 5, 23])
def test_pooled_attention_is_attention_to_averages(frames):
    torch.manual_seed(frames)
    attention, x = PooledAttention(12, 6, 3, 5).eval(), torch.randn(2, frames, 12)
    means = torch.stack([part.mean(dim=1) for part in x.split(5, dim=1)], dim=1)
    linear, norm, _ = attention.reduce
    of_keys = functional.gelu(norm(linear(means)))
    torch.testing.assert_close(attention(x), plain(attention, x, of_keys))


@pytest.mark.parametrize("frames", [1, 2, 7, 52])
def test_lengths_that_are_no_multiple_of_the_window_have_finite_gradients(frames):
    torch.manual_seed(0)
    network = networks.build("meta_ecgnet", SMALL, (2, frames, 1), 2)
    logits, _ = network(torch.randn(4, 2, frames, 1))
    logits.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": [5, 5]}, "3 depths for 3 widths and 2 windows"),
        ({"attention_heads": 3}, "odd"),
        ({"attention_heads": 10}, "not a multiple of attention_heads"),
        ({"kernels": [3, 4]}, "kernels: 4 has no middle"),
        ({"kernels": [3, 5, 7, 9, 11]}, "twice 144 is not a multiple of the number of kernels"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        networks.build("meta_ecgnet", options, (12, 1000, 1), 1)
