"""The front end `planes9`: planes compared with librosa, the 39 numbers computed by hand, refused inputs."""

import librosa
import numpy as np
import pytest
import scipy.signal

from auscult.features import preset
from auscult.features.front_ends import planes9

RATE = 16000
SETTINGS = planes9.Settings()


def clip(seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    """Noise of varying level with a tone."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.05 * rng.standard_normal(len(t)) + 0.2 * np.sin(2 * np.pi * 300 * t)) * np.sin(np.pi * t / seconds)


def standard(x: np.ndarray, axis=None) -> np.ndarray:
    return (x - x.mean(axis, keepdims=True)) / x.std(axis, keepdims=True)


def test_shape_order_and_name():
    picture = planes9.compute(clip()[None], RATE, SETTINGS)
    assert picture.shape == (63, 10, 128) and picture.dtype == np.float32
    assert planes9.compute(clip()[None], RATE, planes9.Settings(scalars=False)).shape == (63, 9, 128)
    assert list(planes9.planes(clip())) == planes9.PLANES == sorted(planes9.PLANES)
    assert preset("planes9") == SETTINGS
    assert planes9.frames_per_second(SETTINGS) == 62.5


def test_the_mel_planes_are_librosas():
    x = clip()
    planes = planes9.planes(x)
    mel = librosa.power_to_db(
        librosa.feature.melspectrogram(y=x, sr=RATE, n_fft=512, hop_length=256, n_mels=128, fmax=4500), ref=np.max
    )
    np.testing.assert_allclose(planes["mel"], standard(mel), atol=1e-9)
    for name, order in (("mel_delta", 1), ("mel_delta2", 2)):
        np.testing.assert_allclose(planes[name], standard(librosa.feature.delta(mel, order=order)), atol=1e-9)


def test_rows_and_standardisation():
    planes = planes9.planes(clip())
    rows = {name: plane.shape[0] for name, plane in planes.items()}
    assert rows == {
        "chroma": 24, "gammatone": 64, "lpc": 12, "mel": 128, "mel_delta": 128, "mel_delta2": 128, "mfcc": 120,
        "mod_spec": 40, "tempogram": 384,
    }  # fmt: skip
    for name in ("mel", "gammatone", "lpc", "mod_spec", "tempogram"):
        assert planes[name].mean() == pytest.approx(0, abs=1e-9) and planes[name].std() == pytest.approx(1)
    for name in ("mfcc", "chroma"):
        np.testing.assert_allclose(planes[name].mean(axis=1), 0, atol=1e-9)


def test_missing_rows_have_the_minimum_and_further_rows_are_cut():
    x = clip()
    picture, planes = planes9.compute(x[None], RATE, SETTINGS), planes9.planes(x)
    lpc, tempo = planes9.PLANES.index("lpc"), planes9.PLANES.index("tempogram")
    np.testing.assert_allclose(picture[:, lpc, :12], planes["lpc"][:, :63].T, rtol=1e-5)
    np.testing.assert_allclose(picture[:, lpc, 12:], planes["lpc"][:, :63].min(), rtol=1e-5)
    np.testing.assert_allclose(picture[:32, tempo], planes["tempogram"][:128, :32].T, rtol=1e-5)


def test_linear_prediction_finds_the_filter_of_a_signal():
    """x[n] = 1.3 x[n-1] - 0.8 x[n-2] + noise, filtered by scipy, with its pre-emphasis removed."""
    noise = np.random.default_rng(0).standard_normal(8 * RATE)
    emphasised = scipy.signal.lfilter([1], [1, -1.3, 0.8], noise)
    x = scipy.signal.lfilter([1], [1, -0.97], emphasised)
    values = planes9.linear_prediction(x)[:, 10:].mean(axis=1)
    np.testing.assert_allclose(values, [-1.3, 0.8, *[0] * 10], atol=0.05)


def test_numbers_of_a_tone():
    t = np.arange(RATE) / RATE
    values = planes9.scalars(0.5 * np.sin(2 * np.pi * 500 * t))
    assert len(values) == 39 and list(values) == planes9.SCALARS
    assert values["rms_max"] == pytest.approx(0.5 / 2**0.5, rel=0.01)
    assert values["zero_crossings_mean"] == pytest.approx(2 * 500 / RATE, rel=0.05)
    assert values["centroid_mean"] == pytest.approx(500 / 8000, rel=0.1)
    assert values["share_below_1k"] == pytest.approx(1, abs=1e-3)
    assert values["autocorrelation_10ms"] == pytest.approx(1, abs=0.02)  # five periods
    assert values["lowest_lag_s"] == pytest.approx(0.001, abs=1e-4)  # half a period
    assert values["kurtosis"] == pytest.approx(-1.5, abs=0.01)
    assert values["p90"] == pytest.approx(0.5 * np.sin(0.45 * np.pi), abs=0.005)


def test_numbers_of_changes_within_a_clip():
    loud = np.random.default_rng(0).standard_normal(RATE) * 0.1
    rising, falling = loud * np.linspace(0.1, 1, RATE), loud * np.linspace(1, 0.1, RATE)
    up, down = planes9.scalars(rising), planes9.scalars(falling)
    assert up["envelope_slope"] > 1 > -1 > down["envelope_slope"]
    assert up["energy_time"] > 0.6 and down["energy_time"] < 0.4
    steep = scipy.signal.lfilter(*scipy.signal.butter(1, 200, fs=RATE), loud)
    assert planes9.scalars(steep)["spectral_slope"] < planes9.scalars(loud)["spectral_slope"] - 1


@pytest.mark.parametrize("x", [np.zeros(RATE), np.full(RATE, 0.3), np.zeros(10), np.ones(1), clip(0.13), clip(2.3)])
def test_any_clip_gives_finite_numbers(x):
    picture = planes9.compute(x[None], RATE, SETTINGS)
    assert np.isfinite(picture).all() and np.isfinite(picture.astype(np.float16)).all()
    assert picture.shape[0] == 1 + max(len(x), 2048) // 256


def test_other_audio_is_refused():
    with pytest.raises(ValueError, match=r"set dataset\.rate_hz to 16000"):
        planes9.compute(clip()[None], 4000, SETTINGS)
    with pytest.raises(ValueError, match=r"set dataset\.channels to mean"):
        planes9.compute(np.zeros((2, RATE)), RATE, SETTINGS)
