"""Measures of wheezes and crackles in a recording: 16 numbers, four for each octave from 100 to 1600 Hz.

A wheeze is a long tone: in the spectrogram, it is a line above its neighbourhood for a tenth of a second or longer, and
its frequency may drift. A crackle is a click of some milliseconds, which gives the samples of a band heavy tails. The
numbers depend neither on the loudness nor on the spectral colour of the recording.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter1d, median_filter

from auscult.cache.audio import one_channel

RATE_HZ = 4000
OCTAVES = ((100, 200), (200, 400), (400, 800), (800, 1600))  # Hz
WINDOW, HOP = 256, 64  # samples of a spectrogram's window (64 ms) and step
NEIGHBOURS = 19  # bins (300 Hz) with whose median a line is compared
LINE_FRAMES = 8  # length of a line in frames (128 ms)
CLICK = 200  # samples (50 ms) of a short window for clicks
_FLOOR = 1e-9  # of a magnitude, against full scale 1

TABLE: dict[str, tuple[str, str]] = {
    f"{name}_{low}": (unit, f"{low} to {high} Hz: {meaning}")
    for name, unit, meaning in (
        ("tone", "dB", "mean height of the clearest line of 128 ms above its neighbourhood"),
        ("tones", "dB", "the same, averaged over all frames at which a line can begin"),
        ("click", "1", "excess kurtosis of the samples; 0 for silence"),
        ("clicks", "1", "excess kurtosis of windows of 50 ms, averaged over the windows; 0 for silence"),
    )
    for low, high in OCTAVES
}
"""Name → (unit, meaning), in the order of `adventitious`. 0 in an octave beyond half the recording's rate, and for a
recording that is too short: lines need frames of 128 ms, clicks 50 ms."""

NAMES: tuple[str, ...] = tuple(TABLE)


def adventitious(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Return the 16 numbers (16,) of one channel of a recording (n,), named by `NAMES` and explained in `TABLE`.

    Raises ValueError for NaN or infinite samples, and for no samples.
    """
    signal = one_channel(samples, rate_hz, RATE_HZ)
    heights, hertz = prominence(signal)
    numbers = np.zeros((4, len(OCTAVES)))
    for number, (low, high) in enumerate(OCTAVES):
        if high > rate_hz / 2:
            continue
        lines = clearest_lines(heights[(hertz >= low) & (hertz < high)])
        if len(lines):
            numbers[:2, number] = lines.max(), lines.mean()
        numbers[2:, number] = _clicks(signal, low, high)
    return numbers.ravel()


def prominence(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return decibels (bins, frames) above the median of each bin's neighbours in its frame, and the bins in Hz."""
    if len(signal) < WINDOW:
        return np.zeros((WINDOW // 2 + 1, 0)), np.arange(WINDOW // 2 + 1) * RATE_HZ / WINDOW
    from scipy.signal import stft  # slow to load, and every job that reads a table of numbers imports this file

    hertz, _, spectrum = stft(signal, RATE_HZ, nperseg=WINDOW, noverlap=WINDOW - HOP, boundary=None, padded=False)
    decibels = 20 * np.log10(np.abs(spectrum) + _FLOOR)
    return decibels - median_filter(decibels, (NEIGHBOURS, 1)), hertz


def clearest_lines(heights: np.ndarray) -> np.ndarray:
    """Return, for each first frame, the mean of (bins, frames) along the best line of `LINE_FRAMES` frames.

    From one frame to the next, a line stays in its bin or moves by one. Computed by dynamic programming.
    """
    starts = heights.shape[1] - LINE_FRAMES + 1
    if starts < 1:
        return np.zeros(0)
    best = heights[:, :starts]
    for step in range(1, LINE_FRAMES):
        best = maximum_filter1d(best, 3, axis=0, mode="nearest") + heights[:, step : starts + step]
    return best.max(axis=0) / LINE_FRAMES


def _clicks(signal: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Return the excess kurtosis of a band: of all samples, and the mean over short windows."""
    window_count = len(signal) // CLICK
    if not window_count:
        return 0.0, 0.0
    from scipy.signal import butter, sosfiltfilt  # as above

    band = sosfiltfilt(butter(3, (low, high), "bandpass", fs=RATE_HZ, output="sos"), signal)
    return _kurtosis(band[None])[0], float(_kurtosis(band[: window_count * CLICK].reshape(window_count, CLICK)).mean())


def _kurtosis(x: np.ndarray) -> np.ndarray:
    """Return the excess kurtosis of each row; 0 for a constant row."""
    square = (x - x.mean(axis=1, keepdims=True)) ** 2
    spread = square.mean(axis=1)
    silent = spread < _FLOOR**2
    return np.where(silent, 0.0, (square**2).mean(axis=1) / np.where(silent, 1.0, spread) ** 2 - 3)
