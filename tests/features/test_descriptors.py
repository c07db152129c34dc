"""The 23 descriptors: values computed by hand, known signals, undefined values, and properties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from auscult.features import descriptors as module
from auscult.features.descriptors import CONSTANT, NAMES, RATE_HZ, TABLE, WINDOW, descriptors, of_window

NOISE = np.random.default_rng(0).standard_normal(WINDOW)
SINE = np.sin(2 * np.pi * 50 * np.arange(WINDOW) / RATE_HZ)


def named(values: np.ndarray) -> dict[str, float]:
    return dict(zip(NAMES, values, strict=True))


def test_there_are_23_with_unit_and_meaning():
    assert len(NAMES) == 23 and all(unit and meaning for unit, meaning in TABLE.values())


def sample_entropy(x: list[float], tolerance: float) -> float:
    """Sample entropy by its definition, pair by pair."""
    n, match_counts = len(x), {}
    for m in (2, 3):
        starts = range(n - 2)
        match_counts[m] = sum(
            all(abs(x[i + k] - x[j + k]) <= tolerance for k in range(m)) for i in starts for j in starts if i < j
        )
    return -math.log(match_counts[3] / match_counts[2])


@pytest.mark.parametrize("scale", [1, 3])
def test_sample_entropy_against_its_definition(scale):
    x = NOISE[:300] + SINE[:300]
    coarse = [float(np.mean(x[k : k + scale])) for k in range(0, 300 - scale + 1, scale)]
    actual = named(of_window(x))[f"sample_entropy_{scale}"]
    assert actual == pytest.approx(sample_entropy(coarse, 0.15 * float(np.std(x))), rel=1e-6)


def test_without_a_match_entropy_is_the_bound_of_its_length():
    x = np.arange(12.0)
    assert named(of_window(x))["sample_entropy_1"] == pytest.approx(math.log(10 * 9 / 2))


def test_noise_and_a_tone():
    noise, tone = named(of_window(NOISE)), named(of_window(SINE))
    assert noise["permutation_entropy"] > 0.99 > tone["permutation_entropy"]
    assert noise["spectral_entropy"] > 0.9 and tone["spectral_entropy"] < 0.1
    assert noise["sample_entropy_1"] > 2 > 0.5 > tone["sample_entropy_1"]
    assert noise["higuchi_fd"] == pytest.approx(2, abs=0.05) and tone["higuchi_fd"] < 1.3
    assert noise["dfa_exponent"] == pytest.approx(0.5, abs=0.1)
    assert noise["lempel_ziv"] == pytest.approx(1, abs=0.1) and tone["lempel_ziv"] < 0.2
    assert noise["complexity_index"] == pytest.approx(sum(noise[f"sample_entropy_{k}"] for k in range(1, 11)))
    assert noise["entropy_slope"] < 0  # white noise loses entropy with the scale
    assert tone["hjorth_mobility"] == pytest.approx(2 * np.sin(np.pi * 50 / RATE_HZ), rel=1e-3)


def test_brown_noise_has_exponent_one_and_a_half():
    assert named(of_window(np.cumsum(NOISE)))["dfa_exponent"] == pytest.approx(1.5, abs=0.1)


def test_flux_of_a_steady_tone_varies_less_than_of_clicks():
    clicks = 0.001 * NOISE
    clicks[::500] += 1
    assert named(of_window(clicks))["flux_variation"] > 3 * named(of_window(SINE))["flux_variation"]


def test_a_recording_has_the_mean_of_its_complete_windows():
    x = np.concatenate([NOISE, SINE, NOISE[: WINDOW // 2]])
    expected = (of_window(NOISE) + of_window(SINE)) / 2
    np.testing.assert_allclose(descriptors(x, RATE_HZ), expected)


def test_other_rates_are_resampled_to_1_khz():
    t = np.arange(4 * 4000) / 4000
    fast, slow = (
        named(descriptors(np.sin(2 * np.pi * 50 * s) * (1 + 0.3 * np.sin(2 * np.pi * 3 * s)), rate))
        for s, rate in ((t, 4000), (t[::4], 1000))
    )
    for name in ("hjorth_mobility", "higuchi_fd", "permutation_entropy", "sample_entropy_1"):
        assert fast[name] == pytest.approx(slow[name], rel=0.05, abs=0.02)


@pytest.mark.parametrize("size", [1, 9, 50, 500, 5000])
@pytest.mark.parametrize("level", [0.0, 0.5])
def test_a_constant_recording(size, level):
    assert descriptors(np.full(size, level), RATE_HZ).tolist() == CONSTANT.tolist()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="NaN or infinity"):
        descriptors(np.array([0.0, bad, 1.0]), RATE_HZ)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros((2, 5))])
def test_no_samples_and_several_channels_are_refused(samples):
    with pytest.raises(ValueError, match="one channel with samples"):
        descriptors(samples, RATE_HZ)


SIGNALS = st.one_of(
    arrays.arrays(np.float64, st.integers(1, 400), elements=st.floats(-1, 1, width=32)),
    arrays.arrays(np.float64, st.integers(1, 400), elements=st.sampled_from([-1.0, 0.0, 1.0])),  # clipped, quantised
)


@settings(deadline=None, max_examples=60)
@given(SIGNALS)
def test_always_23_finite_values(x):
    values = descriptors(x, RATE_HZ)
    assert values.shape == (23,) and np.isfinite(values).all()


@settings(deadline=None, max_examples=20)
@given(st.floats(0.01, 100), st.integers(0, 5))
def test_gain_has_no_effect_apart_from_rounding(gain, seed):
    x = np.random.default_rng(seed).standard_normal(400)
    katz = NAMES.index("katz_fd")  # measures distances along samples and time together
    a, b = np.delete(of_window(x), katz), np.delete(of_window(gain * x), katz)
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_antropy_is_not_imported_with_the_module():
    import subprocess
    import sys
    from pathlib import Path

    code = "import sys, auscult.features.descriptors; sys.exit('antropy' in sys.modules)"
    environment = {"PYTHONPATH": str(Path(module.__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
