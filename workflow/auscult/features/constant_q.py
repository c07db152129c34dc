"""Chroma of a constant-Q transform, as `librosa.feature.chroma_cens` computes it, in a fraction of the time.

librosa builds the filters of every octave anew for each call, which is most of its time. Here the filters of a tuning
are kept. An octave has half the rate and half the frequencies of the one above, so one set of filters serves all.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import scipy.ndimage

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

OCTAVES, BINS, LOWEST_HZ = 7, 36, 32.70319566257483
"""Octaves from C1 on, filters of an octave, and the frequency of C1."""
STEPS = [0.4, 0.2, 0.1, 0.05]
SMOOTHED = 41
"""Levels of a class's share in a frame, each of which adds a quarter, and frames over which they are averaged."""


def chroma_cens(x: np.ndarray, rate_hz: int, hop: int) -> np.ndarray:
    """Return the energy of the 12 pitch classes (12, frames) of samples (n,) float64, each frame of length 1 or 0.

    hop: samples from one frame to the next, a multiple of 64. rate_hz: between 9 and 17 kHz, where the transform of
    librosa leaves the rate of the highest octave as it is. Raises ValueError for others.

    Source: M. Müller and S. Ewert 2011, "Chroma Toolbox"; `librosa.feature.chroma_cens` at its defaults.
    """
    import librosa

    if not 9000 <= rate_hz <= 17000 or hop % 2 ** (OCTAVES - 1):
        raise ValueError(f"constant-Q chroma of {rate_hz} Hz with a hop of {hop} samples are not computed here")
    tuning = librosa.estimate_tuning(y=x, sr=rate_hz, bins_per_octave=BINS)
    energies = np.abs(_transform(x, rate_hz, hop, float(tuning)))
    chroma = librosa.util.normalize(_pitch_classes() @ energies, norm=1, axis=0)
    levels = sum((chroma > step) * 0.25 for step in STEPS)
    window = np.hanning(SMOOTHED + 2)
    smooth = scipy.ndimage.convolve(levels, (window / window.sum())[None], mode="constant")
    return librosa.util.normalize(smooth, norm=2, axis=0)


def _transform(x: np.ndarray, rate_hz: int, hop: int, tuning: float) -> np.ndarray:
    """Return the constant-Q transform (octaves × bins, frames), complex, of samples (n,)."""
    import librosa

    filters, points, lengths = _filters(rate_hz, tuning)
    octaves, signal = [], x
    for octave in range(OCTAVES):
        spectrum = librosa.stft(signal, n_fft=points, hop_length=hop >> octave, window="ones", pad_mode="constant")
        octaves.append(filters @ spectrum * np.sqrt(2.0**octave))
        if octave < OCTAVES - 1:
            signal = librosa.resample(signal, orig_sr=2, target_sr=1, res_type="soxr_hq", scale=True)
    frames = min(values.shape[1] for values in octaves)
    return np.vstack([values[:, :frames] for values in reversed(octaves)]) / np.sqrt(lengths)[:, None]


@lru_cache(maxsize=128)
def _filters(rate_hz: int, tuning: float) -> tuple[csr_matrix, int, np.ndarray]:
    """Return the spectra of the filters of the highest octave, the points of their transforms, and all lengths."""
    import librosa

    hz = LOWEST_HZ * 2.0 ** ((tuning + np.arange(OCTAVES * BINS)) / BINS)
    ratio = 2.0 ** (2 / BINS)
    bandwidth = np.full(len(hz), (ratio - 1) / (ratio + 1))  # relative to the frequency
    waves, of_octave = librosa.filters.wavelet(freqs=hz[-BINS:], sr=rate_hz, alpha=bandwidth[-BINS:])
    points = waves.shape[1]
    spectra = np.fft.fft(waves * (of_octave[:, None] / points), axis=1)[:, : points // 2 + 1]
    lengths, _ = librosa.filters.wavelet_lengths(freqs=hz, sr=rate_hz, alpha=bandwidth)
    return librosa.util.sparsify_rows(spectra, quantile=0.01), points, lengths


@lru_cache(maxsize=1)
def _pitch_classes() -> np.ndarray:
    """Return the weights (12, octaves × bins) from the bins of the transform to pitch classes."""
    import librosa

    return librosa.filters.cq_to_chroma(OCTAVES * BINS, bins_per_octave=BINS)
