"""Pretrained weights: they are loaded into the right modules, and files that do not fit are refused."""

import re
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import save_file

from auscult import networks
from auscult.networks import WeightsError, load_pretrained

SIZES = {"block": "bottleneck", "depths": [1, 1], "widths": [4, 8]}
VIT = {"patch_frames": 8, "patch_bands": 8, "width": 16, "depth": 2, "attention_heads": 2}


def build(name: str, options: dict, inputs: tuple[int, int, int], seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return networks.build(name, options, inputs, 2).eval()


def image_weights() -> dict[str, torch.Tensor]:
    """Return weights with the names of torchvision, with the classifier, which is ignored."""
    network = build("dbresnet", SIZES, (3, 64, 32), seed=5).train()
    for _ in range(40):  # batch statistics like those of a trained network
        network(torch.randn(4, 3, 64, 32))
    return {**network.maps.state_dict(), "fc.weight": torch.zeros(1000, 32), "fc.bias": torch.zeros(1000)}


def saved(tmp_path: Path, weights: dict) -> Path:
    save_file({key: value.contiguous() for key, value in weights.items()}, tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def test_the_names_are_torchvisions():
    keys = set(build("dbresnet", {"depths": [3, 4, 6, 3]}, (3, 64, 32)).maps.state_dict())
    expected_names = {"conv1.weight", "bn1.running_mean", "layer1.0.downsample.0.weight", "layer1.0.downsample.1.bias"}
    expected_names |= {"layer4.2.conv3.weight", "layer3.5.bn2.num_batches_tracked", "layer2.3.conv1.weight"}
    assert expected_names <= keys
    assert len(keys) == 318  # torchvision's 320 without fc


@pytest.mark.parametrize("name", ["dbresnet", "dynse_bdresnet"])
def test_one_channel_is_the_same_as_three_copies(tmp_path, name):
    file = saved(tmp_path, image_weights())
    one_channel, three_channels = build(name, SIZES, (1, 64, 32), 1), build(name, SIZES, (3, 64, 32), 2)
    load_pretrained(name, one_channel, file)
    load_pretrained(name, three_channels, file)
    three_channels.load_state_dict(
        {key: value for key, value in one_channel.state_dict().items() if ".gate." in key}, strict=False
    )
    x = torch.randn(2, 1, 64, 32)
    torch.testing.assert_close(one_channel.maps(x), three_channels.maps(x.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


def test_untrained_gates_hardly_change_a_pretrained_network(tmp_path):
    file = saved(tmp_path, image_weights())
    plain, gated = build("dbresnet", SIZES, (1, 64, 32)), build("dynse_bdresnet", SIZES, (1, 64, 32))
    halved = build("dynse_bdresnet", {**SIZES, "as_published": True}, (1, 64, 32))
    x = torch.randn(4, 1, 64, 32)
    away = {}
    for key, name, network in [
        ("plain", "dbresnet", plain),
        ("gated", "dynse_bdresnet", gated),
        ("halved", "dynse_bdresnet", halved),
    ]:
        load_pretrained(name, network, file)
        away[key] = (network.maps(x) - plain.maps(x)).norm() / plain.maps(x).norm()
    assert away["plain"] == 0 and 0 < away["gated"] < 0.1 < away["halved"]


@pytest.mark.parametrize("wrapped", ["model", "state_dict", None])
def test_a_pth_file_may_be_wrapped(tmp_path, wrapped):
    weights = image_weights()
    torch.save({wrapped: weights, "epoch": 3} if wrapped else weights, tmp_path / "w.pth")
    network = build("dbresnet", SIZES, (3, 64, 32))
    load_pretrained("dbresnet", network, tmp_path / "w.pth")
    assert torch.equal(network.maps.layer2[0].conv2.weight, weights["layer2.0.conv2.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("layer2.0.conv2.weight"), "layer2.0.conv2.weight is missing"),
        (lambda w: w.update({"layer9.0.conv1.weight": torch.ones(1)}), "layer9.0.conv1.weight is not known"),
        (lambda w: w.update({"bn1.weight": torch.ones(5)}), r"bn1.weight has shape \(5,\), not \(4,\)"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, change, message):
    weights = image_weights()
    change(weights)
    file = saved(tmp_path, weights)
    with pytest.raises(WeightsError, match=f"{file}: weights of another network: {message}"):
        load_pretrained("dbresnet", build("dbresnet", SIZES, (3, 64, 32)), file)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_without_weights_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match="not readable as weights"):
        load_pretrained("dbresnet", build("dbresnet", SIZES, (3, 64, 32)), tmp_path / name)


def test_a_file_with_other_things_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="something other than named tensors"):
        load_pretrained("dbresnet", build("dbresnet", SIZES, (3, 64, 32)), tmp_path / "w.pth")


def vit_weights(frames: int) -> dict[str, torch.Tensor]:
    encoder = build("pretrained_vit", VIT, (1, frames, 16), seed=5).maps.state_dict()
    return {**encoder, "decoder_embed.weight": torch.ones(3)}  # a decoder, which is ignored


def test_a_transformer_starts_from_its_weights(tmp_path):
    weights = vit_weights(40)
    network = build("pretrained_vit", VIT, (1, 40, 16))
    load_pretrained("pretrained_vit", network, saved(tmp_path, weights))
    assert all(torch.equal(value, weights[key]) for key, value in network.maps.state_dict().items())
    assert not network.maps.patch_embed.proj.weight.requires_grad
    assert network.maps.blocks[0].attn.qkv.weight.requires_grad


def test_positions_of_longer_inputs_are_interpolated_along_time(tmp_path):
    weights = vit_weights(80)
    ramp = torch.arange(10.0).repeat(2)[:, None].expand(-1, 16)  # a value per position in time, the same for all bands
    weights["pos_embed"] = torch.cat([torch.zeros(1, 16), ramp])[None]
    network = build("pretrained_vit", VIT, (1, 40, 16))
    load_pretrained("pretrained_vit", network, saved(tmp_path, weights))
    along = network.maps.pos_embed[0, 1:, 0].view(2, 5)
    assert torch.equal(along[0], along[1])
    torch.testing.assert_close(along[0, 1:4], torch.tensor([2.5, 4.5, 6.5]), atol=0.1, rtol=0)


def test_another_number_of_bands_is_refused(tmp_path):
    file = saved(tmp_path, vit_weights(40))
    with pytest.raises(WeightsError, match="pos_embed"):
        load_pretrained("pretrained_vit", build("pretrained_vit", VIT, (1, 40, 24)), file)


def spoilt(value: torch.Tensor, how: str, place: int) -> torch.Tensor:
    if how in ("int32", "bool", "complex64"):
        return value.to(getattr(torch, how))
    if how == "sparse":
        return value.to_sparse()
    value = value.double() if how == "too large" else value.clone()
    value.view(-1)[place % value.numel()] = {"NaN": float("nan"), "infinity": -float("inf"), "too large": 1e300}[how]
    return value


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("how", ["NaN", "infinity", "too large", "int32", "bool", "complex64", "sparse"])
def test_values_that_no_weight_has_are_refused_wherever_they_are(tmp_path, how, seed):
    random = Random(seed)
    weights = build("dbresnet", SIZES, (3, 64, 32), seed=5).maps.state_dict()
    key = random.choice([key for key in weights if not key.endswith("num_batches_tracked")])
    torch.save(weights | {key: spoilt(weights[key], how, random.randrange(10**6))}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=re.escape(f"w.pth: {key} ")):
        load_pretrained("dbresnet", build("dbresnet", SIZES, (1, 64, 32)), tmp_path / "w.pth")


def test_a_negative_variance_is_refused(tmp_path):
    weights = build("dbresnet", SIZES, (3, 64, 32)).maps.state_dict()
    weights["bn1.running_var"][2] = -1e-3
    with pytest.raises(WeightsError, match=r"bn1\.running_var"):
        load_pretrained("dbresnet", build("dbresnet", SIZES, (1, 64, 32)), saved(tmp_path, weights))


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x80", b"<html>" * 99, b"PK\3\4x", b"version https://git-lfs", b"\0" * 99]
)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "w.bin"])
def test_a_file_of_any_other_content_is_refused_without_advice_to_trust_it(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{name}: not readable as weights") as error:
        load_pretrained("dbresnet", build("dbresnet", SIZES, (1, 64, 32)), tmp_path / name)
    assert "weights_only" not in str(error.value)
