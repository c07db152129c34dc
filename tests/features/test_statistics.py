"""The 44 statistics: golden values, librosa and scipy as oracles, and the values of degenerate signals."""

import warnings

import librosa
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.features.frame_measures import rolloff_and_bandwidth
from auscult.features.statistics import NAMES, TABLE, statistics

SEQUENCE = ("max", "sum", "mean", "variance", "max_abs", "skewness", "kurtosis")


def _named(samples: np.ndarray, rate_hz: int = 4000) -> dict[str, float]:
    values = statistics(samples, rate_hz)
    assert values.shape == (44,)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    return dict(zip(NAMES, values.tolist(), strict=True))


def _noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.1, size=n)


def _signal(kind: str, n: int, level: float) -> np.ndarray:
    time = np.arange(n)
    return {
        "silent": np.zeros(n),
        "constant": np.full(n, level),
        "clipped": np.clip(_noise(n, 1) * 100, -1, 1),
        "square": np.sign(np.sin(time / 7)) * level,
        "noise": _noise(n) * level,
        "tone": level * np.sin(time / 5),
        "impulse": np.where(time == n // 2, level, 0.0),
    }[kind]


def _oracle_sequence(values: np.ndarray) -> list[float]:
    values = np.ravel(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        shape = [float(scipy.stats.skew(values)), float(scipy.stats.kurtosis(values))]
    shape = [0.0 if np.isnan(value) else value for value in shape]
    return [values.max(), values.sum(), values.mean(), values.var(), np.abs(values).max(), *shape]


def _oracle(x: np.ndarray, rate_hz: int) -> np.ndarray:
    """The 44 statistics with librosa and scipy, as in the published code."""
    rms, peak = np.sqrt(np.mean(x**2)), np.abs(x).max()
    values = [
        1.0,
        x.min(),
        x.max(),
        x.mean(),
        rms,
        x.var(),
        x.std(),
        np.mean(x**2),
        peak,
        np.ptp(x),
        peak / rms,
    ]
    values += [scipy.stats.skew(x), scipy.stats.kurtosis(x), rms / x.mean(), peak / x.mean()]
    values += _oracle_sequence(np.abs(np.fft.fft(x)) ** 2 / len(x))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_fft=2048 is too large")
        values += _oracle_sequence(librosa.feature.spectral_centroid(y=x, sr=rate_hz))
        values += _oracle_sequence(librosa.feature.spectral_rolloff(y=x + 0.01, sr=rate_hz))
        values += _oracle_sequence(librosa.feature.spectral_bandwidth(y=x + 0.01, sr=rate_hz))
    return np.array([*values, librosa.zero_crossings(x, pad=False).sum()])


def test_golden_values():
    n = np.arange(40000)
    x = 0.1 * np.sin(2 * np.pi * 150 * n / 4000) + 0.02 * np.sin(2 * np.pi * 600 * n / 4000) + 0.001
    golden = [1, -0.113127, 0.115127, 0.001, 0.072118, 0.0052, 0.0721111, 0.005201, 0.115127, 0.228254]
    golden += [1.59637, 0, -1.38905, 72.118, 115.127]
    golden += [100, 208.04, 0.005201, 0.500773, 100, 141.081, 19931.2]
    golden += [263.042, 17695.9, 223.999, 53.4896, 263.042, 4.5342, 19.5941]
    golden += [591.797, 14080.1, 178.229, 9057.68, 591.797, 4.09929, 14.8045]
    golden += [249.726, 13934.5, 176.386, 190.576, 249.726, 4.4531, 18.7147]
    golden += [2999]
    np.testing.assert_allclose(statistics(x, 4000), golden, rtol=1e-5, atol=1e-6)


def test_names_are_in_the_order_of_the_reference():
    assert len(NAMES) == len(set(NAMES)) == 44
    assert NAMES[:5] == ("present", "minimum", "maximum", "mean", "rms")
    assert NAMES[10:15] == ("crest", "skewness", "kurtosis", "form", "pulse")
    for start, name in ((15, "spectrum"), (22, "centroid"), (29, "rolloff"), (36, "bandwidth")):
        assert NAMES[start : start + 7] == tuple(f"{name}_{what}" for what in SEQUENCE)
    assert NAMES[43] == "zero_crossings"
    assert tuple(TABLE) == NAMES
    assert all(unit and meaning for unit, meaning in TABLE.values())


# Lengths: odd, prime, multiples of 64, less than a frame, a whole number of hops, one less.
@pytest.mark.parametrize("n", [20000, 19997, 20032, 64 * 311, 8192, 8191, 2048, 2047, 1500, 513, 512, 100, 7, 2])
@pytest.mark.parametrize("rate_hz", [100, 4000, 44100])
def test_parity_with_librosa_and_scipy(n: int, rate_hz: int):
    x = _noise(n, seed=n) + 0.003
    np.testing.assert_allclose(statistics(x, rate_hz), _oracle(x, rate_hz), rtol=1e-7, atol=1e-9)


def test_parity_with_pauses_tones_and_steps():
    x = np.concatenate([np.zeros(6000), _noise(6000), 0.5 * np.sin(np.arange(6000) / 9), np.full(6000, -0.2)])
    np.testing.assert_allclose(statistics(x, 4000), _oracle(x, 4000), rtol=1e-7, atol=1e-8)


def test_parity_in_16_bit_samples_and_from_float32():
    x = np.round(_noise(30000) * 32768) / 32768
    np.testing.assert_allclose(statistics(x, 4000), _oracle(x, 4000), rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(statistics(x.astype(np.float32), 4000), statistics(x, 4000))


def test_zero_crossings_count_tiny_samples_as_zero():
    x = np.array([1.0, -1e-11, 1.0, -1e-9, 0.0, -0.0, -1.0, 0.5])
    assert _named(x)["zero_crossings"] == librosa.zero_crossings(x, pad=False).sum() == 4


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(["silent", "constant", "clipped", "square", "noise", "tone", "impulse"]),
    n=st.one_of(st.integers(1, 70), st.integers(1, 6000)),
    level=st.floats(-1.0, 1.0),
    rate_hz=st.sampled_from([100, 4000, 44100]),
)
def test_any_signal_gives_finite_statistics(kind: str, n: int, level: float, rate_hz: int):
    x = _signal(kind, n, level)
    values = _named(x, rate_hz)
    assert values["present"] == 1.0
    assert values["minimum"] == x.min()
    assert values["maximum"] == x.max()
    for name in ("spectrum", "centroid", "rolloff", "bandwidth"):
        assert values[f"{name}_max"] == values[f"{name}_max_abs"] >= 0.0
        assert values[f"{name}_variance"] >= 0.0
    assert values["rolloff_max"] <= rate_hz / 2
    np.testing.assert_allclose(values["spectrum_sum"], np.sum(x**2), rtol=1e-9, atol=1e-12)
    if n < 512:
        for name in ("centroid", "rolloff", "bandwidth"):
            assert values[f"{name}_variance"] == values[f"{name}_skewness"] == values[f"{name}_kurtosis"] == 0.0


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 5000), level=st.floats(0.001, 1.0), sign=st.sampled_from([-1.0, 1.0]))
def test_constant_signals_have_their_documented_values(n: int, level: float, sign: float):
    values = _named(np.full(n, sign * level))
    for name in ("variance", "standard_deviation", "peak_to_peak", "skewness", "kurtosis", "zero_crossings"):
        assert values[name] == 0.0
    np.testing.assert_allclose([values["crest"], values["form"], values["pulse"]], [1, sign, sign], rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 5000))
