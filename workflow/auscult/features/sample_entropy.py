"""Compiled sample entropy: only windows with similar first samples are compared."""

from __future__ import annotations

import numba
import numpy as np


def sample_entropy(x: np.ndarray, tolerance: float) -> float:
    """Return the sample entropy of order 2 of a signal (n,), n at least 5, in nats (Richman and Moorman 2000).

    Two windows match when all their samples differ by less than `tolerance`, as in antropy. If no windows of three
    samples match, the result is the largest value for the length, log((n − 2)(n − 3) / 2).
    """
    n = len(x)
    order = np.argsort(x[: n - 2], kind="stable")
    pairs, triples = _matches(x[order], x[order + 1], x[order + 2], tolerance)
    if not triples:
        return float(np.log(n - 2) + np.log(n - 3) - np.log(2))
    return float(np.log(pairs) - np.log(triples))


@numba.njit(cache=True)
def _matches(first: np.ndarray, second: np.ndarray, third: np.ndarray, tolerance: float) -> tuple[int, int]:
    """Return how many pairs of windows match in two samples, and in three; `first` is sorted.

    The inner loop has no branch, so that the processor compares many neighbours at once.
    """
    pairs = triples = stop = 0
    for i in range(len(first)):
        while stop < len(first) and first[stop] - first[i] < tolerance:
            stop += 1
        a, b = second[i], third[i]
        for j in range(i + 1, stop):
            close = abs(second[j] - a) < tolerance
            pairs += close
            triples += close & (abs(third[j] - b) < tolerance)
    return pairs, triples
