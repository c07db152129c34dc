"""InceptionFormer: the published sizes, every switch of the ablation, and the frames that each attention uses."""

import pytest
import torch

from auscult import networks
from auscult.networks.layers.self_attention import SelfAttention

LEADS = (12, 1000, 1)
FORMS = ["plain", "reduced", "shunted", "window", "shifted", "routed"]
SMALL = {"depths": [1, 1, 2, 2], "widths": [8, 8, 16, 16], "attention_heads": 4}


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def build(**options) -> torch.nn.Module:
    return networks.build("inception_former", options, LEADS, 9)


def test_the_published_sizes():
    network = build()
    assert count(network) == pytest.approx(12.45e6, rel=0.01)
    assert [count(stage) for stage in network.maps.stages] == pytest.approx(
        [35.07e3, 271.36e3, 3.18e6, 8.41e6], rel=2e-3
    )
    assert count(network.maps.stem) == pytest.approx(36.7e3, rel=2e-3)
    assert [count(fusion) for fusion in network.maps.fusions] == [24_576, 98_304, 393_216]


@pytest.mark.parametrize(
    ("options", "millions"),
    [
        ({"depths": [2, 4, 8], "widths": [64, 128, 256]}, 3.64),
        ({"depths": [2, 4, 8, 2]}, 8.25),
        ({"widths": [32, 64, 128, 256]}, 3.13),
    ],
)
def test_the_published_sizes_of_the_ablation(options, millions):
    assert count(build(**options)) == pytest.approx(1e6 * millions, rel=0.01)


@pytest.mark.parametrize("gate", ["none", "squeeze", "coordinate"])
@pytest.mark.parametrize("attention", [*FORMS, "modulation"])
def test_every_variant_takes_a_step(attention, gate):
    torch.manual_seed(0)
    network = networks.build("inception_former", {**SMALL, "attention": attention, "gate": gate}, (12, 203, 1), 3)
    logits, latents = network(torch.randn(4, 12, 203, 1))
    logits.square().sum().backward()
    assert logits.shape == (4, 3) and latents.shape == (4, 16)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_stages_halve_the_frames():
    reached = []
    network = build()
    for stage in network.maps.stages:
        stage.register_forward_hook(lambda module, inputs, output: reached.append(tuple(output.shape[1:])))
    network.eval()(torch.randn(1, *LEADS))
    assert reached == [(1000, 64), (500, 128), (250, 256), (125, 512)]


@pytest.mark.parametrize("kind", FORMS)
def test_kinds_differ_in_their_frames_not_in_parameters(kind):
    assert count(SelfAttention(16, 8, kind)) == 4 * 16 * 16 + 4 * 16


def reach(kind: str, frames: int = 50, at: int = 12) -> torch.Tensor:
    """Return which frames change the output at one frame."""
    torch.manual_seed(0)
    attention = SelfAttention(16, 8, kind, windows=5, routes=2).eval()
    x = torch.randn(1, frames, 16, requires_grad=True)
    attention(x)[0, at].sum().backward()
    return x.grad[0].abs().sum(dim=1) > 0


@pytest.mark.parametrize("kind", ["plain", "reduced", "shunted"])
def test_full_kinds_use_every_frame(kind):
    assert reach(kind).all()


def test_windows_use_their_own_frames():
    assert reach("window").nonzero().flatten().tolist() == list(range(10, 20))
    assert reach("shifted").nonzero().flatten().tolist() == list(range(5, 15))


def test_routes_lead_to_two_windows():
    reached = reach("routed")
    windows = {int(k) // 10 for k in reached.nonzero().flatten()}
    assert len(windows - {1}) in (1, 2) and reached.view(5, 10).any(1).sum() <= 3


def test_padding_has_no_effect():
    """23 frames in windows of 5: the outputs equal those of separate windows."""
    torch.manual_seed(0)
    attention = SelfAttention(16, 8, "window", windows=5).eval()
    plain = SelfAttention(16, 8, "plain").eval()
    plain.load_state_dict(attention.state_dict())
    x = torch.randn(2, 23, 16)
    by_hand = torch.cat([plain(x[:, k : k + 5]) for k in range(0, 23, 5)], dim=1)
    torch.testing.assert_close(attention(x), by_hand)


def test_shunted_heads_against_plain_attention_of_pooled_keys():
    torch.manual_seed(0)
    attention = SelfAttention(16, 8, "shunted").eval()
    x = torch.randn(2, 12, 16)
    q, k, v = attention.qkv(x).view(2, 12, 3, 8, 2).permute(2, 0, 3, 1, 4)
    mixed = []
    for head, by in enumerate([1, 1, 1, 1, 2, 2, 4, 4]):
        keys, values = (part[:, head].reshape(2, 12 // by, by, 2).mean(2) for part in (k, v))
        weights = torch.softmax(q[:, head] @ keys.transpose(1, 2) / 2**0.5, dim=-1)
        mixed.append(weights @ values)
    by_hand = attention.proj(torch.stack(mixed, dim=2).flatten(2))
    torch.testing.assert_close(attention(x), by_hand)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": [64, 128]}, "4 depths for 2 widths"),
        ({"widths": [64, 126, 256, 512]}, "not a multiple of 4"),
        ({"attention_heads": 3}, "not a multiple of attention_heads"),
        ({"attention": "axial"}, "attention"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
