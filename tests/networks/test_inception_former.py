"""InceptionFormer: the published sizes, every switch of the ablation, and the frames that each attention uses."""

import pytest
import torch

from auscult import networks
from auscult.inference.explanation_maps import grad_cam
from auscult.networks import inception_former
from auscult.networks.layers.coordinate import CoordinateAttention
from auscult.networks.layers.self_attention import FARTHEST, ConvolutionalModulation, SelfAttention

LEADS = (12, 1000, 1)
FORMS = ["plain", "reduced", "shunted", "window", "shifted", "routed", "hilo"]
SMALL = {"depths": [1, 1, 2, 2], "widths": [8, 8, 16, 16], "attention_heads": 4}


VARIANTS = [
    {"kernels": [3, 7, 11, 19]},
    {"kernels": [5]},
    {"mixers": "progressive"},
    {"order": "linear"},
    {"order": "parallel"},
    {"mixers": "progressive", "order": "parallel", "depths": [1, 3, 3, 1]},
    {"attention": "strided"},
    {"attention": "hilo"},
    {"attention": "hilo", "window": 3, "attention_heads": 1},
    {"attention": "none"},
    *({"position": position} for position in ("learned", "relative", "cpe", "value")),
    *({"position": "relative", "attention": attention} for attention in [*FORMS, "strided"]),
    {"convolution": "inverted", "gate": "squeeze"},
    {"feed_forward": "glu"},
    {"feed_forward": "convolution"},
    {"gate": "joint"},
    {"tokens": 5},
    {"head": "cls"},
    {"head": "cls", "tokens": 5, "attention": "hilo", "feed_forward": "convolution", "position": "cpe"},
]


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def build(**options) -> torch.nn.Module:
    return networks.build("inception_former", options, LEADS, 9)


def small(inputs=(3, 203, 1), **options) -> torch.nn.Module:
    torch.manual_seed(0)
    return networks.build("inception_former", {**SMALL, **options}, inputs, 3)


def attentions(kind: str, position: str = "none", **sizes) -> tuple[SelfAttention, SelfAttention]:
    """The same attention with and without positions."""
    one, other = (SelfAttention(16, 8, kind, position=which, **sizes).eval() for which in (position, "none"))
    other.load_state_dict({key: value for key, value in one.state_dict().items() if key in other.state_dict()})
    return one, other


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


def test_the_default_network_draws_the_same_weights_in_every_release():
    """Files of weights have these names, and a seed gives these weights."""
    state = small().state_dict()
    drawn = {
        "maps.stem.0.branches.0.weight": -0.0009916535,
        "maps.fusions.2.weight": -0.1198510155,
        "maps.stages.2.1.mixer.proj.weight": 0.1488839686,
        "maps.stages.3.1.shrink.bias": -0.1502895653,
        "head.weight": -0.1232650280,
    }
    assert len(state) == 102
    assert {name: float(state[name].flatten()[0]) for name in drawn} == pytest.approx(drawn, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"attention": "plain"}, 12_446_273),
        ({"attention": "hilo"}, 12_446_273),
        ({"attention": "none"}, 7_224_897),
        ({"attention": "strided"}, 12_446_273 + sum(4 * (2 * width**2 + 3 * width) for width in (256, 512))),
        ({"head": "cls"}, 12_446_785),
        ({"mixers": "progressive"}, 13_336_129),
        ({"order": "linear"}, 12_446_273),
        ({"order": "parallel"}, 12_446_273),
        ({"kernels": [3, 7, 11, 19]}, 12_446_273),
        ({"position": "cpe"}, 12_458_561),
        ({"position": "value"}, 12_458_561),
        ({"position": "learned"}, 12_446_273 + 250 * 256),
        ({"tokens": 25}, 12_446_273 + 4_739_584),
    ],
)
def test_the_sizes_of_variants(options, parameters):
    with torch.device("meta"):
        assert count(networks.build("inception_former", options, LEADS, 1)) == parameters


