"""The 44 statistics of a recording that the boosted trees of DBRes use (Walker et al. 2022), without librosa.

They follow the published code exactly: "max abs" repeats "max" for sequences that are never negative, `form` and
`pulse` divide by the mean, and roll-off and bandwidth are computed from the samples + 0.01.
"""

import math

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

_FFT = 2048
_HOP = 512
_ROLLOFF = 0.85
_SHIFT = 0.01  # added to the samples before roll-off and bandwidth
_ZERO = 1e-10  # samples up to this magnitude count as zero in the zero crossings
_BLOCK_FRAMES = 16
# A sequence whose deviation is below this share of its mean counts as constant, a mean below this share of the peak as
# zero: such values are float64 rounding errors.
_RELATIVE = 1e-12
_WINDOW = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_FFT) / _FFT)

_SAMPLES = {
    "present": ("1", "the site was recorded: always 1"),
    "minimum": ("full scale", "smallest sample"),
    "maximum": ("full scale", "largest sample"),
    "mean": ("full scale", "mean"),
    "rms": ("full scale", "root of the mean square"),
    "variance": ("full scale²", "variance (divided by n)"),
    "standard_deviation": ("full scale", "root of the variance"),
    "mean_square": ("full scale²", "mean square"),
    "peak": ("full scale", "largest magnitude"),
    "peak_to_peak": ("full scale", "maximum - minimum"),
    "crest": ("1", "peak / rms"),
    "skewness": ("1", "skewness (biased)"),
    "kurtosis": ("1", "excess kurtosis (biased)"),
    "form": ("1", "rms / mean"),
    "pulse": ("1", "peak / mean"),
}
_SEQUENCES = {
    "spectrum": ("full scale²", "squared magnitude of the complete recording's two-sided FFT / n"),
    "centroid": ("Hz", "spectral centroid per frame"),
    "rolloff": ("Hz", "frequency below which 85 % of a frame's summed magnitude lies, of the samples + 0.01"),
    "bandwidth": ("Hz", "spread about the centroid per frame, of the samples + 0.01"),
}


def _table() -> dict[str, tuple[str, str]]:
    """Return unit and meaning of each statistic by name, in order."""
    table = dict(_SAMPLES)
    for name, (unit, meaning) in _SEQUENCES.items():
        unit_squared = f"({unit})²" if unit.endswith("²") else f"{unit}²"
        table |= {
            f"{name}_max": (unit, f"largest {meaning}"),
            f"{name}_sum": (unit, f"sum of the {meaning}"),
            f"{name}_mean": (unit, f"mean of the {meaning}"),
            f"{name}_variance": (unit_squared, f"variance of the {meaning}"),
            f"{name}_max_abs": (unit, f"largest magnitude of the {meaning}: equal to the maximum"),
            f"{name}_skewness": ("1", f"skewness of the {meaning}"),
            f"{name}_kurtosis": ("1", f"excess kurtosis of the {meaning}"),
        }
    table["zero_crossings"] = ("1", "changes of sign from sample to sample; up to 1e-10 counts as zero")
    return table


TABLE: dict[str, tuple[str, str]] = _table()
"""Name → (unit, meaning), in the order of `statistics`."""

NAMES: tuple[str, ...] = tuple(TABLE)
"""The 44 names in the order of `statistics`; the first is `present`."""


