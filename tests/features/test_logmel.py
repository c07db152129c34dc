"""The log-mel front ends: golden values, parity with a plain loop and librosa, refused inputs."""

import math

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from auscult.features.front_ends import logmel

REFERENCE = logmel.PRESETS["reference"]
BAND1K = logmel.PRESETS["band1k"]


def _golden_signal() -> np.ndarray:
    n = np.arange(40000)
    return 0.1 * np.sin(2 * np.pi * 150 * n / 4000) + 0.02 * np.sin(2 * np.pi * 600 * n / 4000) + 0.001


def _noise(channels: int, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.1, size=(channels, n))


def _fit(front: logmel.Settings, rate_hz: int) -> logmel.Settings:
    """The same front end with its highest frequency within the rate and a window of at least 2 samples."""
    high = min(front.high_hz, rate_hz / 2)
    return front.model_copy(update={"high_hz": high, "window_s": max(front.window_s, 4 / rate_hz)})


def _slow_weight(hz: float, band: int, bands: int, low_hz: float, high_hz: float) -> float:
    """Return the weight of a frequency in a band, by the definition."""

    def mel(frequency: float) -> float:
        return 1127.0 * math.log(1.0 + frequency / 700.0)

    step = (mel(high_hz) - mel(low_hz)) / (bands + 1)
    lower = mel(low_hz) + band * step
    rising = (mel(hz) - lower) / step
    falling = (lower + 2 * step - mel(hz)) / step
    return 0.0 if hz == 0.0 else max(0.0, min(rising, falling))


