"""How much a recording sounds of wheezes and crackles: 16 numbers, four of each octave from 100 to 1600 Hz.

A wheeze is a tone that lasts: in the spectrogram a line that stands out of its neighbourhood for a tenth of a second
or longer, and may drift. A crackle is a click of some milliseconds: it makes the samples of a band heavy-tailed.
Loudness and colour of the recording cancel.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter1d, median_filter
from scipy.signal import butter, sosfiltfilt, stft

from auscult.cache.audio import one_channel

RATE_HZ = 4000
OCTAVES = ((100, 200), (200, 400), (400, 800), (800, 1600))  # Hz
WINDOW, HOP = 256, 64  # samples of a spectrogram's window (64 ms) and step
NEIGHBOURS = 19  # bins (300 Hz) whose median a line stands out of
LASTS = 8  # frames (128 ms) that a line must last
CLICK = 200  # samples (50 ms) of a short window for clicks
_FLOOR = 1e-9  # of a magnitude, against full scale 1

TABLE: dict[str, tuple[str, str]] = {
    f"{name}_{low}": (unit, f"{low} to {high} Hz: {meaning}")
    for name, unit, meaning in (
        ("tone", "dB", "how far the clearest line of 128 ms stands out of its neighbourhood, on average along it"),
        ("tones", "dB", "the same, averaged over all places in time where a line may begin"),
        ("click", "1", "excess kurtosis of the samples; 0 for silence"),
        ("clicks", "1", "excess kurtosis of 50 ms, averaged over them; 0 for silence"),
    )
    for low, high in OCTAVES
}
"""Name → (unit, meaning), in the order of `adventitious`. 0 in an octave beyond half the recording's rate, and for a
recording too short to say: 128 ms of frames for lines, 50 ms for clicks."""

NAMES: tuple[str, ...] = tuple(TABLE)


def adventitious(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """The 16 numbers (16,) of one channel of a recording (n,), named by `NAMES` and explained in `TABLE`.

    Raises ValueError for NaN or infinite samples, and for none.
    """
    signal = one_channel(samples, rate_hz, RATE_HZ)
    standing_out, hertz = prominence(signal)
    found = np.zeros((4, len(OCTAVES)))
    for number, (low, high) in enumerate(OCTAVES):
        if high > rate_hz / 2:
            continue
        lines = clearest_lines(standing_out[(hertz >= low) & (hertz < high)])
        if len(lines):
            found[:2, number] = lines.max(), lines.mean()
        found[2:, number] = _clicks(signal, low, high)
    return found.ravel()


def prominence(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decibels (bins, frames) above the median of each bin's neighbours at the same time, and the bins in Hz."""
    if len(signal) < WINDOW:
        return np.zeros((WINDOW // 2 + 1, 0)), np.arange(WINDOW // 2 + 1) * RATE_HZ / WINDOW
    hertz, _, spectrum = stft(signal, RATE_HZ, nperseg=WINDOW, noverlap=WINDOW - HOP, boundary=None, padded=False)
    decibels = 20 * np.log10(np.abs(spectrum) + _FLOOR)
    return decibels - median_filter(decibels, (NEIGHBOURS, 1)), hertz


def clearest_lines(standing_out: np.ndarray) -> np.ndarray:
    """For each first frame the mean of (bins, frames) along the best line of `LASTS` frames.

    From one frame to the next a line keeps its bin or moves by one; found by dynamic programming.
    """
    starts = standing_out.shape[1] - LASTS + 1
    if starts < 1:
        return np.zeros(0)
    best = standing_out[:, :starts]
    for step in range(1, LASTS):
        best = maximum_filter1d(best, 3, axis=0, mode="nearest") + standing_out[:, step : starts + step]
    return best.max(axis=0) / LASTS


def _clicks(signal: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Excess kurtosis of a band, of all samples and as the mean over short windows."""
    whole = len(signal) // CLICK
    if not whole:
        return 0.0, 0.0
    band = sosfiltfilt(butter(3, (low, high), "bandpass", fs=RATE_HZ, output="sos"), signal)
    return _kurtosis(band[None])[0], float(_kurtosis(band[: whole * CLICK].reshape(whole, CLICK)).mean())


def _kurtosis(x: np.ndarray) -> np.ndarray:
    """Excess kurtosis of each row; 0 for a row that does not change."""
    square = (x - x.mean(axis=1, keepdims=True)) ** 2
    spread = square.mean(axis=1)
    silent = spread < _FLOOR**2
    return np.where(silent, 0.0, (square**2).mean(axis=1) / np.where(silent, 1.0, spread) ** 2 - 3)
