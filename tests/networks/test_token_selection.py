"""Token selection: numbers of tokens, which are kept, the second pass, the extra loss, and what is shown."""

import pytest
import torch
from torch import nn

from auscult import networks

SMALL = {"width": 16, "token_width": 16, "kernels": [(20, 40), (5, 30)], "depths": [3, 2], "targets": [2, 1]}
SMALL |= {"attention_heads": 4, "ratio": 2}


def build(seed: int, frames: int = 200, **options) -> nn.Module:
    torch.manual_seed(seed)
    network = networks.build("token_selection", {**SMALL, **options}, (2, frames, 1), 3).eval()
    for branch in network.branches:  # attention that differs from token to token
        for layer in branch.encoder.layers:
            nn.init.normal_(layer.attention.qkv.weight, std=0.7)
    return network


def test_the_published_size_for_nine_classes_and_its_tokens():
    network = networks.build("token_selection", {}, (12, 1000, 1), 9)
    assert sum(p.numel() for p in network.parameters()) == 33_549_057
    assert [branch.count(1000) for branch in network.branches] == [50, 200]
    assert [branch.positions.shape[1] for branch in network.branches] == [51, 201]


def test_the_small_size():
    options = {**SMALL, "width": 32, "token_width": 32, "kernels": [(20, 40), (10, 50)], "depths": [2, 2]}
    network = networks.build("token_selection", {**options, "targets": [1, 1]}, (12, 250, 1), 1)
    assert sum(p.numel() for p in network.parameters()) == 151_985


@pytest.mark.parametrize("seed", range(5))
def test_a_token_sees_its_frames_alone(seed):
    network = build(seed)
    for branch, (step, long) in zip(network.branches, SMALL["kernels"], strict=True):
        maps = torch.randn(1, 16, 200, requires_grad=True)
        tokens = branch.embed(maps)
        assert tokens.shape == (1, 1 + 200 // step, 16)
        number = int(torch.randint(200 // step, ()))
        tokens[0, 1 + number].sum().backward()
        seen = maps.grad[0].abs().sum(dim=0).nonzero().flatten().tolist()
        assert seen == list(range(number * step, min(200, number * step + long)))


@pytest.mark.parametrize("keep", [0.01, 0.3, 0.5, 1])
@pytest.mark.parametrize("seed", range(3))
def test_the_kept_tokens_have_the_most_attention_of_the_class_token(seed, keep):
    network = build(seed, keep=keep)
    for branch in network.branches:
        tokens = branch.embed(torch.randn(3, 16, 200))
        expected, weights_of_layers = tokens, []
        for layer in branch.encoder.layers:
            expected, weights = layer.attend(expected)
            weights_of_layers.append(weights.mean(dim=1)[:, 0, 1:])
        used = weights_of_layers[branch.target - 1 :]
        summed = sum(0.01 * 0.99 ** (len(used) - 1 - k) * weights for k, weights in enumerate(used))
        encoded, attention, kept = branch.select(tokens)
        torch.testing.assert_close(encoded, expected)
        torch.testing.assert_close(attention, summed)
        count = max(1, int(keep * (tokens.shape[1] - 1)))
        assert kept.shape == (3, count) and (kept.diff(dim=1) > 0).all()
        for row in range(3):
            dropped = [k for k in range(tokens.shape[1] - 1) if k not in kept[row]]
            assert not dropped or summed[row, kept[row]].min() >= summed[row, dropped].max()


@pytest.mark.parametrize("seed", range(3))
def test_the_second_pass_sees_the_class_token_and_the_kept_ones(seed):
    network, maps = build(seed), torch.randn(2, 16, 200)
    for branch in network.branches:
        encoded, _, kept = branch.select(branch.embed(maps))
        for row in range(2):
            chosen = torch.cat([encoded[row, :1], encoded[row, 1:][kept[row]]])
            torch.testing.assert_close(branch(maps)[row], branch.encoder(chosen[None])[0, 0])


@pytest.mark.parametrize("seed", range(3))
def test_to_keep_all_is_to_encode_twice(seed):
    network, maps = build(seed, keep=1), torch.randn(2, 16, 200)
    for branch in network.branches:
        twice = branch.encoder(branch.encoder(branch.embed(maps)))[:, 0]
        torch.testing.assert_close(branch(maps), twice, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_extra_loss_is_0_for_equal_and_2_for_opposite_tokens(seed):
    network = build(seed, correlation=1)
    a, b = torch.randn(2, 4, 16)
    torch.testing.assert_close(network.extra_loss(torch.cat([a, 3 * a + 5], dim=1)), torch.tensor(0.0))
    torch.testing.assert_close(network.extra_loss(torch.cat([a, -a], dim=1)), torch.tensor(2.0))
    each = [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(a, b, strict=True)]
    torch.testing.assert_close(network.extra_loss(torch.cat([a, b], dim=1)), 1 - sum(each) / 4)


@pytest.mark.parametrize("seed", range(3))
def test_the_extra_loss_of_a_batch(seed):
    network, x = build(seed), torch.randn(4, 2, 200, 1)
    loss = network.extra_loss(network(x)[1])
    assert loss.ndim == 0
    torch.testing.assert_close(build(seed, correlation=0.4).extra_loss(network(x)[1]), 4 * loss)
    loss.backward()
    assert network.head.weight.grad is None  # the head has no part in it
    trained = [network.blocks[0].first[0].weight, *(branch.class_token for branch in network.branches)]
    assert all(p.grad.abs().sum() > 0 for p in trained)


def test_training_on_the_extra_loss_ties_the_branches():
    network, x = build(0, frames=60), torch.randn(4, 2, 60, 1)
    loss = network.extra_loss(network(x)[1]).item()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(8):
        optimiser.zero_grad()
        network.extra_loss(network(x)[1]).backward()
        optimiser.step()
    assert network.extra_loss(network(x)[1]) < 0.9 * loss


@pytest.mark.parametrize("seed", range(3))
def test_attention_is_shown_on_the_frames_of_kept_tokens(seed):
    network, x = build(seed), torch.randn(2, 2, 200, 1)
    shown = network.attended(x, 0)
    assert shown.shape == (2, 200, 1)
    torch.testing.assert_close(shown.sum(dim=(1, 2)), torch.ones(2))
    expected = torch.zeros(2, 200)
    for branch, (step, _) in zip(network.branches, SMALL["kernels"], strict=True):
        _, attention, kept = branch.select(branch.embed(network.blocks(x[..., 0])))
        for row in range(2):
            of_kept = attention[row, kept[row]].sum()
            for token in kept[row].tolist():
                expected[row, token * step : (token + 1) * step] += attention[row, token] / of_kept / step / 2
    torch.testing.assert_close(shown[..., 0], expected)


@pytest.mark.parametrize("frames", [1, 4, 19, 23, 199])
def test_a_shorter_window_has_fewer_tokens(frames):
    network, x = build(0), torch.randn(2, 2, frames, 1)
    logits, latents = network(x)
    assert torch.isfinite(logits).all() and latents.shape == (2, 32)
    assert network.attended(x, 0).shape == (2, frames, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 10}, "10 is not a multiple of 4"),
        ({"attention_heads": 3}, "multiple of attention_heads"),
        ({"kernels": [(20, 10), (5, 30)]}, "must not be shorter"),
        ({"targets": [4, 1]}, "there is no layer 4"),
        ({"keep": 0}, "keep"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(0, **options)
