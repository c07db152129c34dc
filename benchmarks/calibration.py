"""Coverage of the interval of the calibration error: python -m benchmarks.calibration [--studies 200] [--seed 0].

Simulated studies have 501 cases of three classes, as often as in CirCor, and one variant. The model is calibrated, or
its logits are multiplied by a factor. Printed is how many of the 95 % intervals contain the calibration error that the
model has on 200,000 other cases, and 0.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from scipy.special import softmax

from auscult.evaluation.scoring import calibration_interval
from auscult.metrics import formulas
from auscult.metrics.catalogue import Scored
from auscult.metrics.intervals import subject_draws

CASES, MANY = 501, 200_000
SHARES = np.array([0.19, 0.07, 0.74])
FACTORS = (1.0, 1.3, 1.6, 2.0, 0.6)
"""By how much a model's logits are multiplied; 1: it is calibrated."""


def simulate(count: int, factor: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Class numbers (count,) that are drawn from probabilities, and these with their logits multiplied."""
    logits = np.log(SHARES) + 1.5 * rng.standard_normal((count, len(SHARES)))
    p = softmax(logits, axis=1)
    truth = (p.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1).clip(max=len(SHARES) - 1)
    return truth, softmax(factor * logits, axis=1)


def main() -> None:
    """Print a table with a row for every factor."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draws = subject_draws([f"{number:03d}" for number in range(CASES)])
    print("| logits times | calibration error | intervals that contain it | that contain 0 |\n|---|---|---|---|")
    for factor in FACTORS:
        rng = np.random.default_rng(options.seed)
        error = 0.0 if factor == 1 else float(formulas.ece(*simulate(MANY, factor, rng)))
        rows = []
        for _ in range(options.studies):
            truth, p = simulate(CASES, factor, rng)
            scored = Scored(truth, p.argmax(axis=1), p, [1.0] * len(SHARES))
            low, high = calibration_interval(scored, formulas.ece(truth, p, weights=draws))
            rows.append((low <= error <= high, low <= 0))
        contains = pd.DataFrame(rows).mean()
        print(f"| {factor:g} | {error:.3f} | {contains[0]:.3f} | {contains[1]:.3f} |", flush=True)


if __name__ == "__main__":
    main()