def statistics(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Return the 44 statistics of one channel of a recording, named by `NAMES` and explained in `TABLE`.

    Frames are those of librosa's defaults: 2048 samples, step 512, periodic Hann, centred, zeros beyond the ends. All
    values are finite. If a formula gives 0 / 0, the value is 0:

    - `crest`, `form`, `pulse` of a silent signal; `form` and `pulse` also if the mean is zero (below 1e-12 of the
      peak). A constant signal other than silence has crest 1, form and pulse ±1.
    - skewness and kurtosis of constant values (deviation below 1e-12 of the mean): the samples of a constant signal,
      the spectrum of an impulse, a sequence of equal frames or of one frame (fewer than 512 samples).
    - centroid of a silent frame; roll-off and bandwidth of a frame that is silent after the addition of 0.01.

    Args:
        samples: float (n,), full scale ±1, n at least 1.
        rate_hz: Sampling rate, in Hz.

    Returns:
        float64 (44,).

    Raises:
        ValueError: `samples` is empty, not one-dimensional, not float, contains NaN or infinity, or is so large
            that a statistic overflows; or the rate is not positive.

    Source: `generic_time_audio_features.py`, `generic_frequency_audio_features.py`, `spectral_*.py` of
    Walker's heart-murmur-detection; librosa 0.11 and scipy for the definitions.
    """
    if samples.ndim != 1 or samples.size == 0:
        raise ValueError(f"samples must have shape (n,) with n at least 1, not {samples.shape}")
    if samples.dtype.kind != "f":
        raise ValueError(f"samples must be floats in ±1, not {samples.dtype}: divide them by full scale")
    if rate_hz <= 0:
        raise ValueError(f"the rate must be positive, not {rate_hz} Hz")
    signal = samples.astype(np.float64, copy=False)
    if not np.isfinite(signal).all():
        raise ValueError("samples contain NaN or infinity: repair or drop the recording")
    with np.errstate(over="ignore", invalid="ignore"):
        values = [1.0, *_of_samples(signal), *_of_spectrum(signal)]
        for sequence in _frame_sequences(signal, rate_hz):
            values += _of_sequence(sequence)
    negative = signal < -_ZERO
    values.append(float(np.count_nonzero(negative[1:] != negative[:-1])))
    result = np.array(values)
    if not np.isfinite(result).all():
        raise ValueError("samples are too large for their statistics: scale them to ±1")
    return result


def _of_samples(signal: np.ndarray) -> list[float]:
    """Return statistics 1 to 14: minimum to pulse."""
    low, high = float(signal.min()), float(signal.max())
    mean = low if low == high else float(signal.mean())
    square = float(np.dot(signal, signal)) / signal.size
    rms, peak = math.sqrt(square), max(abs(low), abs(high))
    variance, skewness, kurtosis = _moments(signal, mean)
    crest = peak / rms if rms > 0.0 else 0.0
    form, pulse = (rms / mean, peak / mean) if abs(mean) > _RELATIVE * peak else (0.0, 0.0)
    deviation = math.sqrt(variance)
    return [
        *(low, high, mean, rms, variance, deviation, square, peak, high - low),
        *(crest, skewness, kurtosis, form, pulse),
    ]


def _of_sequence(values: np.ndarray, counts: np.ndarray | None = None) -> list[float]:
    """Return max, sum, mean, variance, max abs, skewness, kurtosis of values ≥ 0, each counted `counts` times."""
    high = float(values.max())
    if counts is None:
        total, number = float(values.sum()), values.size
    else:
        total, number = float(np.dot(counts, values)), int(counts.sum())
    mean = total / number
    variance, skewness, kurtosis = _moments(values, mean, counts)
    return [high, total, mean, variance, high, skewness, kurtosis]


def _of_spectrum(signal: np.ndarray) -> list[float]:
    """Return statistics 15 to 21, of the two-sided spectrum of the complete recording.

    A single transform is slow if the length n has a large prime factor. Therefore it is split: n = rows x columns
    with columns = gcd(n, 64), transforms over the rows, twiddle factors, transforms over the columns. Row r contains
    the bins r, r + rows, …; rows above the middle mirror those below, so they are not computed but counted.
    """
    columns = math.gcd(signal.size, 64)
    rows = signal.size // columns
    half = np.arange(rows // 2 + 1)
    spectrum = scipy.fft.rfft(signal.reshape(rows, columns), axis=0)
    spectrum *= _twiddle_factors(half, columns, signal.size)
    spectrum = scipy.fft.fft(spectrum, axis=1, overwrite_x=True).ravel()
    power = np.square(spectrum.real)
    power += np.square(spectrum.imag)
    power /= signal.size
    counts = np.where((half == 0) | (2 * half == rows), 1.0, 2.0)
    return _of_sequence(power, np.repeat(counts, columns))


def _twiddle_factors(rows: np.ndarray, columns: int, n: int) -> np.ndarray:
    """Return exp(−2πi row column / n) (rows, columns) complex128; columns: a power of 2.

    The second half of the columns are products of the first: exponentials of every element would take as long as the
    transforms.
    """
    factors = np.ones((len(rows), columns), dtype=np.complex128)
    filled_columns = 1
    while filled_columns < columns:
        step = np.exp(rows * (filled_columns * -2j * np.pi / n))
        np.multiply(factors[:, :filled_columns], step[:, None], out=factors[:, filled_columns : 2 * filled_columns])
        filled_columns *= 2
    return factors


def _moments(values: np.ndarray, mean: float, counts: np.ndarray | None = None) -> tuple[float, float, float]:
    """Return biased variance, skewness and excess kurtosis about `mean`; the last two are 0 for constant values."""
    number = values.size if counts is None else counts.sum()
    deviations = values - mean
    squares = np.square(deviations)
    weighted_squares = squares if counts is None else squares * counts
    second = float(weighted_squares.sum()) / number
    spread = math.sqrt(second)
    if spread <= _RELATIVE * abs(mean) or second * second < 1e-290:
        return second, 0.0, 0.0
    third = float(np.dot(weighted_squares, deviations)) / number
    fourth = float(np.dot(weighted_squares, squares)) / number
    return second, third / (second * spread), fourth / (second * second) - 3.0


def _frame_sequences(signal: np.ndarray, rate_hz: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centroid of the signal, roll-off and bandwidth of the signal + 0.01; each float64 (frames,), in Hz.

    One transform serves both: in a frame inside the recording, 0.01 is a constant, whose transform under a Hann window
    is in the bins 0 and 1 only. The few frames across the ends of the recording have transforms of their own.
    """
    # numba takes half a second to load
    from auscult.features.frame_measures import frame_measures, rolloff_and_bandwidth

    frames = sliding_window_view(np.pad(signal, _FFT // 2), _FFT)[::_HOP]
    starts = np.arange(len(frames)) * _HOP - _FFT // 2
    frames_at_ends = np.flatnonzero((starts < 0) | (starts + _FFT > signal.size))
    positions = starts[frames_at_ends, None] + np.arange(_FFT)
    inside = (positions >= 0) & (positions < signal.size)
    magnitudes_at_ends = np.abs(scipy.fft.rfft((frames[frames_at_ends] + _SHIFT * inside) * _WINDOW, axis=1))
    shift = _SHIFT * np.array([_FFT / 2, -_FFT / 4])
    measures = np.zeros((3, len(frames)))
    for start in range(0, len(frames), _BLOCK_FRAMES):
        spectra = scipy.fft.rfft(frames[start : start + _BLOCK_FRAMES] * _WINDOW, axis=1)
        frame_measures(spectra, shift, _ROLLOFF, _RELATIVE * shift[0], measures[:, start:])
    for frame, magnitude in zip(frames_at_ends, magnitudes_at_ends, strict=True):
        measures[1:, frame] = rolloff_and_bandwidth(magnitude, _ROLLOFF, _RELATIVE * shift[0])
    centroid, rolloff, bandwidth = measures * (rate_hz / _FFT)
    return centroid, rolloff, bandwidth
