"""Every network at its default size: parameters, published multiply-adds, and a training step."""

import importlib

import pytest
import torch

from auscult import networks

PARAMETERS = {
    "dbresnet": ((3, 400, 64), 23_510_081),
    "dynse_bdresnet": ((3, 400, 64), 23_511_853),
    "compact": ((1, 250, 40), 77_425),
    "inception_time": ((1, 4000, 1), 435_777),
    "resnet1d": ((12, 1000, 1), 3_849_345),
    "ast": ((1, 798, 128), 85_986_817),
    "cnn8": ((10, 63, 128), 2_433_665),
    "vgg_scalars": ((10, 63, 128), 8_146_177),
    "mobilenet1d": ((12, 1000, 1), 2_182_625),
    "inception_former": ((12, 1000, 1), 12_446_273),
    "meta_ecgnet": ((12, 1000, 1), 7_761_061),
    "mina": ((12, 1000, 1), 156_161),
    "spectral_resnet": ((12, 1000, 1), 21_313_433),
    "two_stream": ((12, 1000, 1), 28_537_113),
    "cnn_attention": ((1, 250, 40), 960_962),
    "crnn_attention": ((1, 250, 40), 5_152_258),
    "light_transformer": ((12, 1000, 1), 508_309),
    "mamil": ((12, 1000, 1), 271_741),
    "mrtnet": ((12, 1000, 1), 1_112_971),
    "token_selection": ((12, 1000, 1), 33_542_265),
    "dual_path_rnn": ((12, 1000, 1), 2_590_978),
    "mpgt": ((12, 1000, 1), 2_104_065),
    "pretrained_vit": ((1, 608, 80), 85_412_353),
    "im_ecg": ((12, 1000, 1), 25_596_673),
    "se_ecgnet": ((12, 1000, 1), 37_903_263),
    "mvms_net": ((12, 1000, 1), 2_244_231),
    "cpc": ((12, 1000, 1), 5_790_721),
    "clocs": ((12, 250, 1), 24_825),
    "st_mem": ((12, 2250, 1), 85_126_807),
    "ecgnet": ((12, 1000, 1), 7_414_505),
    "multi_module": ((12, 1000, 1), 613_761),
    # normalisation, embedding and token of the case; a layer of attention and one of 128 units; head
    "case_attention": (
        (1, 4, 1025),
        2 * 1024 + 1025 * 64 + 64 + (128 + 65 * 192 + 65 * 64) + (128 + 65 * 128 + 129 * 64) + 128 + 65,
    ),
    "linear": ((1, 4, 1024), 3 * 1024 + 1),
    "mlp": ((1, 4, 1024), 2 * 1024 + 1025 * 128 + 129),
}


def test_every_network_is_listed():
    assert set(PARAMETERS) == set(networks.names())


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    inputs, count = PARAMETERS[name]
    assert sum(p.numel() for p in networks.build(name, {}, inputs, 1).parameters()) == count


@pytest.mark.parametrize(
    ("name", "options", "inputs", "outputs", "published"),
    [
        ("im_ecg", {}, (12, 1000, 1), 5, 25_599_749),
        ("im_ecg", {}, (12, 1000, 1), 9, 25_602_825),
        ("se_ecgnet", {"shared_shortcuts": True}, (8, 2048, 1), 34, 16_419_520),
        ("se_ecgnet", {}, (8, 2048, 1), 34, 17_018_496),
        ("se_ecgnet", {"shared_shortcuts": True}, (12, 1000, 1), 1, 36_563_551),
        ("mvms_net", {}, (12, 1000, 1), 5, 2_244_747),
        ("cpc", {}, (12, 1000, 1), 71, 5_826_631),
        ("cpc", {}, (12, 1000, 1), 5, 5_792_773),
        ("cpc", {"head": "linear"}, (12, 1000, 1), 71, 5_108_295),
        # published with the fixed positions: 24,576 and 12,288 numbers more
        ("st_mem", {}, (12, 2250, 1), 5, 85_154_459 - 24_576),
        ("st_mem", {"width": 384, "attention_heads": 6}, (12, 2250, 1), 5, 21_343_643 - 12_288),
        ("mvms_net", {}, (12, 1000, 1), 9, 2_245_263),
        ("mvms_net", {"views": "one"}, (12, 1000, 1), 1, 390_017),
        ("mvms_net", {"views": "one"}, (12, 1000, 1), 5, 390_533),
        ("mvms_net", {"views": "one"}, (12, 1000, 1), 9, 391_049),
        ("ecgnet", {}, (12, 1000, 1), 9, 7_419_953),
    ],
)
def test_other_published_parameters(name, options, inputs, outputs, published):
    with torch.device("meta"):
        network = networks.build(name, options, inputs, outputs)
    assert sum(p.numel() for p in network.parameters()) == published


