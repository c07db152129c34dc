"""The plain encoder: against PyTorch's, its attention, and fixed positions."""

import pytest
import torch
from torch import nn

from auscult.networks.layers.encoder import Encoder, rollout, sine_positions


def encoder(seed: int, depth: int = 2) -> Encoder:
    torch.manual_seed(seed)
    return Encoder(16, depth, 4, 3).eval()


def oracle(layer: nn.Module) -> nn.Module:
    """PyTorch's layer with the same weights."""
    other = nn.TransformerEncoderLayer(16, 4, 48, 0, "gelu", batch_first=True, norm_first=True)
    norm, expand, _, shrink = layer.feed_forward
    other.load_state_dict(
        {
            **{f"self_attn.in_proj_{name}": p for name, p in layer.attention.qkv.named_parameters()},
            **{f"self_attn.out_proj.{name}": p for name, p in layer.attention.proj.named_parameters()},
            **{f"linear1.{name}": p for name, p in expand.named_parameters()},
            **{f"linear2.{name}": p for name, p in shrink.named_parameters()},
            **{f"norm1.{name}": p for name, p in layer.norm.named_parameters()},
            **{f"norm2.{name}": p for name, p in norm.named_parameters()},
        }
    )
    return other


@pytest.mark.parametrize("seed", range(3))
def test_layers_equal_those_of_pytorch(seed):
    network = encoder(seed)
    for p in network.parameters():
        nn.init.normal_(p, std=0.3)
    x = torch.randn(3, 7, 16)
    expected, weights_expected = x, []
    for layer in network.layers:
        other = oracle(layer)
        normed = other.norm1(expected)
        weights_expected.append(other.self_attn(normed, normed, normed, average_attn_weights=False)[1])
        expected = other(expected)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4)
    attended, weights_of_layers = network.attend(x)
    torch.testing.assert_close(attended, expected, rtol=1e-4, atol=1e-4)
    for weights, other_weights in zip(weights_of_layers, weights_expected, strict=True):
        torch.testing.assert_close(weights, other_weights, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("part", ["attention.proj", "feed_forward.3"])
def test_dropout_acts_on_both_parts_in_both_ways_through_a_layer(part):
    """On each part alone: the last linear layer of the other one is 0."""
    torch.manual_seed(0)
    network = Encoder(16, 1, 4, 2, dropout=0.5).train()
    for p in network.layers[0].get_submodule(part).parameters():
        nn.init.zeros_(p)
    x = torch.randn(2, 5, 16)
    assert not torch.equal(network(x), network(x)) and not torch.equal(network.attend(x)[0], network.attend(x)[0])


@pytest.mark.parametrize("seed", range(5))
def test_rollout_follows_what_is_taken_layer_by_layer(seed):
    generator = torch.Generator().manual_seed(seed)
    weights_of_layers = [torch.rand(2, 3, 6, 6, generator=generator).softmax(dim=-1) for _ in range(3)]
    taken = rollout(weights_of_layers)
    torch.testing.assert_close(taken.sum(dim=2), torch.ones(2, 6))
    expected = torch.eye(6).repeat(2, 1, 1)
    for weights in weights_of_layers:
        expected = torch.bmm(sum(weights.unbind(1)) / 6 + torch.eye(6) / 2, expected)
    torch.testing.assert_close(taken, expected)


@pytest.mark.parametrize("width", [2, 16, 34])
def test_the_product_of_two_positions_depends_on_their_distance_alone(width):
    positions = sine_positions(50, width)
    products = positions @ positions.T
    for distance in range(50):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-4, atol=1e-4)
    assert positions.shape == (50, width) and torch.cdist(positions, positions).fill_diagonal_(1).min() > 1e-3
