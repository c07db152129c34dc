"""DBResNet: the published sizes, its 49 dropout positions, and dropout switched on and off."""

import pytest
import torch

from auscult import networks
from auscult.networks.layers.dropout import StochasticDropout, set_stochastic

BASIC = {"block": "basic", "depths": [1, 1], "widths": [4, 8], "stem_kernel": 3}


@pytest.fixture(scope="module")
def published() -> torch.nn.Module:
    return networks.build("dbresnet", {}, (3, 400, 64), 1)


def small(**options) -> torch.nn.Module:
    torch.manual_seed(0)
    return networks.build("dbresnet", {**BASIC, **options}, (1, 20, 8), 2).eval()


def inputs(size: int = 3) -> torch.Tensor:
    return torch.randn(size, 1, 20, 8, generator=torch.Generator().manual_seed(1))


def test_published_size(published):
    assert sum(p.numel() for p in published.parameters()) == 23_510_081
    assert sum(p.numel() for p in published.head.parameters()) == 2_049


def test_published_maps(published):
    sizes = []
    parts = [published.maps.maxpool, *(getattr(published.maps, f"layer{stage}") for stage in (1, 2, 3, 4))]
    hooks = [part.register_forward_hook(lambda *a: sizes.append(tuple(a[2].shape[1:]))) for part in parts]
    with torch.no_grad():
        _, latents = published.eval()(torch.zeros(1, 3, 400, 64))
    for hook in hooks:
        hook.remove()
    assert sizes == [(64, 100, 16), (256, 100, 16), (512, 50, 8), (1024, 25, 4), (2048, 13, 2)]
    assert latents.shape == (1, 2048)


def test_49_dropouts_are_executed(published, monkeypatch):
    acted = []
    forward = StochasticDropout.forward

    def counted(self, x):
        out = forward(self, x)
        acted.append((self.p, out is not x))
        return out

    monkeypatch.setattr(StochasticDropout, "forward", counted)
    set_stochastic(published.eval(), True)
    with torch.no_grad():
        published(torch.randn(1, 3, 32, 32))
    assert acted == [(0.3, True)] * 49
    acted.clear()
    set_stochastic(published, False)
    with torch.no_grad():
        published(torch.randn(1, 3, 32, 32))
    assert acted == [(0.3, False)] * 49


@pytest.mark.parametrize("drop", ["elements", "channels"])
def test_dropout_on_and_off_in_evaluation_mode(drop):
    network, x = small(drop=drop), inputs()
    plain = network(x)[0]
    assert torch.equal(network(x)[0], plain)
    set_stochastic(network, True)
    torch.manual_seed(0)
    first, second = network(x)[0], network(x)[0]
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(network(x)[0], first)
    set_stochastic(network, False)
    assert torch.equal(network(x)[0], plain)


@pytest.mark.parametrize("drop", ["elements", "channels"])
def test_rows_of_a_batch_draw_their_own_dropout(drop):
    network = small(drop=drop)
    set_stochastic(network, True)
    logits, _ = network(inputs(1).expand(16, -1, -1, -1))
    assert len(logits.unique(dim=0)) > 12


def test_stochastic_passes_use_and_keep_the_running_statistics():
    network = small()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    set_stochastic(network, True)
    network(inputs())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_without_dropout_all_passes_are_equal():
    network, x = small(dropout=0.0), inputs()
    set_stochastic(network, True)
    assert torch.equal(network(x)[0], network(x)[0])
    network.train()
    assert torch.equal(network(x)[0], network(x)[0])


def test_entire_channels_are_dropped_and_the_others_scaled():
    torch.manual_seed(0)
    layer = StochasticDropout(0.25, channels=True)
    out = layer(torch.ones(200, 50, 3, 2))
    per_channel = out.flatten(2)
    assert (per_channel == per_channel[..., :1]).all()
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (per_channel[..., 0] == 0).float().mean() == pytest.approx(0.25, abs=0.02)
    assert layer(torch.ones(200, 50)).mean() == pytest.approx(1, abs=0.03)


def test_elements_are_dropped_one_by_one():
    torch.manual_seed(0)
    out = StochasticDropout(0.25)(torch.ones(200, 50, 3, 2)).flatten(2)
    assert (out != out[..., :1]).any()
    assert (out == 0).float().mean() == pytest.approx(0.25, abs=0.01)


def test_depths_and_widths_must_match():
    with pytest.raises(ValueError, match="2 depths for 1 widths"):
        networks.build("dbresnet", {"depths": [1, 1], "widths": [4]}, (1, 20, 8), 1)
