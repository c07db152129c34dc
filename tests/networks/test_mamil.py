"""MAMIL: the Gramian angular field, weights of instances, and where the weights of beats are shown."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from auscult import networks
from auscult.networks.layers.beats import peaks
from auscult.networks.mamil import Answer, angular_field

SMALL = {"widths": [8, 8, 16], "squeeze_ratio": 1, "beats": 6, "image": 16, "patch": 8}


def build(seed: int, **options) -> nn.Module:
    torch.manual_seed(seed)
    return networks.build("mamil", {**SMALL, **options}, (2, 300, 1), 3).eval()


@pytest.mark.parametrize("seed", range(5))
def test_the_angular_field_is_the_cosine_of_sums_of_angles(seed):
    x = torch.randn(2, 3, 96, generator=torch.Generator().manual_seed(seed))
    field = angular_field(x, 32)
    z = x.unflatten(2, (32, 3)).mean(dim=3)
    low, high = z.amin(2, keepdim=True), z.amax(2, keepdim=True)
    z = 2 * (z - low) / (high - low) - 1
    torch.testing.assert_close(field, field.transpose(2, 3))
    torch.testing.assert_close(field.diagonal(dim1=2, dim2=3), 2 * z**2 - 1, rtol=0, atol=1e-5)
    angles = z.clamp(-1, 1).double().acos()
    expected = torch.cos(angles[..., :, None] + angles[..., None, :]).float()
    torch.testing.assert_close(field, expected, rtol=0, atol=1e-3)


def test_a_flat_lead_and_the_gradient_of_the_field_are_finite():
    x = torch.randn(2, 3, 40, generator=torch.Generator().manual_seed(0))
    x[:, 1] = 4
    x.requires_grad_()
    field = angular_field(x, 16)
    field.square().sum().backward()
    assert torch.isfinite(field).all() and torch.isfinite(x.grad).all()


@pytest.mark.parametrize("seed", range(5))
def test_weights_of_instances_have_the_sum_1_and_absent_ones_have_none(seed):
    torch.manual_seed(seed)
    answer, top, instances = Answer(16), torch.randn(4, 16), torch.randn(4, 6, 16)
    exists = torch.arange(6) < torch.randint(1, 7, (4, 1))
    weights = answer.weights(top, instances, exists)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(4))
    assert (weights[exists] > 0).all() and not weights[~exists].any()
    for row in range(4):
        each = instances[row, exists[row]]
        attention = functional.scaled_dot_product_attention(
            answer.query(top[row : row + 1]), answer.key(each), answer.value(each)
        )
        torch.testing.assert_close(answer(top, instances, exists)[row], attention[0])


@pytest.mark.parametrize("top", ["maximum", "instance"])
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_instances_does_not_matter_and_absent_beats_have_no_effect(seed, top):
    network = build(seed, top=top)
    beats, patches = torch.randn(4, 6, 16), torch.randn(4, 4, 16)
    is_beat = torch.arange(6) < torch.randint(1, 6, (4, 1))
    latents = network.join_bags(beats, is_beat, patches)
    order = torch.randperm(6)
    torch.testing.assert_close(network.join_bags(beats[:, order], is_beat[:, order], patches), latents)
    torch.testing.assert_close(network.join_bags(beats, is_beat, patches[:, torch.randperm(4)]), latents)
    beats[~is_beat] = 1000
    torch.testing.assert_close(network.join_bags(beats, is_beat, patches), latents)


@pytest.mark.parametrize("seed", range(3))
def test_a_modality_asks_the_instances_of_the_other(seed):
    network = build(seed)
    beats, patches = torch.randn(4, 6, 16), torch.randn(4, 4, 16)
    is_beat, is_patch = torch.arange(6) < torch.randint(1, 6, (4, 1)), torch.ones(4, 4, dtype=torch.bool)
    top_beat, top_patch = network.top(beats, is_beat), patches.amax(dim=1)
    bags = [
        top_beat + network.answer_of_patches(top_beat, patches, is_patch),
        top_patch + network.answer_of_beats(top_patch, beats, is_beat),
    ]
    latents = network.join_bags(beats, is_beat, patches)
    torch.testing.assert_close(latents, network.join(torch.cat(bags, dim=1)).clamp(min=0))


@pytest.mark.parametrize("seed", range(3))
def test_the_top_is_the_maximum_or_the_largest_instance(seed):
    torch.manual_seed(seed)
    instances, exists = torch.randn(3, 5, 16), torch.rand(3, 5) < 0.6
    exists[:, 2] = True
    for row in range(3):
        each = instances[row, exists[row]]
        maximum, instance = (build(0, top=top).top(instances, exists)[row] for top in ("maximum", "instance"))
        torch.testing.assert_close(maximum, each.amax(dim=0))
        torch.testing.assert_close(instance, max(each, key=lambda one: one.square().sum()))


@pytest.mark.parametrize("seed", range(5))
def test_attention_lies_on_the_frames_of_beats(seed):
    network = build(seed)
    x = 0.01 * torch.randn(2, 2, 300, 1)
    at = torch.randint(40, 80, (2,))
    for row in range(2):
        x[row, :, at[row] :: 120] += 3
    shown = network.attended(x, 0)
    assert shown.shape == (2, 300, 1) and (shown >= 0).all()
    positions, is_beat = peaks(x[..., 0], 100, 6)
    for row in range(2):
        near = torch.zeros(300, dtype=torch.bool)
        for position in positions[row, is_beat[row]].tolist():
            near[max(0, position - 25) : position + 39] = True
        assert not shown[row, ~near].any() and (shown[row, near] > 0).all() and not near.all()
        assert shown[row].sum() <= 1 + 1e-5


@pytest.mark.parametrize(
    ("options", "message"), [({"image": 20}, "20 is not a multiple of patch"), ({"top": "x"}, "top")]
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(0, **options)


def test_the_small_size():
    options = {"widths": [8, 16, 32], "beats": 5, "image": 32, "patch": 8}
    network = networks.build("mamil", options, (12, 250, 1), 1)
    assert sum(p.numel() for p in network.parameters()) == 18_561
