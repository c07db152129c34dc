"""DynSE-BDResNet: published size, schedule of dropout, gates, and parts switched off one by one."""

from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from auscult import networks
from auscult.networks.dynse_bdresnet import Options
from auscult.networks.layers import attention
from auscult.networks.layers.attention import adaptive_kernel
from auscult.networks.layers.dropout import StochasticDropout, set_stochastic

SMALL = {"block": "basic", "depths": [1, 2], "widths": [8, 16], "stem_kernel": 3}


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def small(**options) -> nn.Module:
    torch.manual_seed(0)
    return networks.build("dynse_bdresnet", {**SMALL, **options}, (1, 20, 8), 2).eval()


def test_published_size():
    network = networks.build("dynse_bdresnet", {"as_published": True}, (3, 400, 64), 1)
    gates = [m for m in network.modules() if isinstance(m, attention.PublishedSqueeze)]
    assert parameters(network) == 27_298_545
    assert [parameters(gate) for gate in gates] == [12_560] * 3 + [49_696] * 4 + [197_696] * 6 + [788_608] * 3


@pytest.mark.parametrize(
    ("channels", "kernel"), [(8, 3), (16, 3), (64, 3), (128, 5), (256, 5), (512, 5), (1024, 5), (2048, 7)]
)
def test_the_kernel_adapts_to_the_number_of_channels(channels, kernel):
    assert adaptive_kernel(channels) == kernel
    assert attention.AdaptiveKernelAttention(channels).conv.weight.shape == (1, 2, kernel)


def test_all_kernels_occur_in_the_full_size():
    network = networks.build("dynse_bdresnet", {}, (1, 400, 64), 1)
    kernels = [m.conv.kernel_size[0] for m in network.modules() if isinstance(m, attention.AdaptiveKernelAttention)]
    assert kernels == [5] * 13 + [7] * 3


def test_every_tap_of_the_kernel_acts():
    """The kernel of the published gate moved over 1x1 maps, where all taps but one met padding."""
    torch.manual_seed(0)
    gate = attention.AdaptiveKernelAttention(256)
    gate(torch.randn(2, 256, 5, 4)).square().sum().backward()
    assert (gate.conv.weight.grad.abs() > 0).all()


@pytest.mark.parametrize(
    "gate", [attention.AdaptiveKernelAttention(32), attention.SqueezeExcitation(32), attention.SpatialAttention()]
)
def test_untrained_gates_are_near_one(gate):
    x = torch.randn(4, 32, 9, 7)
    ratio = (gate(x) / x).detach()
    assert ((ratio > 0.8) & (ratio < 1.25)).all() and ratio.mean().item() == pytest.approx(1, abs=0.05)


def test_gates_in_the_network_are_near_one_too():
    network = small(dropout="off")
    plain = small(channel="none", spatial=False, dropout="off")
    plain.load_state_dict({key: value for key, value in network.state_dict().items() if ".gate." not in key})
    x = torch.randn(4, 1, 20, 8)
    torch.testing.assert_close(network(x)[1], plain(x)[1], rtol=0.05, atol=0.02)


def test_the_published_gate_starts_at_a_half():
    x = torch.randn(4, 32, 9, 7)
    assert (attention.PublishedSqueeze(32)(x) / x).mean().item() == pytest.approx(0.5, abs=0.1)


def test_a_channel_gate_is_one_number_per_channel_and_a_spatial_one_per_position():
    x = torch.rand(2, 32, 9, 7) + 1
    by_channel = attention.AdaptiveKernelAttention(32)(x) / x
    by_place = attention.SpatialAttention()(x) / x
    torch.testing.assert_close(by_channel, by_channel[..., :1, :1].expand_as(x))
    torch.testing.assert_close(by_place, by_place[:, :1].expand_as(x))
    assert by_channel[0, :, 0, 0].unique().numel() > 1 and by_place[0, 0].unique().numel() > 1


def test_adaptive_kernel_attention_against_a_loop():
    torch.manual_seed(0)
    gate, x = attention.AdaptiveKernelAttention(8), torch.randn(1, 8, 4, 3)
    nn.init.normal_(gate.conv.weight)
    means = [float(x[0, c].mean()) for c in range(8)]
    tops = [float(x[0, c].max()) for c in range(8)]
    weight = gate.conv.weight.detach()[0]
    for c in range(8):
        z = gate.conv.bias.item()
        for tap in range(3):
            if 0 <= (at := c + tap - 1) < 8:
                z += float(weight[0, tap]) * means[at] + float(weight[1, tap]) * tops[at]
        torch.testing.assert_close(gate(x)[0, c], x[0, c] * 2 / (1 + torch.exp(torch.tensor(-z))))


@pytest.mark.parametrize("mean", [0.1, 0.3, 0.5])
def test_the_schedule_grows_with_depth_and_keeps_its_mean(mean):
    rates = Options(dropout_mean=mean).rates()
    assert len(rates) == 18  # stem, 16 blocks, head
    assert rates == sorted(rates) and rates[0] < rates[-1]
    assert sum(rates) / 18 == pytest.approx(mean)
    steps = [b - a for a, b in pairwise(rates)]
    assert steps == pytest.approx([steps[0]] * 17)


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ({}, [0.06, 0.18, 0.3, 0.42, 0.54]),
        ({"dropout": "constant"}, [0.3] * 5),
        ({"dropout": "off"}, [0.0] * 5),
        ({"as_published": True}, [0.0, 0.3, 0.3, 0.3, 0.3]),
    ],
)
def test_dropout_that_is_executed(options, rates, monkeypatch):
    network = small(**options)
    executed_rates = []
    forward = StochasticDropout.forward
    monkeypatch.setattr(
        StochasticDropout, "forward", lambda self, x: (executed_rates.append(self.p), forward(self, x))[1]
    )
    set_stochastic(network, True)
    network(torch.randn(2, 1, 20, 8))
    stem, *blocks, head = rates
    assert executed_rates == pytest.approx([stem, *[rate for rate in blocks for _ in range(2)], head])


def test_parts_switched_off_leave_the_plain_network():
    bare = small(channel="none", spatial=False, dropout="off")
    plain = networks.build("dbresnet", {**SMALL, "dropout": 0}, (1, 20, 8), 2).eval()
    plain.load_state_dict(bare.state_dict())
    x = torch.randn(3, 1, 20, 8)
    assert torch.equal(bare(x)[0], plain(x)[0])


def test_each_part_has_its_parameters():
    bare = parameters(small(channel="none", spatial=False))
    assert parameters(small(channel="none")) - bare == 3 * (2 * 49 + 1)
    assert parameters(small(spatial=False)) - bare == 3 * (2 * 3 + 1)
    squeezed = sum(2 * c * 1 + 1 + c + c for c in (8, 16, 16))
    assert parameters(small(channel="se", spatial=False)) - bare == squeezed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"as_published": True, "channel": "se"}, "as_published: fixes channel; leave them out"),
        ({"dropout_mean": 0.6}, "would reach 1"),
        ({"channel": "eca"}, "channel"),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        Options(**options)


def test_complete_options_are_accepted_again():
    filled = Options(as_published=True).model_dump()
    assert Options(**filled).as_published
