"""MVMS-Net: which channels a view hears, its weights, options `leads` and `views`, and the form of a block."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from auscult import networks
from auscult.networks.mvms_net import Options

SMALL = {"widths": [4, 8], "kernel": 5}
FEW = settings(max_examples=12, deadline=None, derandomize=True)


def build(inputs, seed=0, **options) -> nn.Module:
    torch.manual_seed(seed)
    return networks.build("mvms_net", {**SMALL, **options}, inputs, 2).eval()


def test_the_views_of_twelve_leads_are_the_walls_of_the_heart():
    leads = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
    views = {frozenset(leads[number] for number in view) for view in Options().channels_of_views(12)}
    named = [{"aVR"}, {"I", "aVL"}, {"V1", "V2"}, {"V3", "V4"}, {"V5", "V6"}, {"II", "III", "aVF"}]
    assert views == {frozenset(view) for view in named}


@given(channels=st.integers(1, 30))
@FEW
def test_the_views_contain_every_channel_once(channels):
    views = Options().channels_of_views(channels)
    assert sorted(channel for view in views for channel in view) == list(range(channels))
    if channels <= 3:
        assert len(views) == channels
    elif channels != 12:
        assert all(len(view) == 2 for view in views[:-1])


@given(channels=st.integers(1, 13), bands=st.integers(1, 2), frames=st.integers(1, 60), data=st.data())
@FEW
def test_a_channel_moves_the_maps_of_its_view_alone(channels, bands, frames, data):
    network, x = build((channels, frames, bands)), torch.randn(2, channels, frames, bands)
    channel = data.draw(st.integers(0, channels - 1))
    changed = x.clone()
    changed[:, channel] += torch.randn(2, frames, bands)
    with torch.no_grad():
        difference = (network.maps(x) - network.maps(changed)).unflatten(1, (-1, 8)).abs().amax(dim=(0, 2, 3, 4))
    moved = [channel in view for view in network.maps.channels_of_views]
    assert [bool(size > 0) for size in difference] == moved and sum(moved) == 1


@given(seed=st.integers(0, 2**31), scale=st.floats(0, 20))
@FEW
def test_the_weights_of_the_views_are_between_0_and_1_and_weigh_them(seed, scale):
    network = build((12, 50, 1), seed)
    x = scale * torch.randn(3, 12, 50, 1)
    with torch.no_grad():
        means = network.maps(x).mean(dim=(2, 3)).unflatten(1, (6, 8))
        weights = network.fusion.weights(means)
        latents = network(x)[1]
    assert weights.shape == (3, 6, 1) and (weights > 0).all() and (weights < 1).all()
    torch.testing.assert_close(latents, sum(weights[:, view] * means[:, view] for view in range(6)))


@pytest.mark.parametrize("frames", [1, 2, 3, 100, 999, 1000])
def test_padding_keeps_a_quarter_of_the_frames(frames):
    maps = build((12, frames, 1)).maps(torch.randn(2, 12, frames, 1))
    assert maps.shape == (2, 6 * 8, -(-frames // 4), 1)


@given(data=st.data(), channels=st.integers(1, 12), views=st.sampled_from(["walls", "one"]))
@FEW
def test_leads_are_the_only_channels_that_matter(data, channels, views):
    leads = data.draw(st.lists(st.integers(0, channels - 1), min_size=1, unique=True))
    network, x = build((channels, 40, 1), leads=leads, views=views), torch.randn(2, channels, 40, 1)
    of_leads_alone = build((len(leads), 40, 1), views=views)
    with torch.no_grad():
        logits = network(x)[0]
        others = [channel for channel in range(channels) if channel not in leads]
        changed = x.clone()
        changed[:, others] = torch.nan
        assert torch.equal(network(changed)[0], logits)
        assert torch.equal(of_leads_alone(x[:, leads])[0], logits)


def test_views_can_be_named_by_their_channels():
    network = build((5, 40, 1), views=[[4, 0], [2]])
    x = torch.randn(2, 5, 40, 1, requires_grad=True)
    network(x)[0].sum().backward()
    assert [bool(size > 0) for size in x.grad.abs().sum(dim=(0, 2, 3))] == [True, False, True, False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"leads": [0, 3]}, "no channel 3"),
        ({"views": [[0], [1, 7]]}, "no channel 7"),
        ({"leads": [0, 0]}, "occurs twice"),
        ({"leads": []}, "at least 1"),
        ({"leads": [-1]}, "greater than or equal to 0"),
        ({"leads": [0], "views": [[0]]}, "chooses the channels itself"),
        ({"kernel": 4}, "odd"),
    ],
)
def test_wrong_channels_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build((3, 40, 1), **options)


@pytest.mark.parametrize("hierarchical", [False, True])
def test_hierarchical_parts_depend_on_the_parts_before(hierarchical):
    block = build((2, 40, 1), views="one", hierarchical=hierarchical).maps.views[0][3]
    outputs: list[torch.Tensor] = []
    for convolution in block.convolutions:
        convolution.register_forward_hook(lambda module, inputs, out: outputs.append(out))
    block(torch.randn(2, 4, 40))
    for later in range(3):
        for earlier in range(3):
            weight = block.convolutions[earlier][0].weight
            gradient = torch.autograd.grad(outputs[later].sum(), weight, retain_graph=True, allow_unused=True)[0]
            reaches = gradient is not None and bool(gradient.abs().sum() > 0)
            assert reaches == (later == earlier or (hierarchical and later > earlier))