def test_resnet34_along_time():
    """The size of systems published for nine classes of 12 leads (7.23 million)."""
    network = networks.build("resnet1d", {"depths": [3, 4, 6, 3]}, (12, 1000, 1), 9)
    assert sum(p.numel() for p in network.parameters()) == 7_227_785


@pytest.mark.parametrize(("name", "published"), [("inception_former", 2.14e9), ("resnet1d", 177e6)])
def test_multiply_adds(name, published):
    """Compared with the sum of hooks on every layer, which is the number published for nine classes of 12 leads.

    The published count of the transformer leaves out the products of its attention; ours has them.
    """
    network = networks.build(name, {}, (12, 1000, 1), 9).eval()
    total, counts = networks.multiply_adds(network, (12, 1000, 1)), []

    def count(layer, inputs, output):
        each = layer.weight[0].numel() if isinstance(layer, torch.nn.Conv1d) else layer.in_features
        counts.append(output.numel() * each)

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv1d | torch.nn.Linear):
            layer.register_forward_hook(count)
    network(torch.zeros(1, 12, 1000, 1))
    assert sum(counts) == pytest.approx(published, rel=0.015)
    assert total == sum(counts) if name == "resnet1d" else 1.02 < total / sum(counts) < 1.1


def test_multiply_adds_count_attention_and_change_nothing():
    options = {"patch": 4, "stride": 4, "width": 16, "depth": 1, "attention_heads": 2}
    network = networks.build("ast", options, (1, 24, 8), 1).train()
    tokens = 14
    products = 2 * tokens * tokens * 16  # queries with keys, and weights with values
    layers = 12 * 16 * 16 + tokens * (16 * 48 + 16 * 16 + 2 * 16 * 64) + 16
    assert networks.multiply_adds(network, (1, 24, 8)) == products + layers and network.training


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_the_full_size_takes_a_step(name):
    torch.manual_seed(0)
    inputs, _ = PARAMETERS[name]
    network = networks.build(name, {}, inputs, 1).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    before = [p.detach().clone() for p in network.parameters()]
    loss = network(torch.randn(2, *inputs))[0].square().mean()
    loss.backward()
    optimiser.step()
    assert torch.isfinite(loss) and all(torch.isfinite(p).all() for p in network.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize(
    ("method", "settings", "name", "options", "inputs", "published"),
    [
        ("cpc", {}, "cpc", {}, (12, 1000, 1), 5_261_312),
        ("cpc", {}, "cpc", {"encoder": "convolutions"}, (12, 1000, 1), 7_675_904),
        ("cpc", {}, "cpc", {"width": 128, "hidden": 128}, (12, 250, 1), 332_288),
        ("clocs", {}, "clocs", {}, (12, 250, 1), 24_760),
        ("clocs", {}, "clocs", {"embedding": 128}, (12, 250, 1), 45_304),
        ("masked", {}, "st_mem", {}, (12, 2250, 1), 88_501_985),
    ],
)
def test_parameters_of_pre_trainings(method, settings, name, options, inputs, published):
    """All that is trained: the encoder, what the method adds, and the normalisation of a transformer."""
    network = networks.build(name, options, inputs, 1)
    module = importlib.import_module(f"auscult.pretraining.methods.{method}")
    parts = [*module.build(module.Options(**settings), network, inputs).parameters()]
    parts += [weight for key, weight in network.named_parameters() if not key.startswith("head")]
    assert sum(weight.numel() for weight in parts) == published
