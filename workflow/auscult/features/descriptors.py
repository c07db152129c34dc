"""The 23 complexity descriptors of a recording, averaged over windows of 4 s at 1 kHz; antropy computes most of them.

A recording shorter than a window is one window. Samples after the last complete window are not used. An undefined
descriptor has the value that `TABLE` states, so that every recording has 23 finite numbers.
"""

from __future__ import annotations

import warnings

import numpy as np

from auscult.cache.audio import one_channel

RATE_HZ = 1000
WINDOW = 4 * RATE_HZ
SCALES = range(1, 11)
TOLERANCE = 0.15  # of sample entropy, in standard deviations of the unscaled window
_LEAST = 10  # samples: a shorter window counts as constant
_FLUX_WINDOW, _FLUX_HOP = 64, 16

TABLE: dict[str, tuple[str, str]] = {
    **{
        f"sample_entropy_{scale}": (
            "nat",
            f"sample entropy (m 2, r 0.15 SD) of the window averaged over {scale} samples; without any match the "
            "largest value that its length allows; 0 for a constant window",
        )
        for scale in SCALES
    },
    "complexity_index": ("nat", "sum of the sample entropies over the scales"),
    "entropy_slope": ("nat", "slope of the sample entropy over the scale, by least squares"),
    "permutation_entropy": ("1", "of order 3, as a share of its maximum; 0 for a constant window"),
    "spectral_entropy": ("1", "of the periodogram, as a share of its maximum; 0 for a constant window"),
    "svd_entropy": ("1", "of the singular values of the embedding of order 3, as a share; 0 for a constant window"),
    "hjorth_mobility": ("1", "deviation of the differences over that of the samples; 0 for a constant window"),
    "hjorth_complexity": ("1", "mobility of the differences over that of the samples; 0 for a constant window"),
    "higuchi_fd": ("1", "Higuchi's fractal dimension, to 10 samples; 1 for a constant window"),
    "petrosian_fd": ("1", "Petrosian's fractal dimension; 1 for a constant window"),
    "katz_fd": ("1", "Katz's fractal dimension; 1 for a constant window"),
    "lempel_ziv": ("1", "Lempel–Ziv complexity of the signs about the median, normalised; 0 for a constant window"),
    "dfa_exponent": ("1", "exponent of the detrended fluctuation; 0.5, the value of noise, if it is not defined"),
    "flux_variation": ("1", "coefficient of variation of the spectral flux; 0 for a constant spectrum"),
}
"""Name → (unit, meaning), in the order of `descriptors`."""

NAMES: tuple[str, ...] = tuple(TABLE)
# the descriptors of a constant window
CONSTANT = np.array([1.0 if name.endswith("_fd") else 0.5 if name == "dfa_exponent" else 0.0 for name in NAMES])


def descriptors(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Return the 23 descriptors (23,) of one channel of a recording (n,), named by `NAMES` and explained in `TABLE`.

    Raises ValueError for NaN or infinite samples, and for no samples.
    """
    signal = one_channel(samples, rate_hz, RATE_HZ)
    window_count = len(signal) // WINDOW
    windows = signal[: window_count * WINDOW].reshape(window_count, WINDOW) if window_count else signal[None]
    return np.mean([of_window(window) for window in windows], axis=0)


def of_window(x: np.ndarray) -> np.ndarray:
    """Return the 23 descriptors (23,) of one window (n,)."""
    if len(x) < _LEAST or np.ptp(x) <= 1e-12 * np.abs(x).max(initial=0):
        return CONSTANT.copy()
    import antropy  # the import takes seconds, so it is done here

    from auscult.features.lempel_ziv import lempel_ziv_complexity
    from auscult.features.sample_entropy import sample_entropy

    tolerance, scaled_windows = TOLERANCE * x.std(), [_coarse(x, scale) for scale in SCALES]
    entropies = [
        sample_entropy(scaled_window, tolerance) if len(scaled_window) >= 5 else 0.0 for scaled_window in scaled_windows
    ]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # undefined values are replaced below
        mobility, complexity = antropy.hjorth_params(x)
        values = [
            *entropies,
            sum(entropies),
            np.polyfit(SCALES, entropies, 1)[0],
            antropy.perm_entropy(x, order=3, normalize=True),
            antropy.spectral_entropy(x, RATE_HZ, method="fft", normalize=True),
            antropy.svd_entropy(x, order=3, normalize=True),
            mobility,
            complexity,
            antropy.higuchi_fd(x, kmax=min(10, len(x) // 2)),
            antropy.petrosian_fd(x),
            antropy.katz_fd(x),
            lempel_ziv_complexity(x > np.median(x)),
            antropy.detrended_fluctuation(x) if len(x) >= 100 else np.nan,
            _flux_variation(x),
        ]
    values = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(values), values, CONSTANT)


def _coarse(x: np.ndarray, scale: int) -> np.ndarray:
    """Return the means of `scale` samples each (Costa et al. 2002)."""
    return x[: len(x) // scale * scale].reshape(-1, scale).mean(axis=1)


def _flux_variation(x: np.ndarray) -> float:
    """Return deviation / mean of the spectral flux: the norm of the increases from one frame to the next."""
    if len(x) < _FLUX_WINDOW + 2 * _FLUX_HOP:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(x, _FLUX_WINDOW)[::_FLUX_HOP]
    spectra = np.abs(np.fft.rfft(frames * np.hanning(_FLUX_WINDOW), axis=1))
    flux = np.linalg.norm(np.maximum(np.diff(spectra, axis=0), 0), axis=1)
    return float(flux.std() / flux.mean()) if flux.mean() > 0 else 0.0
