"""MPGT: the range of its gates, the lengths of both branches, and what the coarse one attends to."""

import math
import random

import pytest
import torch
from torch import nn

from auscult import networks
from auscult.networks.mpgt import Fusion, Stage

SMALL = {"width": 16, "depth": 2}


def build(seed: int, **options) -> nn.Module:
    torch.manual_seed(seed)
    return networks.build("mpgt", {**SMALL, **options}, (2, 200, 1), 3).eval()


@pytest.mark.parametrize("seed", range(3))
def test_the_published_gate_neither_shuts_nor_opens(seed):
    torch.manual_seed(seed)
    fine = 100 * torch.randn(2, 50, 16)
    bounds = [1 / (1 + math.e), math.e / (1 + math.e)]
    gate = Fusion(16, "sigmoid_of_tanh").gate(fine)
    assert [gate.min().item(), gate.max().item()] == pytest.approx(bounds, abs=1e-3)
    gate = Fusion(16, "sigmoid").gate(fine)
    assert gate.min() < 0.01 and gate.max() > 0.99


@pytest.mark.parametrize("kind", ["sigmoid_of_tanh", "sigmoid"])
@pytest.mark.parametrize("seed", range(5))
def test_without_a_score_half_of_the_fine_branch_is_added(seed, kind):
    torch.manual_seed(seed)
    fusion, fine, coarse = Fusion(16, kind), torch.randn(2, 9, 16), torch.randn(2, 9, 16)
    nn.init.zeros_(fusion.score.weight)
    nn.init.zeros_(fusion.score.bias)
    torch.testing.assert_close(fusion(fine, coarse), fine / 2 + coarse)
    level = torch.randn(2, 1, 16)
    torch.testing.assert_close(fusion(level.expand(2, 23, 16), coarse), level / 2 + coarse)


@pytest.mark.parametrize("seed", range(3))
def test_the_gate_weighs_the_fine_branch_by_itself(seed):
    torch.manual_seed(seed)
    fusion, fine, coarse = Fusion(16, "sigmoid_of_tanh"), torch.randn(2, 9, 16), torch.randn(2, 9, 16)
    gate = 1 / (1 + torch.exp(-torch.tanh(fine @ fusion.score.weight.T + fusion.score.bias)))
    torch.testing.assert_close(fusion(fine, coarse), fine * gate + coarse)


@pytest.mark.parametrize("seed", range(8))
def test_lengths_of_both_branches_fit(seed):
    frames = random.Random(seed).choice([1, 2, random.Random(seed).randint(3, 500)])
    network, x = build(seed), torch.randn(2, 2, frames, 1)
    lengths = [network.fine(x[..., 0]).shape[2], network.coarse(x[..., 0]).shape[2]]
    assert lengths == [-(-frames // 9), -(-frames // 18)]
    logits, latents = network(x)
    assert logits.shape == (2, 3) and latents.shape == (2, 16) and torch.isfinite(logits).all()
    shown = network.attended(x, 0)
    assert shown.shape == (2, lengths[1], 1) and (shown > 0).all()
    torch.testing.assert_close(shown.sum(dim=(1, 2)), torch.ones(2))


@pytest.mark.parametrize("seed", range(3))
def test_convolutions_of_a_stage_reach_three_tokens_to_either_side(seed):
    torch.manual_seed(seed)
    stage = Stage(16, 4, 0).eval()
    nn.init.zeros_(stage.layer.attention.proj.weight)  # attention reaches all
    x = torch.randn(1, 20, 16, requires_grad=True)
    at = int(torch.randint(3, 17, ()))
    stage(x)[0, at].sum().backward()
    assert x.grad[0].abs().sum(dim=1).nonzero().flatten().tolist() == list(range(at - 3, at + 4))


@pytest.mark.parametrize("seed", range(3))
def test_attention_is_followed_through_the_stages_of_the_coarse_branch(seed):
    network, x = build(seed), torch.randn(2, 2, 200, 1)
    for stage in network.coarse_stages:
        nn.init.normal_(stage.layer.attention.qkv.weight)
    inputs = []
    for stage in network.coarse_stages:
        stage.layer.norm.register_forward_hook(lambda module, _, output: inputs.append(output))
    network(x)
    taken = torch.eye(12).expand(2, 12, 12)
    for stage, normed in zip(network.coarse_stages, inputs, strict=True):
        weights = stage.layer.attention.attend(normed)[1].mean(dim=1)
        taken = (weights @ taken + taken) / 2
    torch.testing.assert_close(network.attended(x, 0)[..., 0], taken.mean(dim=1))


@pytest.mark.parametrize(
    ("options", "message"), [({"attention_heads": 3}, "multiple of attention_heads"), ({"gate": "tanh"}, "gate")]
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(0, **options)


def test_the_small_size():
    network = networks.build("mpgt", {"width": 32, "depth": 2}, (12, 250, 1), 1)
    assert sum(p.numel() for p in network.parameters()) == 99_745
