"""MRTNet: sampling at scales, pooling, the order of segments, and where its attention is shown."""

import pytest
import torch
from torch import nn

from auscult import networks
from auscult.networks.layers.segments import cut
from auscult.networks.mrtnet import MeanAndMaximum

SMALL = {"segment": 32, "scales": [1, 2, 4], "widths": [8, 16], "squeeze_ratio": 1, "depth": 2}


def build(seed: int, **options) -> nn.Module:
    torch.manual_seed(seed)
    return networks.build("mrtnet", {**SMALL, **options}, (2, 200, 1), 3).eval()


def test_pooling_is_the_mean_and_the_maximum():
    x = torch.randn(3, 4, 9, generator=torch.Generator().manual_seed(0))
    pooled = MeanAndMaximum()(x)
    torch.testing.assert_close(pooled, torch.cat([x.sum(dim=2) / 9, x.max(dim=2).values], dim=1))


@pytest.mark.parametrize("seed", range(3))
def test_scales_sample_by_means(seed):
    network = build(seed)
    x = torch.randn(3, 2, 32)
    for scale, factor in zip(network.scales, (1, 2, 4), strict=True):
        torch.testing.assert_close(scale.sampled(x), x.unflatten(2, (-1, factor)).mean(dim=3))
        level = x[..., :1].expand_as(x)
        torch.testing.assert_close(scale.sampled(level), level[..., : 32 // factor])


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_segments_matters_only_with_positions(seed):
    segments, order = torch.randn(2, 2, 9, 32, generator=torch.Generator().manual_seed(seed)), torch.randperm(9)
    network = build(seed)
    torch.testing.assert_close(network.encode(segments[:, :, order]), network.encode(segments), rtol=1e-4, atol=1e-5)
    network = build(seed, positions=True)
    assert (network.encode(segments[:, :, order]) - network.encode(segments)).abs().max() > 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_scales_have_their_own_networks_and_one_encoder(seed):
    """The latents of a scale are those of a network of this scale alone with the same weights."""
    network, x = build(seed), torch.randn(2, 2, 200, 1)
    for number, factor in enumerate((1, 2, 4)):
        alone = build(seed + 1, scales=[factor])
        alone.scales[0].load_state_dict(network.scales[number].state_dict())
        alone.encoder.load_state_dict(network.encoder.state_dict())
        torch.testing.assert_close(alone(x)[1], network(x)[1][:, 16 * number : 16 * (number + 1)])


@pytest.mark.parametrize("frames", [1, 31, 32, 33, 200, 208])
def test_attention_to_equal_segments_is_divided_among_their_frames(frames):
    network, x = build(0), torch.randn(2, 2, frames, 1)
    for layer in network.encoder.layers:
        nn.init.zeros_(layer.attention.qkv.weight)
        nn.init.zeros_(layer.attention.qkv.bias)
    count = cut(x[..., 0], 32).shape[2]
    expected = torch.zeros(frames)
    for number in range(count):
        expected[16 * number : 16 * number + 32] += 1 / (32 * count)
    torch.testing.assert_close(network.attended(x, 0), expected[None, :, None].expand(2, -1, 1))


@pytest.mark.parametrize("seed", range(5))
def test_attention_shows_the_segments_that_are_attended_to(seed):
    """Every frame of a long window counts, with the sum 1 where no segment passes its end; a token takes itself."""
    network, x = build(seed), torch.randn(2, 2, 208, 1)
    for layer in network.encoder.layers:
        nn.init.normal_(layer.attention.qkv.weight)
    shown = network.attended(x, 0)
    torch.testing.assert_close(shown.sum(dim=(1, 2)), torch.ones(2))
    assert (shown > 0).all() and shown[:, 16:-16].std(dim=1).min() > 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [({"segment": 31}, "31 is not even"), ({"attention_heads": 3}, "multiple of attention_heads")],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(0, **options)


def test_the_small_size():
    network = networks.build("mrtnet", {"widths": [8, 16, 32]}, (12, 250, 1), 1)
    assert sum(p.numel() for p in network.parameters()) == 74_539