def _slow(samples: np.ndarray, rate_hz: int, front: logmel.Settings) -> np.ndarray:
    """The front end as a plain loop: one frame, one band at a time."""
    window = round(front.window_s * rate_hz)
    hop = round(front.hop_s * rate_hz)
    fft = front.fft
    if fft is None:
        fft = 1
        while fft < window:
            fft *= 2
    weights = [
        [_slow_weight(k * rate_hz / fft, b, front.bands, front.low_hz, front.high_hz) for k in range(fft // 2 + 1)]
        for b in range(front.bands)
    ]
    hann = np.array([0.5 - 0.5 * math.cos(2 * math.pi * i / window) for i in range(window)])
    channels = []
    for channel in samples:
        padded = list(channel) + [0.0] * max(0, window - len(channel))
        frames = []
        start = 0
        while start + window <= len(padded):
            frame = np.zeros(fft)
            frame[:window] = np.array(padded[start : start + window]) * hann
            spectrum = np.abs(np.fft.fft(frame)[: fft // 2 + 1])
            if front.spectrum == "power":
                spectrum = spectrum**2
            frames.append([math.log(float(np.dot(row, spectrum)) + front.offset) for row in weights])
            start += hop
        features = np.array(frames)
        if front.normalise == "recording":
            features = (features - features.mean()) / features.std()
        elif front.normalise == "band":
            features = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 0.1)
        channels.append(features)
    return np.stack(channels, axis=1)


def test_reference_golden_values():
    frames = logmel.compute(_golden_signal()[None], 4000, REFERENCE)
    assert frames.dtype == np.float32
    assert frames.shape == (998, 1, 64)
    windows = np.stack([frames[start : start + 400, 0] for start in range(0, 998 - 399, 100)])
    assert windows.shape == (6, 400, 64)
    np.testing.assert_allclose(windows.min(), -4.604565, atol=1e-6)
    np.testing.assert_allclose(windows.max(), 0.783775, atol=1e-6)
    np.testing.assert_allclose(windows.mean(dtype=np.float64), -3.611198, atol=1e-6)
    bands = [0, 5, 10, 11, 20, 30, 40, 63]
    first = [-3.38838, -1.40073, 0.16920, -2.36792, -4.44463, -1.58374, -4.57604, -4.60373]
    second = [-3.72997, -1.40423, 0.16892, -2.36583, -4.39120, -1.58458, -4.58646, -4.60457]
    np.testing.assert_allclose(frames[:2, 0][:, bands], [first, second], atol=6e-6)


def test_reference_mel_matrix_golden_values():
    matrix = logmel.mel_matrix(4000, 128, 64, 10.0, 2000.0)
    assert matrix.shape == (65, 64)
    np.testing.assert_allclose(matrix.sum(), 62.566503, atol=1e-6)
    assert np.flatnonzero(matrix[5]).tolist() == [8, 9]
    np.testing.assert_allclose(matrix[5, 8:10], [0.88572, 0.11428], atol=1e-5)
    assert not matrix[0].any()
    np.testing.assert_allclose(matrix[64], 0.0, atol=1e-12)
    assert np.bincount((matrix > 1e-12).sum(axis=0)).tolist()[:3] == [0, 21, 27]


def test_presets_are_as_published():
    assert REFERENCE.model_dump() == {
        "window_s": 0.025,
        "hop_s": 0.010,
        "fft": None,
        "bands": 64,
        "low_hz": 10.0,
        "high_hz": 2000.0,
        "spectrum": "magnitude",
        "offset": 0.01,
        "normalise": "none",
    }
    assert (BAND1K.window_s, BAND1K.hop_s, BAND1K.bands) == (0.064, 0.016, 40)
    assert (BAND1K.low_hz, BAND1K.high_hz, BAND1K.spectrum) == (20.0, 1000.0, "power")
    assert BAND1K.normalise == "band"
    assert logmel.frames_per_second(REFERENCE) == pytest.approx(100.0)
    assert logmel.frames_per_second(BAND1K) == pytest.approx(62.5)


@pytest.mark.parametrize("name", ["reference", "band1k"])
@pytest.mark.parametrize(
    ("channels", "rate_hz", "n"), [(1, 4000, 6001), (2, 8000, 6000), (12, 100, 1000), (1, 44100, 20000)]
)
def test_parity_with_a_plain_loop(name: str, channels: int, rate_hz: int, n: int):
    front = _fit(logmel.PRESETS[name], rate_hz)
    samples = _noise(channels, n)
    fast = logmel.compute(samples, rate_hz, front)
    assert fast.shape[1:] == (channels, front.bands)
    np.testing.assert_allclose(fast, _slow(samples, rate_hz, front), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["reference", "band1k"])
def test_parity_holds_beside_a_loud_tone(name: str):
    tone = np.sin(2 * np.pi * 300 * np.arange(6000) / 4000)[None]
    fast = logmel.compute(tone, 4000, logmel.PRESETS[name])
    np.testing.assert_allclose(fast, _slow(tone, 4000, logmel.PRESETS[name]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("fft", [300, 257, 1024])
def test_parity_with_a_chosen_fft_and_short_recordings(fft: int):
    front = BAND1K.model_copy(update={"fft": fft})
    for n in (40, 100, 255, 256, 320, 2000):
        samples = _noise(1, n, seed=n)
        np.testing.assert_allclose(logmel.compute(samples, 4000, front), _slow(samples, 4000, front), atol=1e-4, rtol=0)


def test_band1k_against_librosa():
    samples = _noise(1, 20000)
    power = np.abs(librosa.stft(samples[0], n_fft=256, hop_length=64, window="hann", center=False)) ** 2
    ours = logmel.mel_matrix(4000, 256, 40, 20.0, 1000.0)
    theirs = librosa.filters.mel(sr=4000, n_fft=256, n_mels=40, fmin=20, fmax=1000, htk=True, norm=None)
    np.testing.assert_allclose(ours, theirs.T, atol=0.003)  # their triangles are linear in Hz
    raw = logmel.compute(samples, 4000, BAND1K.model_copy(update={"normalise": "none"}))[:, 0]
    np.testing.assert_allclose(raw, np.log(power.T @ ours + BAND1K.offset), atol=1e-5)
    np.testing.assert_allclose(raw, np.log(power.T @ theirs.T + BAND1K.offset), atol=0.02)


@pytest.mark.parametrize(("normalise", "axes"), [("recording", (0, 2)), ("band", 0)])
def test_normalised_features_have_mean_0_and_deviation_1_and_ignore_gain(normalise, axes):
    samples, front = _noise(3, 30000), BAND1K.model_copy(update={"normalise": normalise})
    frames = logmel.compute(samples, 4000, front).astype(np.float64)
    np.testing.assert_allclose(frames.mean(axis=axes), 0.0, atol=1e-5)
    np.testing.assert_allclose(frames.std(axis=axes), 1.0, atol=1e-5)
    np.testing.assert_allclose(logmel.compute(samples * 0.1, 4000, front), frames, atol=1e-3)


def test_both_normalisations_are_separate_channels():
    samples = _noise(3, 30000)
    samples[2] = 0.25  # a constant channel
    by_recording, by_band, both = (
        logmel.compute(samples, 4000, BAND1K.model_copy(update={"normalise": normalise}))
        for normalise in ("recording", "band", "both")
    )
    assert both.shape[1] == 6 and not np.array_equal(by_recording[:, :2], by_band[:, :2])
    np.testing.assert_array_equal(both, np.concatenate([by_recording, by_band], axis=1))


def test_normalised_bands_do_not_depend_on_a_constant_filter():
    """A constant filter, such as another stethoscope, changes nothing but the ends of the recording."""
    samples = _noise(1, 60000)
    coloured = np.convolve(samples[0], [1.0, 0.6, 0.3])[None, : samples.shape[1]]
    by_band, by_recording = (
        [logmel.compute(x, 4000, BAND1K.model_copy(update={"normalise": normalise})) for x in (samples, coloured)]
        for normalise in ("band", "recording")
    )
    changed = [np.abs(a - b).mean() for a, b in (by_band, by_recording)]
    assert changed[0] < 0.02 and changed[1] > 5 * changed[0]


def test_a_constant_band_is_not_amplified():
    n = np.arange(20000)
    samples = (0.5 * np.sin(2 * np.pi * 300 * n / 4000))[None]
    assert np.abs(logmel.compute(samples, 4000, BAND1K)).max() < 50


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(["reference", "band1k"]), power=st.floats(0, 37), channel=st.integers(0, 1))
def test_samples_of_any_size_give_the_logarithms_of_their_scale(name, power, channel):
    """Files of float samples have no full scale; the power of 1e20 is beyond float32."""
    front, samples = logmel.PRESETS[name].model_copy(update={"normalise": "none"}), _noise(2, 4000)
    large = samples.copy()
    large[channel] *= 10.0**power
    exponent = 2 if front.spectrum == "power" else 1
    found, plain = logmel.compute(large, 4000, front), logmel.compute(samples, 4000, front)
    rises = found[:, channel] - plain[:, channel]
    assert rises.min() >= -1e-4 and abs(rises.max() - exponent * power * np.log(10)) < 0.5
    np.testing.assert_array_equal(found[:, 1 - channel], plain[:, 1 - channel])


def test_channels_are_independent():
    samples = _noise(3, 5000)
    samples[1] *= 5.0
    for front in logmel.PRESETS.values():
        together = logmel.compute(samples, 4000, front)
        for channel in range(3):
            alone = logmel.compute(samples[channel : channel + 1], 4000, front)
            np.testing.assert_array_equal(together[:, channel], alone[:, 0])


def test_blocks_have_no_effect_on_the_result():
    samples = _noise(1, 60000)
    all_frames = logmel.compute(samples, 4000, REFERENCE)
    for frame in (0, 255, 256, 257, 1000, len(all_frames) - 1):
        single_frame = logmel.compute(samples[:, frame * 40 : frame * 40 + 100], 4000, REFERENCE)
        np.testing.assert_allclose(all_frames[frame], single_frame[0], atol=1e-6)


def test_float32_and_float64_samples_agree():
    samples = _noise(1, 8000).astype(np.float32)
    for front in logmel.PRESETS.values():
        np.testing.assert_allclose(
            logmel.compute(samples, 4000, front),
            logmel.compute(samples.astype(np.float64), 4000, front),
            atol=1e-6,
        )


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["reference", "band1k"]),
    channels=st.integers(1, 12),
    rate_hz=st.sampled_from([100, 500, 1000, 4000, 16000, 44100]),
    seconds=st.floats(0.0, 0.4),
    kind=st.sampled_from(["silent", "constant", "clipped", "noise", "impulse"]),
    level=st.floats(-1.0, 1.0),
)
def test_any_recording_gives_finite_frames(
    name: str, channels: int, rate_hz: int, seconds: float, kind: str, level: float
):
    front = _fit(logmel.PRESETS[name], rate_hz)
    n = int(seconds * rate_hz)
    samples = {
        "silent": np.zeros((channels, n)),
        "constant": np.full((channels, n), level),
        "clipped": np.clip(_noise(channels, n) * 100, -1, 1),
        "noise": _noise(channels, n) * level,
        "impulse": np.eye(channels, n) * level,
    }[kind]
    frames = logmel.compute(samples, rate_hz, front)
    window, hop = round(front.window_s * rate_hz), round(front.hop_s * rate_hz)
    assert frames.shape == (1 + max(0, n - window) // hop, channels, front.bands)
    assert frames.dtype == np.float32
    assert np.isfinite(frames).all()
    if front.normalise != "none" and kind in ("silent", "constant"):
        assert not frames.any()


def test_silence_is_the_offset():
    front = BAND1K.model_copy(update={"normalise": "none"})
    frames = logmel.compute(np.zeros((1, 1000)), 4000, front)
    np.testing.assert_allclose(frames, math.log(front.offset), rtol=1e-6)


def test_padding_is_silence_or_the_mean():
    assert logmel.pad_value(REFERENCE) == pytest.approx(math.log(0.01))
    assert logmel.pad_value(BAND1K) == 0.0


@settings(max_examples=20, deadline=None)
@given(bad=st.sampled_from([np.nan, np.inf, -np.inf]), at=st.integers(0, 499), channel=st.integers(0, 1))
def test_nan_and_infinity_are_refused(bad: float, at: int, channel: int):
    samples = _noise(2, 500)
    samples[channel, at] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        logmel.compute(samples, 4000, REFERENCE)


@pytest.mark.parametrize(
    ("change", "rate_hz", "word"),
    [
        ({}, 2000, "lower high_hz to at most 1000"),
        ({"window_s": 0.0001}, 4000, "raise window_s"),
        ({"hop_s": 0.0001}, 4000, "raise hop_s"),
        ({"fft": 64}, 4000, "raise fft"),
        ({}, 0, "rate must be positive"),
    ],
)
def test_settings_that_do_not_fit_the_rate_name_the_key(change: dict, rate_hz: int, word: str):
    with pytest.raises(ValueError, match=word):
        logmel.compute(_noise(1, 1000), rate_hz, REFERENCE.model_copy(update=change))


@pytest.mark.parametrize(
    ("samples", "word"),
    [
        (np.zeros(1000), "shape"),
        (np.zeros((0, 1000)), "shape"),
        (np.zeros((1, 1000), np.int16), "divide them by full scale"),
    ],
)
def test_arrays_of_another_type_are_refused(samples: np.ndarray, word: str):
    with pytest.raises(ValueError, match=word):
        logmel.compute(samples, 4000, REFERENCE)


@pytest.mark.parametrize(
    "change",
    [
        {"window": 1},
        {"window_s": 0},
        {"hop_s": -1},
        {"bands": 0},
        {"low_hz": 2000.0},
        {"offset": 0},
        {"spectrum": "energy"},
        {"normalise": "channel"},
        {"high_hz": math.inf},
    ],
)
def test_settings_out_of_range_are_refused(change: dict):
    with pytest.raises(ValidationError):
        logmel.Settings(**(REFERENCE.model_dump() | change))


def test_settings_are_frozen_and_described():
    with pytest.raises(ValidationError):
        REFERENCE.bands = 3
    assert all(field.description for field in logmel.Settings.model_fields.values())