def test_semantic_tokens_have_the_published_multiply_adds():
    """Without the products of attention, which the published counts leave out."""
    network = build(tokens=25, attention="plain").eval()
    products = 2 * 25 * (125 + 150) * 512
    assert networks.multiply_adds(network.maps.fusions[2][1], (512, 125)) - products == pytest.approx(
        235.93e6, rel=1e-4
    )
    products += 4 * 2 * 250**2 * 256 + 4 * 2 * 25**2 * 512
    assert networks.multiply_adds(network, LEADS) - products == pytest.approx(1.53e9, rel=0.005)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_gradients_reach_every_parameter_of_every_variant(options):
    network = small(**options)
    logits, latents = network(torch.randn(8, 3, 203, 1))
    logits.square().sum().backward()
    assert logits.shape == (8, 3) and latents.shape == (8, 16)
    assert not [key for key, p in network.named_parameters() if not p.grad.abs().sum() > 0]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("frames", [1, 2, 7, 29])
def test_short_windows_of_every_variant(frames, options):
    network = small((3, 203, 1), **options)
    logits, _ = network(torch.randn(4, 3, frames, 1))
    logits.square().sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_variant_is_explained_by_its_maps(options):
    network, x = small(**options), torch.randn(2, 3, 203, 1)
    shown, logits = zip(*(grad_cam(network, x, output) for output in range(3)), strict=True)
    assert shown[0].shape == (2, 203, 1) and any((part > 0).any() for part in shown)
    torch.testing.assert_close(torch.stack(logits, dim=1), network(x)[0].detach())


def kinds(network: torch.nn.Module) -> list[str]:
    names = {inception_former.MultiScale: "c", ConvolutionalModulation: "m", SelfAttention: "a"}
    return ["".join(names[type(block.mixer)] for block in stage) for stage in network.maps.stages]


def test_the_order_of_blocks():
    with torch.device("meta"):
        assert kinds(build()) == ["cc", "cccc", "cacacaca", "aaaa"]
        assert kinds(build(order="linear")) == ["cc", "cccc", "ccccaaaa", "aaaa"]
        assert kinds(build(mixers="progressive")) == ["cc", "cmcm", "mamamama", "aaaa"]
        assert kinds(build(mixers="progressive", order="linear")) == ["cc", "ccmm", "mmmmaaaa", "aaaa"]
        assert kinds(build(attention="none")) == ["cc", "cccc", "cccccccc", "cccc"]
        assert kinds(build(order="linear", depths=[1, 1, 3, 1])) == ["c", "c", "cca", "a"]


def test_parallel_blocks_add_their_changes():
    network, x = small(order="parallel").eval(), torch.randn(2, 20, 16)
    (pair,) = network.maps.stages[2]
    local, distant = pair.blocks
    assert isinstance(local.mixer, inception_former.MultiScale) and isinstance(distant.mixer, SelfAttention)
    torch.testing.assert_close(pair(x), local(x) + distant(x) - x)


def test_half_of_the_heads_of_hilo_stay_in_windows_and_half_use_averages():
    torch.manual_seed(0)
    attention, x = SelfAttention(16, 8, "hilo", length=5).eval(), torch.randn(2, 23, 16)
    q, k, v = attention.qkv(x).view(2, 23, 3, 8, 2).permute(2, 0, 3, 1, 4)
    mixed = []
    for head in range(8):
        if head < 4:
            parts = zip(*(part[:, head].split(5, dim=1) for part in (q, k, v)), strict=True)
        else:
            keys, values = (torch.stack([p.mean(1) for p in part[:, head].split(5, dim=1)], dim=1) for part in (k, v))
            parts = [(q[:, head], keys, values)]
        mixed.append(torch.cat([torch.softmax(a @ b.transpose(1, 2) / 2**0.5, dim=-1) @ c for a, b, c in parts], dim=1))
    torch.testing.assert_close(attention(x), attention.proj(torch.stack(mixed, dim=2).flatten(2)))


