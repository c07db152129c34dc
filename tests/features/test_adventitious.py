"""Numbers of wheezes and crackles: generated tones and clicks, lines against brute force, general properties."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kurtosis

from auscult.features.adventitious import (
    LINE_FRAMES,
    NAMES,
    OCTAVES,
    RATE_HZ,
    TABLE,
    adventitious,
    clearest_lines,
    prominence,
)

SECONDS = np.arange(3 * RATE_HZ) / RATE_HZ


def named(x: np.ndarray, rate: int = RATE_HZ) -> dict[str, float]:
    return dict(zip(NAMES, adventitious(x, rate), strict=True))


def noise(seed: int = 0) -> np.ndarray:
    return 0.05 * np.random.default_rng(seed).standard_normal(len(SECONDS))


def tone(hertz: float, onset: float = 1.0, lasts: float = 0.3) -> np.ndarray:
    inside = (onset <= SECONDS) & (onset + lasts > SECONDS)
    return inside * 0.1 * np.sin(2 * np.pi * hertz * SECONDS)


def clicks(hertz: float) -> np.ndarray:
    """A damped click of 5 ms every 0.3 s."""
    since = SECONDS % 0.3
    return np.exp(-since / 0.002) * np.sin(2 * np.pi * hertz * since)


def test_names_units_and_order():
    assert NAMES[:4] == ("tone_100", "tone_200", "tone_400", "tone_800") and len(NAMES) == 16
    assert {unit for unit, _ in TABLE.values()} == {"dB", "1"}


@pytest.mark.parametrize(("hertz", "octave"), [(150, 100), (300, 200), (600, 400), (1200, 800)])
def test_a_tone_stands_out_in_its_octave_alone(hertz, octave):
    plain, mixed = named(noise()), named(noise() + tone(hertz))
    rise = {low: mixed[f"tone_{low}"] - plain[f"tone_{low}"] for low, _ in OCTAVES}
    assert rise.pop(octave) > 6 and max(rise.values()) < 3
    assert mixed[f"tones_{octave}"] > plain[f"tones_{octave}"]


def test_a_tone_must_be_long():
    short, long = named(noise() + tone(300, lasts=0.03)), named(noise() + tone(300, lasts=0.25))
    assert long["tone_200"] > short["tone_200"] + 4


def test_a_tone_may_drift():
    glide = 0.1 * np.sin(2 * np.pi * (220 * SECONDS + 40 * SECONDS**2)) * (SECONDS < 1.5)  # 80 Hz a second
    assert named(noise() + glide)["tone_200"] > named(noise())["tone_200"] + 6


@pytest.mark.parametrize(("hertz", "octave"), [(550, 400), (1150, 800)])
def test_clicks_are_heavy_tails(hertz, octave):
    plain, mixed = named(noise()), named(noise() + clicks(hertz))
    assert abs(plain[f"click_{octave}"]) < 1 and mixed[f"click_{octave}"] > 3
    assert mixed[f"clicks_{octave}"] > plain[f"clicks_{octave}"] + 0.5


def test_kurtosis_is_scipys():
    from scipy.signal import butter, sosfiltfilt

    x = noise() + clicks(600)
    band = sosfiltfilt(butter(3, (400, 800), "bandpass", fs=RATE_HZ, output="sos"), x)
    assert named(x)["click_400"] == pytest.approx(kurtosis(band))
    assert named(x)["clicks_400"] == pytest.approx(kurtosis(band.reshape(-1, 200), axis=1).mean())


def test_lines_against_brute_force():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4, LINE_FRAMES + 2))
    expected = []
    for first in range(3):
        paths = [(bin_, *steps) for bin_ in range(4) for steps in product((-1, 0, 1), repeat=LINE_FRAMES - 1)]
        best = -np.inf
        for path in paths:
            bins = np.cumsum(path)
            if bins.min() >= 0 and bins.max() < 4:
                best = max(best, values[bins, first + np.arange(LINE_FRAMES)].mean())
        expected.append(best)
    np.testing.assert_allclose(clearest_lines(values), expected)


def test_frames_and_bins():
    decibels, hertz = prominence(noise())
    assert decibels.shape == (129, 1 + (len(SECONDS) - 256) // 64) and hertz[1] == 15.625
    assert np.abs(np.median(decibels)) < 0.5


def test_octaves_beyond_half_the_rate_are_0():
    x = named(noise()[:1500], 1000)
    assert x["tone_400"] == x["click_400"] == x["tone_800"] == 0 and x["tone_200"] != 0


@pytest.mark.parametrize("size", [1, 100, 255, 300, 600, 703])
def test_short_recordings_have_finite_numbers(size):
    assert np.isfinite(adventitious(noise()[:size], RATE_HZ)).all()


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_silence_and_a_constant_are_0(level):
    np.testing.assert_allclose(adventitious(np.full(8000, level), RATE_HZ)[8:], 0, atol=1e-6)
    assert np.isfinite(adventitious(np.full(8000, level), RATE_HZ)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_refused(bad):
    with pytest.raises(ValueError, match="NaN or infinity"):
        adventitious(np.array([0.0, bad, 1.0]), RATE_HZ)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros((2, 100))])
def test_one_channel_with_samples_is_needed(samples):
    with pytest.raises(ValueError, match="one channel with samples"):
        adventitious(samples, RATE_HZ)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), gain=st.floats(0.05, 2))
def test_loudness_cancels(seed, gain):
    x = noise(seed) + tone(300)
    np.testing.assert_allclose(adventitious(gain * x, RATE_HZ), adventitious(x, RATE_HZ), atol=1e-3)
