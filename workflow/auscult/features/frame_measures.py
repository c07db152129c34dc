"""Compiled centroid, roll-off and bandwidth of spectra, in bins."""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True)
def frame_measures(spectra: np.ndarray, shift: np.ndarray, share: float, silence: float, out: np.ndarray) -> None:
    """Write centroid, roll-off and bandwidth of spectra (frames, bins) complex128 to the first columns of `out` (3, …).

    shift (2,): added to the first two bins before roll-off and bandwidth. share, silence: see `rolloff_and_bandwidth`.
    The centroid of zeros is 0.
    """
    bins = spectra.shape[1]
    magnitude = np.empty(bins)
    for frame in range(len(spectra)):
        for k in range(bins):
            value = spectra[frame, k]
            magnitude[k] = math.sqrt(value.real * value.real + value.imag * value.imag)
        total, first, _ = _sums(magnitude)
        out[0, frame] = first / total if total > 0 else 0.0
        for k in range(len(shift)):
            magnitude[k] = abs(spectra[frame, k] + shift[k])
        out[1, frame], out[2, frame] = rolloff_and_bandwidth(magnitude, share, silence)


@numba.njit(cache=True)
def rolloff_and_bandwidth(magnitude: np.ndarray, share: float, silence: float) -> tuple[float, float]:
    """Return the first bin up to which a magnitude (bins,) has a share of its sum, and its spread about its centroid.

    Both are 0 where the sum is at most `silence`.
    """
    total, first, second = _sums(magnitude)
    if total <= silence:
        return 0.0, 0.0
    mean = first / total
    limit = 0.0
    for value in magnitude:  # the sum in this order, so that the last bin reaches it
        limit += value
    limit *= share
    rolloff, so_far = 0, magnitude[0]
    while so_far < limit:
        rolloff += 1
        so_far += magnitude[rolloff]
    return float(rolloff), math.sqrt(max(second / total - mean * mean, 0.0))


@numba.njit(cache=True, fastmath={"reassoc"})
def _sums(magnitude: np.ndarray) -> tuple[float, float, float]:
    """Return the sums of a magnitude times its bin to the power of 0, 1 and 2."""
    total = first = second = 0.0
    for k in range(len(magnitude)):
        total += magnitude[k]
        first += magnitude[k] * k
        second += magnitude[k] * (k * k)
    return total, first, second