@pytest.mark.parametrize("frames", [1, 12, 13])
def test_strided_attention_is_attention_to_joined_pairs(frames):
    torch.manual_seed(0)
    attention, x = SelfAttention(16, 8, "strided").eval(), torch.randn(2, frames, 16)
    padded = torch.cat([x, torch.zeros(2, frames % 2, 16)], dim=1)
    joined = torch.einsum("bpsw,ows->bpo", padded.unflatten(1, (-1, 2)), attention.join.weight) + attention.join.bias
    oracle = torch.nn.MultiheadAttention(16, 8, batch_first=True).eval()
    oracle.in_proj_weight, oracle.in_proj_bias = attention.qkv.weight, attention.qkv.bias
    oracle.out_proj = attention.proj
    keys = attention.norm(joined)
    torch.testing.assert_close(attention(x), oracle(x, keys, keys)[0])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["plain", "window", "shifted", "routed", "hilo"])
def test_a_bias_of_one_distance_leads_to_the_frame_at_that_distance(kind, seed):
    torch.manual_seed(seed)
    attention, _ = attentions(kind, "relative", windows=5, routes=5, length=10)
    x, distance = torch.randn(2, 50, 16), int(torch.randint(-4, 5, ()))
    with torch.no_grad():
        attention.bias.table.zero_()
        attention.bias.table[:, FARTHEST + distance] = 1000
        v = attention.qkv(x)[..., 32:]
        heads_output = []
        attention.proj.register_forward_pre_hook(lambda module, inputs: heads_output.append(inputs[0]))
        attention(x)
    heads = 8 if kind == "hilo" else 16  # channels; the other heads of hilo attend to averages
    first = {"shifted": 5}.get(kind, 0)  # windows of 10 frames
    at = [
        frame
        for frame in range(50)
        if 0 <= frame + distance < 50
        and (kind in ("plain", "routed") or (frame - first) // 10 == (frame + distance - first) // 10)
    ]
    found = heads_output[0][:, at, :heads]
    torch.testing.assert_close(found, v[:, [frame + distance for frame in at], :heads])


@pytest.mark.parametrize(("kind", "factors"), [("reduced", [2] * 8), ("shunted", [1] * 4 + [2] * 2 + [4] * 2)])
def test_distances_to_averages_are_those_of_their_middles(kind, factors):
    torch.manual_seed(0)
    attention, _ = attentions(kind, "relative")
    torch.nn.init.normal_(attention.bias.table)
    x = torch.randn(2, 90, 16)
    q, k, v = attention.qkv(x).view(2, 90, 3, 8, 2).permute(2, 0, 3, 1, 4)
    place, mixed = torch.arange(90.0), []
    for head, by in enumerate(factors):
        keys, values = (torch.stack([p.mean(1) for p in part[:, head].split(by, dim=1)], dim=1) for part in (k, v))
        middles = torch.stack([p.mean() for p in place.split(by)])
        distance = (middles[None] - place[:, None]).round().clamp(-FARTHEST, FARTHEST).long()
        scores = q[:, head] @ keys.transpose(1, 2) / 2**0.5 + attention.bias.table[head][distance + FARTHEST]
        mixed.append(torch.softmax(scores, dim=-1) @ values)
    torch.testing.assert_close(attention(x), attention.proj(torch.stack(mixed, dim=2).flatten(2)))


@pytest.mark.parametrize("kind", [*FORMS, "strided"])
def test_a_bias_of_0_changes_nothing(kind):
    torch.manual_seed(0)
    attention, without = attentions(kind, "relative")
    torch.nn.init.zeros_(attention.bias.table)
    x = torch.randn(2, 53, 16)
    torch.testing.assert_close(attention(x), without(x))


@pytest.mark.parametrize("kind", FORMS)
def test_a_convolution_of_the_values_is_added(kind):
    torch.manual_seed(0)
    attention, without = attentions(kind, "value")
    x = torch.randn(2, 53, 16)
    local = attention.local(attention.qkv(x)[..., 32:].transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(attention(x), without(x) + local @ attention.proj.weight.T)


@pytest.mark.parametrize("position", ["learned", "cpe"])
def test_positions_of_0_change_nothing_and_others_do(position):
    network, without, x = small(position=position).eval(), small().eval(), torch.randn(2, 3, 203, 1)
    network.load_state_dict(without.state_dict(), strict=False)
    new = [value for key, value in network.state_dict().items() if key not in without.state_dict()]
    assert (network(x)[0] != without(x)[0]).all()
    for value in new:
        value.zero_()
    torch.testing.assert_close(network(x), without(x))


def test_few_tokens_stand_for_the_frames_of_the_fourth_stage():
    network = small(tokens=6).eval()
    for frames, tokens in ((8, 1), (40, 5), (203, 6), (400, 6)):
        assert network.maps(torch.randn(1, 3, frames)).shape == (1, 16, tokens, 1)
    x = torch.randn(1, 16, 26, requires_grad=True)
    network.maps.fusions[2][1](x)[0, :, 3].square().sum().backward()
    assert (x.grad.abs().sum(dim=1) > 0).all()


def test_a_class_token_hears_every_frame_of_the_fourth_stage_and_feeds_the_head():
    network = small(head="cls").eval()
    reached = []
    network.last.stage.register_forward_hook(lambda module, inputs, output: reached.append((inputs[0], output)))
    logits, latents = network(torch.randn(2, 3, 203, 1))
    given, left = reached[0]
    assert given.shape == (2, 27, 16) and torch.equal(given[:, 0], network.last.token.expand(2, 16))
    assert torch.equal(latents, left[:, 0]) and torch.equal(logits, network.head(latents))
    x = torch.randn(1, 16, 51, requires_grad=True)
    network.last(x).sum().backward()
    assert (x.grad.abs().sum(dim=1) > 0).all()


def test_a_gated_feed_forward_part():
    block, x = small(feed_forward="glu").maps.stages[0][0].eval(), torch.randn(2, 9, 8)
    block.mixer = torch.nn.Identity()
    after = x + block.norm1(x)
    value, gate = block.expand(block.norm2(after)).chunk(2, dim=2)
    torch.testing.assert_close(block(x), after + block.shrink(value * torch.sigmoid(gate)))


def test_a_convolution_in_the_feed_forward_part_reaches_one_frame_further():
    block, x = small(feed_forward="convolution").maps.stages[0][0].eval(), torch.randn(1, 9, 8, requires_grad=True)
    block.mixer = torch.nn.Identity()
    block(x)[0, 4].square().sum().backward()
    assert (x.grad[0].abs().sum(dim=1) > 0).nonzero().flatten().tolist() == [3, 4, 5]


def test_an_inverted_convolution_mixes_channels_and_frames():
    mixer = small(convolution="inverted").maps.stages[0][0].mixer
    assert [branch.in_channels for branch in mixer.convolve.branches] == [4] * 4
    x = torch.randn(1, 8, 41, requires_grad=True)
    mixer(x)[0, 0, 20].backward()
    reached = x.grad[0].abs() > 0
    assert reached[:, 10:31].all() and not reached[:, :10].any() and not reached[:, 31:].any()


def test_a_joint_gate_by_hand():
    torch.manual_seed(0)
    gate, x = CoordinateAttention(32).eval(), torch.randn(2, 32, 9)
    convolve, norm, act = gate.squeeze
    frames, mean = (act(norm(convolve(part))) for part in (x, x.mean(2, True)))
    of_frame, of_mean = torch.sigmoid(gate.of_frame(frames)), torch.sigmoid(gate.of_mean(mean))
    assert of_frame.shape == (2, 32, 9) and of_mean.shape == (2, 32, 1) and convolve.out_channels == 8
    torch.testing.assert_close(gate(x), x * of_frame * of_mean)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": [3, 4]}, "kernels: 4 has no middle"),
        ({"kernels": [3, 5, 7]}, "widths: 64 is not a multiple of the number of kernels"),
        ({"attention": "none", "position": "cpe"}, "position: cpe needs attention"),
        ({"depths": [1, 1], "widths": [8, 8], "position": "learned"}, "position: learned needs attention"),
        ({"attention": "strided", "position": "value"}, "values of every frame"),
        ({"depths": [1, 1, 1], "widths": [8, 8, 8], "tokens": 5}, "tokens: there is no fourth stage"),
        ({"depths": [1, 1, 1], "widths": [8, 8, 8], "head": "cls"}, "head: cls: there is no fourth stage"),
        *(({"head": "cls", "attention": kind}, kind) for kind in ("window", "shifted", "modulation", "none")),
    ],
)
def test_variants_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
