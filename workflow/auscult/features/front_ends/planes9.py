"""The front end `planes9`: nine images of a clip as channels, the input of a published classifier of breath phase.

The planes are, in alphabetical order: chroma, gammatone, lpc, mel, mel_delta, mel_delta2, mfcc, mod_spec, tempogram.
Each has 128 rows, where missing rows are filled with the plane's minimum, and the frames of the mel plane (63 in a
second at 16 kHz). librosa computes most of them; it is imported inside functions because it is slow to load. A spectrum
that several planes need is computed once. With `scalars`, a tenth channel contains 39 numbers about the recording in
its first rows, the same in every frame.
"""

from __future__ import annotations

import warnings
from functools import lru_cache

import numpy as np
import scipy  # its submodules are loaded when they are used
from pydantic import BaseModel, ConfigDict, Field

from auscult.features.constant_q import chroma_cens

FFT, FINE_FFT, HOP, ROWS = 512, 2048, 256, 128
RATE_HZ = 16000
MIN_SAMPLES = 2048
MAX_SCALAR = 1000.0  # ratios over silence are unbounded
PLANES = ["chroma", "gammatone", "lpc", "mel", "mel_delta", "mel_delta2", "mfcc", "mod_spec", "tempogram"]
SCALARS = [
    *(f"{name}_{statistic}" for name in ("rms", "zero_crossings") for statistic in ("mean", "sd", "max", "min")),
    *("centroid_mean", "centroid_sd", "centroid_skewness", "bandwidth_mean", "bandwidth_sd"),
    *(f"{name}_{statistic}" for name in ("rolloff", "flatness", "contrast") for statistic in ("mean", "sd")),
    *("envelope_mean", "envelope_sd", "envelope_ratio", "peaks", "peak_mean", "peak_sd", "share_below_1k"),
    *("flux_mean", "flux_sd", "flux_max", "skewness", "kurtosis", "p90", "p10"),
    *("autocorrelation_10ms", "autocorrelation_20ms", "lowest_lag_s"),
    # three more than published: two of the course of the loudness, one of the slope of the spectrum
    *("envelope_slope", "energy_time", "spectral_slope"),
]


class Settings(BaseModel):
    """Settings of the front end."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    scalars: bool = Field(default=True, description="A tenth channel with the 39 numbers, for networks that read them.")


PRESETS = {"planes9": Settings()}


def compute(samples: np.ndarray, rate_hz: int, settings: Settings) -> np.ndarray:
    """Return frames (frames, 9 or 10, 128) float32 of samples (1, n) in ±1 at 16 kHz. A constant plane is zeros.

    A clip under 2,048 samples is padded with zeros. Raises ValueError for another rate or more than one channel.
    """
    if rate_hz != RATE_HZ:
        raise ValueError(f"front end planes9: the audio has {rate_hz} Hz; set dataset.rate_hz to {RATE_HZ}")
    if len(samples) != 1:
        raise ValueError(f"front end planes9: {len(samples)} channels; set dataset.channels to mean")
    x = np.asarray(samples[0], dtype=np.float64)
    x = np.pad(x, (0, max(0, MIN_SAMPLES - len(x))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa warns about clips that are short for its defaults
        planes_of_x = planes(x)
        frames = planes_of_x["mel"].shape[1]
        channels = np.stack([_resized(planes_of_x[name], frames) for name in PLANES])
        if settings.scalars:
            scalar_channel = np.zeros((1, ROWS, frames))
            scalar_channel[0, : len(SCALARS)] = np.array(list(scalars(x).values()))[:, None]
            channels = np.concatenate([channels, scalar_channel])
    return channels.transpose(2, 0, 1).astype(np.float32)


def planes(x: np.ndarray) -> dict[str, np.ndarray]:
    """Return the nine planes (rows, frames) of samples (n,) at 16 kHz, standardised, before rows are filled or cut."""
    import librosa

    magnitude = np.abs(librosa.stft(x, n_fft=FFT, hop_length=HOP))
    power = magnitude**2
    mel = librosa.power_to_db(_mel_bands(FFT, ROWS, 4500) @ power, ref=np.max)
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(_mel_bands(FFT, ROWS, RATE_HZ // 2) @ power), n_mfcc=40)
    chroma = librosa.feature.chroma_stft(S=power, sr=RATE_HZ, n_fft=FFT, hop_length=HOP)
    cens = chroma_cens(x, RATE_HZ, HOP)
    return {
        "chroma": _scaled_rows(np.vstack([chroma, cens[:, : chroma.shape[1]]])),
        "gammatone": _scaled_plane(np.log1p(_mel_bands(FFT, 64, RATE_HZ // 2) @ magnitude)),
        "lpc": _scaled_plane(linear_prediction(x)),
        "mel": _scaled_plane(mel),
        "mel_delta": _scaled_plane(_delta(mel, 1)),
        "mel_delta2": _scaled_plane(_delta(mel, 2)),
        "mfcc": _scaled_rows(np.vstack([mfcc, _delta(mfcc, 1), _delta(mfcc, 2)])),
        "mod_spec": _scaled_plane(scipy.fft.dctn(mel, norm="ortho")[:40]),
        "tempogram": _scaled_plane(librosa.feature.tempogram(y=x, sr=RATE_HZ)),
    }


@lru_cache
def _mel_bands(fft: int, bands: int, highest_hz: int) -> np.ndarray:
    """Return librosa's weights (bands, bins) of mel bands from 0 Hz on."""
    import librosa

    return librosa.filters.mel(sr=RATE_HZ, n_fft=fft, n_mels=bands, fmax=highest_hz)


