"""The Kaldi filter bank: compared with a plain implementation of its definition, and refused inputs."""

import math

import numpy as np
import pytest

from auscult.features import preset
from auscult.features.front_ends import fbank

AST = fbank.PRESETS["fbank"]


def plain(x: np.ndarray, rate: int, settings: fbank.Settings) -> np.ndarray:
    """The front end, one frame and one band at a time, after Kaldi's feature-window.cc and mel-computations.cc."""
    window, hop = round(settings.window_s * rate), round(settings.hop_s * rate)
    points = 2 ** math.ceil(math.log2(window))
    x = x - x.mean()

    def mel(hz: float) -> float:
        return 1127.0 * math.log(1 + hz / 700)

    step = (mel(rate / 2) - mel(settings.low_hz)) / (settings.bands + 1)
    rows = []
    for start in range(0, len(x) - window + 1, hop):
        frame = x[start : start + window] - x[start : start + window].mean()
        for k in range(window - 1, 0, -1):
            frame[k] -= 0.97 * frame[k - 1]
        frame[0] -= 0.97 * frame[0]
        frame = frame * [0.5 - 0.5 * math.cos(2 * math.pi * k / (window - 1)) for k in range(window)]
        power = np.abs(np.fft.fft(frame, points)) ** 2
        row = []
        for band in range(settings.bands):
            left = mel(settings.low_hz) + band * step
            energy = 0.0
            for k in range(points // 2):
                at = mel(k * rate / points)
                if left < at < left + 2 * step:
                    energy += power[k] * min((at - left) / step, (left + 2 * step - at) / step)
            row.append(math.log(max(energy, np.finfo(np.float32).eps)))
        rows.append(row)
    return (np.array(rows) - settings.mean) / settings.scale


@pytest.mark.parametrize("rate", [4000, 16000])
def test_against_the_definition(rate):
    x = np.random.default_rng(0).normal(scale=0.1, size=rate // 5) + 0.3
    settings = AST.model_copy(update={"bands": 24})
    np.testing.assert_allclose(
        fbank.compute(x[None], rate, settings)[:, 0], plain(x, rate, settings), rtol=1e-4, atol=1e-5
    )


def test_shape_and_name():
    x = np.random.default_rng(0).normal(size=(2, 8 * 16000))
    assert fbank.compute(x, 16000, AST).shape == (798, 2, 128)
    assert preset("fbank") == AST and fbank.frames_per_second(AST) == 100


@pytest.mark.parametrize("x", [np.zeros(16000), np.full(16000, 0.5), np.zeros(3)])
def test_silence_is_the_floor(x):
    frames = fbank.compute(x[None], 16000, AST)
    assert np.isfinite(frames).all()
    np.testing.assert_allclose(frames, (math.log(np.finfo(np.float32).eps) - AST.mean) / AST.scale, rtol=1e-5)


def test_a_rate_that_is_too_low_is_refused():
    with pytest.raises(ValueError, match=r"raise dataset\.rate_hz"):
        fbank.compute(np.zeros((1, 100)), 30, AST)
