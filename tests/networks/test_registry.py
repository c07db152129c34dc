"""Requirements of all networks."""

import importlib

import pytest
import torch
from safetensors.torch import load_file, save_file

from auscult import networks

RESIDUAL = {"block": "basic", "depths": [1, 1], "widths": [4, 8], "stem_kernel": 3}
SMALL = {
    "dbresnet": RESIDUAL,
    "dynse_bdresnet": {**RESIDUAL, "widths": [8, 16]},
    "compact": {"widths": [4, 8]},
    "inception_time": {"depth": 3, "filters": 4, "kernels": [9, 5, 3]},
    "resnet1d": {"depths": [1, 1], "widths": [8, 16]},
    "ast": {"patch": 8, "stride": 6, "width": 16, "depth": 2, "attention_heads": 2},
    "cnn8": {"width": 2, "scalars": 0},
    "vgg_scalars": {"width": 2, "scalars": 0},
    "mobilenet1d": {"width": 0.25},
    "inception_former": {"depths": [1, 1, 2, 1], "widths": [8, 8, 16, 16], "attention_heads": 4},
    "meta_ecgnet": {"depths": [1, 1], "widths": [8, 16], "windows": [5, 1], "attention_heads": 2},
    "mina": {"segment": 10, "kernel": 4, "filters": 8, "units": 8},
    "spectral_resnet": {**RESIDUAL, "window": 8, "hop": 4},
    "two_stream": {
        "time": {"depths": [1, 1], "widths": [4, 8]},
        "frequency": {**RESIDUAL, "window": 8, "hop": 4},
    },
    "cnn_attention": {"widths": [4, 8]},
    "crnn_attention": {"convolutions": [4], "widths": [8, 4]},
    "light_transformer": {"widths": [8, 8, 8], "squeeze_ratio": 1, "beats": 5, "kernels": [3, 5], "heads": 2},
    "mamil": {"widths": [8, 8, 8], "squeeze_ratio": 1, "beats": 5, "image": 16, "patch": 8},
    "mrtnet": {"segment": 32, "scales": [1, 2], "widths": [8, 16], "squeeze_ratio": 1},
    "token_selection": {
        "width": 16,
        "token_width": 16,
        "kernels": [(8, 16), (4, 20)],
        "depths": [2, 2],
        "targets": [1, 1],
        "attention_heads": 2,
        "ratio": 2,
    },
    "dual_path_rnn": {"width": 8, "hidden": 4, "depth": 2, "segment": 8},
    "mpgt": {"width": 16, "depth": 2},
    "im_ecg": {"widths": [8, 8, 8, 8], "repeats": [1, 1], "ratio": 1},
    "se_ecgnet": {"width": 8, "stem_kernel": 5, "ratio": 1},
    "cpc": {"width": 8, "hidden": 8, "head_width": 8},
    "clocs": {"widths": [8, 8, 8], "places": 4, "embedding": 8, "scale": False},
    "st_mem": {"patch": 8, "width": 16, "depth": 2, "attention_heads": 2, "patch_norm": False},
    "mvms_net": {"widths": [8, 16], "kernel": 5},
    "ecgnet": {"filters": 4, "depth": 5, "growth": 8, "features": 16, "lstm": 8},
    "multi_module": {"widths": [8, 16], "lstm": 8, "parts": 3, "window": 8, "hop": 4},
    "case_attention": {"width": 16},
    "pretrained_vit": {"patch_frames": 8, "patch_bands": 8, "width": 16, "depth": 2, "attention_heads": 2},
}
SHAPES = [(1, 40, 16), (3, 40, 16), (12, 40, 16), (1, 40, 1)]
pytestmark = pytest.mark.parametrize("name", networks.names())


def build(name: str, inputs=(2, 40, 16), outputs=2, seed=0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return networks.build(name, SMALL.get(name, {}), inputs, outputs)


def read_by(name: str, inputs: tuple[int, int, int]) -> tuple[int, int, int]:
    """A shape of windows; those of cases have one more value, which says what is padding."""
    channels, frames, bands = inputs
    return channels, frames, bands + getattr(importlib.import_module(f"auscult.networks.{name}"), "READS_CASES", False)


def batch(inputs, size=4) -> torch.Tensor:
    return torch.randn(size, *inputs, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("inputs", SHAPES)
@pytest.mark.parametrize("outputs", [1, 5])
def test_shapes(name, inputs, outputs):
    inputs = read_by(name, inputs)
    logits, latents = build(name, inputs, outputs)(batch(inputs))
    assert logits.shape == (4, outputs)
    assert latents.ndim == 2 and len(latents) == 4
    assert torch.isfinite(logits).all() and torch.isfinite(latents).all()


@pytest.mark.parametrize("inputs", SHAPES)
def test_gradients_reach_every_parameter(name, inputs):
    inputs = read_by(name, inputs)
    network = build(name, inputs)
    logits, _ = network(batch(inputs, 8))
    (logits**2).sum().backward()
    dead = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not dead


def test_every_output_depends_on_every_channel(name):
    inputs = (3, 40, 16)
    network, x = build(name, inputs).eval(), batch(inputs)
    for channel in range(3):
        changed = x.clone()
        changed[:, channel] += 1
        assert (network(changed)[0] != network(x)[0]).all()


def test_same_seed_same_weights(name):
    first, same_seed, other_seed = (build(name, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], same_seed[key]) for key in first)
    assert any(not torch.equal(first[key], other_seed[key]) for key in first)


def test_state_round_trip(name, tmp_path):
    network, x = build(name), batch((2, 40, 16))
    network(x)  # changes the batch statistics, which must be saved too
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    copy = build(name, seed=1)
    copy.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    for a, b in zip(network.eval()(x), copy.eval()(x), strict=True):
        assert torch.equal(a, b)


def test_a_batch_of_one_is_scored_like_a_row_of_many(name):
    network, x = build(name).eval(), batch((2, 40, 16))
    for a, b in zip(network(x), network(x[:1]), strict=True):
        torch.testing.assert_close(a[:1], b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_a_very_short_window(name, frames):
    logits, latents = build(name, (1, frames, 16)).eval()(batch((1, frames, 16), 1))
    assert torch.isfinite(logits).all() and torch.isfinite(latents).all()


def test_evaluation_mode_is_deterministic_and_training_mode_leaves_the_input_alone(name):
    network, x = build(name), batch((2, 40, 16))
    original = x.clone()
    network(x)
    assert torch.equal(x, original)
    network.eval()
    assert torch.equal(network(x)[0], network(x)[0])


def test_unknown_option_is_refused(name):
    with pytest.raises(ValueError, match="no_such_option"):
        networks.build(name, {"no_such_option": 1}, (1, 40, 16), 1)
