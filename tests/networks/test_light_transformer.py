"""The light transformer: kernels with the sum 1, order of beats, and absent beats, which have no effect."""

import pytest
import torch
from torch import nn

from auscult import networks
from auscult.inference.explanation_maps import NotExplainable, explained_by, grad_cam
from auscult.networks.light_transformer import LightConvolution

SMALL = {"widths": [8, 8, 16], "squeeze_ratio": 1, "beats": 6, "kernels": [3, 5], "heads": 4}


def build(seed: int, **options) -> nn.Module:
    torch.manual_seed(seed)
    return networks.build("light_transformer", {**SMALL, **options}, (2, 300, 1), 3).eval()


def convolution(seed: int, kernel: int) -> LightConvolution:
    torch.manual_seed(seed)
    layer = LightConvolution(16, 4, kernel)
    nn.init.normal_(layer.scores)
    return layer


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_kernels_are_means_shared_by_the_channels_of_a_head(kernel):
    layer = convolution(kernel, kernel)
    kernels, x = layer.kernels(), torch.randn(2, 11, 16)
    torch.testing.assert_close(kernels.sum(dim=1), torch.ones(4))
    assert (kernels >= 0).all() and kernels.shape == (4, kernel)
    padded = nn.functional.pad(x, (0, 0, kernel // 2, kernel // 2))
    by_hand = torch.zeros_like(x)
    for channel in range(16):
        for token in range(11):
            by_hand[:, token, channel] = padded[:, token : token + kernel, channel] @ kernels[channel // 4]
    torch.testing.assert_close(layer.convolved(x), by_hand)


@pytest.mark.parametrize("seed", range(5))
def test_a_shift_of_all_tokens_shifts_the_output(seed):
    layer, x = convolution(seed, 5), torch.randn(2, 12, 16)
    is_token = torch.ones(2, 12, dtype=torch.bool)
    shifted = layer(x.roll(1, dims=1), is_token)
    torch.testing.assert_close(shifted[:, 3:-2], layer(x, is_token)[:, 2:-3])


def test_absent_tokens_count_as_0():
    layer, x = convolution(0, 7), torch.randn(2, 9, 16)
    is_token = torch.arange(9).expand(2, 9) < 5
    changed = torch.where(is_token[..., None], x, 1000 * torch.randn_like(x))
    torch.testing.assert_close(layer(changed, is_token)[:, :5], layer(x[:, :5], is_token[:, :5])[:, :5])


@pytest.mark.parametrize("seed", range(3))
def test_rubbish_in_absent_beats_does_not_change_the_latents(seed):
    network = build(seed)
    beats, seconds = torch.randn(4, 6, 2, 64), torch.rand(4, 6, 2)
    is_beat = torch.arange(6) < torch.randint(1, 7, (4, 1))
    latents = network.encode(beats, seconds, is_beat)
    beats[~is_beat], seconds[~is_beat] = 1000, -1000
    torch.testing.assert_close(network.encode(beats, seconds, is_beat), latents)
    one = is_beat[:1].sum()
    alone = network.encode(beats[:1, :one], seconds[:1, :one], is_beat[:1, :one])
    torch.testing.assert_close(alone, latents[:1])


@pytest.mark.parametrize("seed", range(3))
def test_order_of_beats_and_their_intervals_count(seed):
    network = build(seed)
    beats, seconds = torch.randn(2, 6, 2, 64), torch.rand(2, 6, 2)
    is_beat = torch.ones(2, 6, dtype=torch.bool)
    latents = network.encode(beats, seconds, is_beat)
    order = torch.tensor([0, 3, 1, 2, 5, 4])
    assert (network.encode(beats[:, order], seconds[:, order], is_beat) - latents).abs().max() > 1e-4
    assert (network.encode(beats, seconds.flip(2), is_beat) - latents).abs().max() > 1e-4


def test_it_has_no_attention_to_show():
    network = build(0)
    assert explained_by(network) == "Grad-CAM"
    with pytest.raises(NotExplainable, match="LightTransformer has no part `maps`"):
        grad_cam(network, torch.zeros(1, 2, 300, 1), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": [3, 4]}, "a kernel of 4 has no middle"),
        ({"heads": 3}, "16 is not a multiple of heads"),
        ({"widths": [8, 8]}, "widths"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(0, **options)


def test_the_small_size():
    options = {"widths": [16, 32, 32], "beats": 5, "kernels": [3, 5]}
    network = networks.build("light_transformer", options, (12, 250, 1), 1)
    assert sum(p.numel() for p in network.parameters()) == 23_003