def linear_prediction(x: np.ndarray, order: int = 12) -> np.ndarray:
    """Return the coefficients (order, frames) of linear prediction without the leading 1.

    Hamming frames of 25 ms with a step of 10 ms, pre-emphasis 0.97.
    """
    import librosa

    emphasis = np.append(x[0], x[1:] - 0.97 * x[:-1])
    length, hop = RATE_HZ // 40, RATE_HZ // 100
    frames = np.lib.stride_tricks.sliding_window_view(emphasis, length)[::hop] * np.hamming(length)
    coefficients = np.zeros((order, len(frames)))
    has_sound = np.ptp(frames, axis=1) > 1e-9  # silence has no prediction
    if has_sound.any():
        coefficients[:, has_sound] = librosa.lpc(frames[has_sound], order=order)[:, 1:].T
    return np.nan_to_num(coefficients)


def scalars(x: np.ndarray) -> dict[str, float]:
    """Return the 39 numbers of samples (n,) at 16 kHz by name; undefined numbers (of silence) are 0."""
    import librosa

    nyquist = RATE_HZ / 2
    magnitude = np.abs(librosa.stft(x, n_fft=FFT, hop_length=HOP))
    spectrum_options = {"S": magnitude, "sr": RATE_HZ}
    rms = librosa.feature.rms(y=x, frame_length=FFT, hop_length=HOP)[0]
    crossings = librosa.feature.zero_crossing_rate(x, frame_length=FFT, hop_length=HOP)[0]
    centroid = librosa.feature.spectral_centroid(**spectrum_options)[0]
    bandwidth = librosa.feature.spectral_bandwidth(**spectrum_options)[0]
    rolloff = librosa.feature.spectral_rolloff(**spectrum_options, roll_percent=0.85)[0]
    flatness = librosa.feature.spectral_flatness(S=magnitude)[0]
    contrast = librosa.feature.spectral_contrast(**spectrum_options)
    envelope = np.abs(scipy.signal.hilbert(x))
    peaks, _ = scipy.signal.find_peaks(envelope, height=envelope.mean(), distance=RATE_HZ // 10)
    heights = envelope[peaks] if len(peaks) else np.zeros(1)
    spectrum = np.abs(np.fft.rfft(x)) ** 2
    hz = np.fft.rfftfreq(len(x), 1 / RATE_HZ)
    fine_power = np.abs(librosa.stft(x, n_fft=FINE_FFT, hop_length=HOP)) ** 2
    fine_mel = librosa.power_to_db(_mel_bands(FINE_FFT, ROWS, RATE_HZ // 2) @ fine_power, ref=np.max)
    flux = np.sqrt((np.diff(fine_mel, axis=1) ** 2).sum(axis=0)) if fine_mel.shape[1] > 1 else np.zeros(1)
    lags = RATE_HZ // 20
    correlation = scipy.signal.correlate(x, x, method="fft")[len(x) - 1 :][: lags + 1]
    correlation = correlation / correlation[0] if correlation[0] > 1e-12 else np.zeros_like(correlation)
    log_rms = np.log(rms + 1e-6)
    time = np.linspace(0, 1, len(log_rms))
    octaves = np.log2(np.geomspace(100, 6000, 24))
    level = np.log(np.interp(2**octaves, hz, spectrum) + 1e-9)
    values = [
        *(f(track) for track in (rms, crossings) for f in (np.mean, np.std, np.max, np.min)),
        *(centroid.mean() / nyquist, centroid.std() / nyquist, scipy.stats.skew(centroid)),
        *(bandwidth.mean() / nyquist, bandwidth.std() / nyquist, rolloff.mean() / nyquist, rolloff.std() / nyquist),
        *(flatness.mean(), flatness.std(), contrast.mean(), contrast.std()),
        *(envelope.mean(), envelope.std(), envelope.mean() / (envelope.std() + 1e-12)),
        *(len(peaks), heights.mean(), heights.std()),
        spectrum[hz < 1000].sum() / (spectrum.sum() + 1e-12),
        *(flux.mean(), flux.std(), flux.max(), scipy.stats.skew(x), scipy.stats.kurtosis(x)),
        *np.percentile(np.abs(x), [90, 10]),
        *(correlation[RATE_HZ // 100], correlation[RATE_HZ // 50], (1 + np.argmin(correlation[1:])) / RATE_HZ),
        *(
            np.polyfit(time, log_rms, 1)[0],
            (rms**2 @ time) / ((rms**2).sum() + 1e-12),
            np.polyfit(octaves, level, 1)[0],
        ),
    ]
    finite_values = np.nan_to_num(np.array(values, dtype=float), posinf=0, neginf=0)
    return dict(zip(SCALARS, np.clip(finite_values, -MAX_SCALAR, MAX_SCALAR).tolist(), strict=True))


def has_scalars(settings: Settings) -> bool:
    """Whether the last channel holds the 39 numbers."""
    return settings.scalars


def frames_per_second(settings: Settings) -> float:
    """Return the frames per second."""
    return RATE_HZ / HOP


def pad_value(settings: Settings) -> float:
    """Return 0, the mean of a plane."""
    return 0.0


def _delta(x: np.ndarray, order: int) -> np.ndarray:
    import librosa

    width = min(9, x.shape[1] - (x.shape[1] + 1) % 2)  # odd, and at most the number of frames
    return librosa.feature.delta(x, order=order, width=width) if width >= 3 else np.zeros_like(x)


def _scaled_plane(x: np.ndarray) -> np.ndarray:
    """Return a plane scaled to mean 0 and deviation 1; zeros for a constant one."""
    deviations = np.nan_to_num(x) - np.nan_to_num(x).mean()
    return deviations / deviations.std() if deviations.std() > 1e-9 else np.zeros_like(deviations)


def _scaled_rows(x: np.ndarray) -> np.ndarray:
    """Return a plane with every row scaled to mean 0 and deviation 1; zeros for a constant row."""
    deviations = np.nan_to_num(x) - np.nan_to_num(x).mean(axis=1, keepdims=True)
    spread = deviations.std(axis=1, keepdims=True)
    return np.divide(deviations, spread, out=np.zeros_like(deviations), where=spread > 1e-9)


def _resized(plane: np.ndarray, frames: int) -> np.ndarray:
    """Return a plane cut to 128 rows and `frames` frames, or filled up to them with its minimum."""
    plane = plane[:ROWS, :frames]
    short = [(0, ROWS - plane.shape[0]), (0, frames - plane.shape[1])]
    return np.pad(plane, short, constant_values=plane.min())
