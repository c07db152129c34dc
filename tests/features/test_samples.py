"""The front end `samples`: standardised per recording and channel, one frame per sample."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from auscult import features
from auscult.features.front_ends.samples import PRESETS, Settings, compute, frames_per_second, pad_value


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(2, 300), st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_every_channel_is_standardised_separately(channels: int, n: int, scale: float, shift: float) -> None:
    raw = np.random.default_rng(n).normal(size=(channels, n))
    samples = raw * scale * np.arange(1, channels + 1)[:, None] + shift
    frames = compute(samples, 100, Settings())
    assert frames.shape == (n, channels, 1)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(frames.std(axis=0), 1, rtol=1e-4)
    expected = (raw - raw.mean(axis=1, keepdims=True)) / raw.std(axis=1, keepdims=True)
    np.testing.assert_allclose(frames[:, :, 0].T, expected, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0, 1e6])
def test_a_constant_channel_becomes_zeros_and_leaves_the_others(value: float) -> None:
    wave = np.sin(np.arange(50.0))
    frames = compute(np.stack([wave, np.full(50, value), 2 * wave]), 100, Settings())
    assert (frames[:, 1] == 0).all()
    np.testing.assert_allclose(frames[:, 0], frames[:, 2], rtol=1e-6)
    assert frames[:, 0].std() == pytest.approx(1)


def test_one_sample_is_a_constant() -> None:
    assert compute(np.array([[3.0], [0.0]]), 100, Settings()).tolist() == [[[0.0], [0.0]]]


def test_the_input_is_not_changed() -> None:
    samples = np.arange(6, dtype=np.int16).reshape(2, 3)
    compute(samples, 100, Settings())
    assert samples.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the audio has 500 Hz, settings\.rate_hz is 100"):
        compute(np.zeros((1, 10)), 500, Settings())
    assert compute(np.zeros((1, 10)), 500, Settings(rate_hz=500)).shape == (10, 1, 1)


@pytest.mark.parametrize("settings", [{"rate_hz": 0}, {"rate": 100}])
def test_settings_are_checked(settings: dict) -> None:
    with pytest.raises(ValidationError):
        Settings(**settings)


def test_it_is_a_front_end_like_the_others() -> None:
    front_end, samples = features.front_end("samples", {"rate_hz": 250}), np.random.default_rng(0).normal(size=(2, 9))
    assert features.preset("samples") == PRESETS["samples"] and front_end.settings == Settings(rate_hz=250)
    np.testing.assert_array_equal(front_end.compute(samples, 250), compute(samples, 250, front_end.settings))
    assert (front_end.frames_per_second, front_end.frame_s, front_end.pad_value) == (250.0, 1 / 250, 0.0)
    assert features.module_of("samples") == compute.__module__
    assert frames_per_second(Settings(rate_hz=250)) == 250.0
    assert pad_value(Settings()) == 0.0
    assert {"band1k", "fbank", "planes9", "reference", "samples"} <= set(features.names())
    with pytest.raises(KeyError, match="cepstrum"):
        features.front_end("cepstrum", {})


def test_without_normalisation_only_the_mean_is_subtracted() -> None:
    wave = np.sin(2 * np.pi * np.arange(100) / 20)
    frames = compute(np.stack([wave + 3, 5 * wave, np.full(100, 2.0)]), 100, Settings(normalise="none"))
    np.testing.assert_allclose(frames[:, :, 0].T, np.stack([wave, 5 * wave, 0 * wave]), atol=1e-6)


@pytest.mark.parametrize(
    ("presets", "message"),
    [(None, "mine.py: needs PRESETS"), ({"samples": Settings()}, "the front end 'samples' is in .* already")],
)
def test_a_front_end_file_that_does_not_fit_is_named(monkeypatch, presets, message) -> None:
    module = ModuleType("mine")
    module.__file__ = "mine.py"
    if presets is not None:
        module.PRESETS = presets
    imported = features.importlib.import_module
    monkeypatch.setattr(
        features.importlib, "import_module", lambda name: module if name.endswith(".planes9") else imported(name)
    )
    with pytest.raises(ValueError, match=message):
        features._families.__wrapped__()