def test_silence_has_its_documented_values(n: int):
    values = _named(np.zeros(n))
    for name in NAMES[1:29]:  # the samples', the spectrum's, the centroid's
        assert values[name] == 0.0
    assert values["zero_crossings"] == 0.0


def test_a_frame_that_0_01_makes_silent_has_no_rolloff_and_no_bandwidth():
    values = _named(np.full(6000, -0.01))
    for name in NAMES[29:43]:
        assert values[name] == 0.0


def test_a_mean_of_zero_has_no_form_and_no_pulse():
    values = _named(np.tile([0.5, -0.5], 1000))
    assert values["form"] == values["pulse"] == 0.0
    assert values["crest"] == pytest.approx(1.0)


def test_the_flat_spectrum_of_an_impulse_has_no_skewness():
    values = _named(_signal("impulse", 4000, 0.7))
    assert values["spectrum_skewness"] == values["spectrum_kurtosis"] == 0.0


def test_one_sample():
    values = _named(np.array([0.25]))
    assert values["spectrum_max"] == values["spectrum_sum"] == values["spectrum_mean"] == 0.0625
    assert values["zero_crossings"] == values["spectrum_variance"] == 0.0


@settings(max_examples=20, deadline=None)
@given(bad=st.sampled_from([np.nan, np.inf, -np.inf]), at=st.integers(0, 299))
def test_nan_and_infinity_are_refused(bad: float, at: int):
    x = _noise(300)
    x[at] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        statistics(x, 4000)


@pytest.mark.parametrize(
    ("samples", "rate_hz", "word"),
    [
        (np.zeros(0), 4000, "n at least 1"),
        (np.zeros((1, 10)), 4000, "shape"),
        (np.zeros(10, np.int16), 4000, "divide them by full scale"),
        (np.zeros(10), 0, "rate must be positive"),
        (_noise(100) * 1e200, 4000, "too large"),
    ],
)
def test_other_input_is_refused(samples: np.ndarray, rate_hz: int, word: str):
    with pytest.raises(ValueError, match=word):
        statistics(samples, rate_hz)


@pytest.mark.parametrize(
    "magnitude",
    [np.ones(20), np.r_[np.zeros(5), 17.0, 3.0], np.r_[1.0, np.zeros(9)], np.random.default_rng(0).random(1025)],
)
def test_rolloff_is_the_first_bin_that_reaches_the_share(magnitude):
    """Also where it is reached exactly: 17 of 20."""
    total = np.cumsum(magnitude)
    bins = np.arange(len(magnitude))
    mean = (bins * magnitude).sum() / magnitude.sum()
    spread = np.sqrt(((bins - mean) ** 2 * magnitude).sum() / magnitude.sum())
    expected = (np.argmax(total >= 0.85 * total[-1]), spread)
    assert rolloff_and_bandwidth(magnitude, 0.85, 0.0) == pytest.approx(expected, rel=1e-9, abs=1e-6)
    assert rolloff_and_bandwidth(magnitude, 0.85, magnitude.sum()) == (0.0, 0.0)
