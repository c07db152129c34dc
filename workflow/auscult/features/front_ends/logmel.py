"""Log-mel front ends: samples of one recording to feature frames.

`PRESETS` has the settings of two front ends: `reference`, the published one of DBRes, and `band1k`, which is finer in
frequency below 1 kHz and does not depend on the recording's gain.
"""

import math
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import BaseModel, ConfigDict, Field, model_validator

# Spectrum points computed at a time: a block fits into the processor's cache, and calls of numpy take little time.
_BLOCK_POINTS = 2**15
# Standard deviation of log features under which a recording counts as constant (rounding is far below it).
_CONSTANT_SD = 1e-4
_FLOAT32_PEAK = 1e9  # of samples whose power is far from float32's largest number
_LEAST_SD = 0.1  # of a band, in nats: a nearly constant band is not amplified


class Settings(BaseModel):
    """Settings of a log-mel front end; times in seconds, frequencies in Hz."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    window_s: float = Field(ge=0.0005, le=60, description="Length of the periodic Hann window, in seconds.")
    hop_s: float = Field(ge=0.0005, le=60, description="Step from one frame to the next, in seconds.")
    fft: int | None = Field(
        default=None,
        ge=2,
        description="Points of the Fourier transform, at least the window's samples; null: the next "
        "power of two of the window.",
    )
    bands: int = Field(ge=1, description="Number of mel bands.")
    low_hz: float = Field(ge=0, description="Lower edge of the lowest band, in Hz.")
    high_hz: float = Field(gt=0, description="Upper edge of the highest band, in Hz; at most half the rate.")
    spectrum: Literal["magnitude", "power"] = Field(
        description="What the bands sum: the magnitude of the spectrum or its square."
    )
    offset: float = Field(
        ge=1e-30,
        description="Added to each band before the natural logarithm, so that silence stays finite in float32; at "
        "least 1e-30.",
    )
    normalise: Literal["none", "recording", "band", "both"] = Field(
        default="none",
        description="recording: subtract the mean and divide by the standard deviation of all frames and "
        "bands of the recording, for each channel; band: the same for each band, which removes the constant "
        "spectral colour of stethoscope, room and noise; both: every channel twice, normalised by recording "
        "and by band. A constant recording gives zeros. none: no normalisation.",
    )

    @model_validator(mode="after")
    def _low_below_high(self) -> "Settings":
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz ({self.low_hz:g}) must be below high_hz ({self.high_hz:g})")
        return self


PRESETS: dict[str, Settings] = {
    # The published front end of DBRes (Walker et al. 2022): at 4 kHz 100 samples, step 40, 128 points.
    "reference": Settings(
        window_s=0.025,
        hop_s=0.010,
        fft=None,
        bands=64,
        low_hz=10.0,
        high_hz=2000.0,
        spectrum="magnitude",
        offset=0.01,
        normalise="none",
    ),
    # The offset is the power of 16-bit rounding in one bin (256 x 3/8 x 2**-30 / 12 = 7e-9 at 4 kHz). It does not
    # depend on the recording and hardly changes values above the rounding, so the normalised features do not depend
    # on gain. Digital silence is as low as a 16-bit file can be, not an outlier that dominates the standard deviation.
    "band1k": Settings(
        window_s=0.064,
        hop_s=0.016,
        fft=None,
        bands=40,
        low_hz=20.0,
        high_hz=1000.0,
        spectrum="power",
        offset=1e-8,
        normalise="band",
    ),
}


def frames_per_second(settings: Settings) -> float:
    """Return the frames per second, the inverse of the hop."""
    return 1.0 / settings.hop_s


def pad_value(settings: Settings) -> float:
    """Return the value after the end of a short recording: silence, or the mean of normalised features."""
    return math.log(settings.offset) if settings.normalise == "none" else 0.0


def mel_matrix(rate_hz: int, fft: int, bands: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Return the weights from the bins of a spectrum to mel bands.

    Mel = 1127 ln(1 + f / 700) (HTK). The bands' edges are equally spaced in mel; the triangles are linear in
    mel (librosa's are linear in Hz), with unit peak and no area normalisation. The bin at 0 Hz has no weight.
    A band narrower than the spacing of the bins may have no bin and is then zero.

    Args:
        rate_hz: Sampling rate, in Hz.
        fft: Points of the Fourier transform.
        bands: Number of bands.
        low_hz: Lower edge of the lowest band, in Hz.
        high_hz: Upper edge of the highest band, in Hz.

    Returns:
        float64 (fft // 2 + 1, bands), between 0 and 1.

    Source: `mel_features.py` of Google's AudioSet code, which the reference of DBRes uses.
    """
    bins = _mel(np.arange(fft // 2 + 1) * (rate_hz / fft))[:, None]
    edges = np.linspace(_mel(low_hz), _mel(high_hz), bands + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    matrix = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clip(min=0.0)
    matrix[0] = 0.0
    return matrix


def compute(samples: np.ndarray, rate_hz: int, settings: Settings) -> np.ndarray:
    """Return the log-mel frames of a recording; channels are independent of each other.

    Frame t starts at sample t x hop, without centring. An incomplete last frame is left out, so n samples give
    1 + (n - window) // hop frames. A recording shorter than a window is padded with zeros to one window. Window and
    hop are rounded to an integer number of samples. Apart from samples and result, memory does not grow with the
    recording.

    Args:
        samples: float (channels, n), full scale ±1.
        rate_hz: Sampling rate, in Hz.
        settings: Settings of the front end.

    Returns:
        float32 (frames, channels, bands): natural logarithms, or, with normalisation, standard deviations from
        the mean (zeros for a channel whose samples or features are constant). With `both`, twice as many channels:
        all normalised by recording, then all normalised by band.

    Raises:
        ValueError: `samples` is not a float array of two dimensions with a channel, or contains NaN or infinity; or
            window, hop, FFT or highest frequency do not fit the rate.
    """
    if samples.ndim != 2 or samples.shape[0] == 0:
        raise ValueError(f"samples must have shape (channels, n), not {samples.shape}")
    if samples.dtype.kind != "f":
        raise ValueError(f"samples must be floats in ±1, not {samples.dtype}: divide them by full scale")
    if not np.isfinite(samples).all():
        raise ValueError("samples contain NaN or infinity: repair or drop the recording")
    plan = _plan(rate_hz, settings)
    if samples.shape[1] < len(plan.window):
        signal = np.zeros((samples.shape[0], len(plan.window)), samples.dtype)
        signal[:, : samples.shape[1]] = samples
    else:
        signal = samples
    frames_of_channel = sliding_window_view(signal, len(plan.window), axis=1)[:, :: plan.hop]
    channels = len(frames_of_channel)
    copies = 2 if settings.normalise == "both" else 1
    features = np.empty((frames_of_channel.shape[1], copies * channels, settings.bands), np.float32)
    for channel, frames in enumerate(frames_of_channel):
        original = samples[channel]
        low, high = (original.min(), original.max()) if original.size else (0.0, 0.0)
        spectrum = np.complex64 if max(-low, high) < _FLOAT32_PEAK else np.complex128
        _write_channel(frames, plan, settings, spectrum, features[:, channel])
        if settings.normalise == "none":
            continue
        mean = features[:, channel].mean(dtype=np.float64)
        sd = max(0.0, _mean_square(features[:, channel]).mean() - mean * mean) ** 0.5
        if low == high or sd < _CONSTANT_SD:
            features[:, channel::channels] = 0.0
            continue
        if settings.normalise in ("band", "both"):
            _normalise_bands(features[:, channel], features[:, channel + (copies - 1) * channels])
        if settings.normalise in ("recording", "both"):
            features[:, channel] -= np.float32(mean)
            features[:, channel] *= np.float32(1.0 / sd)
    return features


def _normalise_bands(values: np.ndarray, out: np.ndarray) -> None:
    """Write `values` (frames, bands) with mean 0 and deviation 1 in every band to `out`, which may be `values`."""
    np.subtract(values, values.mean(axis=0, dtype=np.float64).astype(np.float32), out=out)
    out /= np.maximum(np.sqrt(_mean_square(out)), _LEAST_SD).astype(np.float32)


def _mean_square(values: np.ndarray) -> np.ndarray:
    """Mean square of `values` (frames, bands) in every band, summed in float64 without a copy of them."""
    return np.einsum("ij,ij->j", values, values, dtype=np.float64) / len(values)


class _Plan(NamedTuple):
    """The values that depend on rate and settings only: window, hop, FFT size, bins with weights, weights."""

    window: np.ndarray
    hop: int
    fft: int
    bins: slice
    matrix: np.ndarray


@lru_cache(maxsize=32)
def _plan(rate_hz: int, settings: Settings) -> _Plan:
    """Return sizes, window and mel weights for a rate. Raises ValueError if they do not fit the rate."""
    if rate_hz <= 0:
        raise ValueError(f"the rate must be positive, not {rate_hz} Hz")
    window = round(settings.window_s * rate_hz)
    hop = round(settings.hop_s * rate_hz)
    if window < 2:
        raise ValueError(f"window_s {settings.window_s:g} is less than 2 samples at {rate_hz} Hz: raise window_s")
    if hop < 1:
        raise ValueError(f"hop_s {settings.hop_s:g} is less than 1 sample at {rate_hz} Hz: raise hop_s")
    if settings.high_hz > rate_hz / 2:
        raise ValueError(
            f"high_hz {settings.high_hz:g} is above half the rate of {rate_hz} Hz: lower high_hz to at most "
            f"{rate_hz / 2:g} or resample the recordings"
        )
    fft = settings.fft if settings.fft is not None else 1 << (window - 1).bit_length()
    if fft < window:
        raise ValueError(f"fft {fft} is shorter than the window of {window} samples at {rate_hz} Hz: raise fft")
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(window) / window)
    matrix = mel_matrix(rate_hz, fft, settings.bands, settings.low_hz, settings.high_hz)
    used_bins = np.flatnonzero(matrix.any(axis=1))
    bins = slice(int(used_bins[0]), int(used_bins[-1]) + 1) if used_bins.size else slice(0, 1)
    return _Plan(hann, hop, fft, bins, matrix[bins].astype(np.float32))


def _write_channel(
    frames: np.ndarray, plan: _Plan, settings: Settings, dtype: type[np.complexfloating], out: np.ndarray
) -> None:
    """Write the log-mel of (frames, window) to `out` (frames, bands).

    The transforms are float64, since the float32 rounding errors of a loud tone are larger than quiet bands. What
    follows only sums positive values and takes their logarithm, which float32 (`dtype`) does without such a loss.
    """
    block = max(8, _BLOCK_POINTS // plan.fft)
    for start in range(0, len(frames), block):
        spectrum = scipy.fft.rfft(frames[start : start + block] * plan.window, plan.fft, axis=1)[:, plan.bins]
        spectrum = spectrum.astype(dtype)
        power = np.square(spectrum.real)
        power += np.square(spectrum.imag)
        if settings.spectrum == "magnitude":
            np.sqrt(power, out=power)
        mel = power @ plan.matrix
        mel += np.float32(settings.offset)
        np.log(mel, out=out[start : start + block])


def _mel(hz: float | np.ndarray) -> np.ndarray:
    """Return HTK mel of frequencies in Hz."""
    return 1127.0 * np.log1p(np.asarray(hz, np.float64) / 700.0)
