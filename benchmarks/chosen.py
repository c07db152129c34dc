"""The row `chosen` on simulated patients: taking the best variant of a fold against averaging those near to it.

    PYTHONPATH=.:workflow python -m benchmarks.chosen [--studies 40] [--seed 0]

A patient has a class (Present, Unknown or Absent, as often as in CirCor) and a difficulty that all systems share. A
system sees the class through this difficulty and noise of its own. Each simulated study has one fold with some own
patients, which tune the decisions and choose, and 4,000 test patients, on which the choices are compared. The decision
rules, their scores and the choice are those of the library.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from auscult.config.targets import Target
from auscult.decisions.decide import Decisions, Outputs, decide
from auscult.decisions.inner_score import inner_score
from auscult.decisions.vote import vote
from auscult.decisions.winner import VARIANT, choose

CLASSES, SHARES = ["Present", "Unknown", "Absent"], [0.19, 0.07, 0.74]
OWN, TEST = (400, 80), 4000
SYSTEMS = {
    "alike": [1.0, 1.0, 1.0, 1.0],
    "one better": [1.3, 1.0, 1.0, 1.0],
    "graded": [1.2, 1.0, 0.8, 0.6],
    "one useful": [1.0, 0.2, 0.2, 0.2],
}
"""By scenario how clearly each system sees the class."""


def simulate(clarity: list[float], own: int, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """Class numbers of own and test patients (n,), and the probabilities (n, classes) of every system."""
    truth = rng.choice(len(CLASSES), own + TEST, p=SHARES)
    shared = rng.normal(size=(len(truth), len(CLASSES)))  # difficulty
    outputs = []
    for signal in clarity:
        noise = 0.8 * shared + 0.6 * rng.normal(size=shared.shape)
        scale = rng.uniform(0.7, 1.5)  # no system is calibrated, and each differently
        outputs.append(softmax(scale * (1.4 * signal * np.eye(len(CLASSES))[truth] + noise), axis=1))
    return truth, outputs


def compare(clarity: list[float], choose_by: str, count: int, seed: int) -> dict[str, float]:
    """Test scores of one study with `count` own patients: of the best variant alone, and of the row `chosen`."""
    rng = np.random.default_rng(seed)
    target = Target(
        label="murmur",
        classes=CLASSES,
        weights=[5, 3, 1],
        heads=["murmur"],
        decisions=["reference", "cost", "temperature", "tuned_both"],
    )
    truth, outputs = simulate(clarity, count, rng)
    ids = np.array([f"{number:05d}" for number in range(len(truth))])
    labels = pd.Series([CLASSES[number] for number in truth[:count]], index=ids[:count])
    results: dict[tuple[str, str], Decisions] = {}
    for number, p in enumerate(outputs):
        own, test = Outputs(ids[:count], p[:count]), Outputs(ids[count:], p[count:])
        of_rules = decide(target, own, test, labels, pd.Series(ids, ids), choose_by)
        results |= {(f"s{number}", rule): result for rule, result in of_rules.items()}
    rows = [
        {
            "target": "murmur",
            **dict(zip(VARIANT, (system, "network", "none", rule), strict=True)),
            "repeat": 0,
            "fold": 0,
            "scored_on": "inner",
            "score": result.inner_score,
            "standard_error": result.standard_error,
        }
        for (system, rule), result in results.items()
    ]
    is_chosen = choose(pd.DataFrame(rows), choose_by).to_numpy()
    best = max(results.values(), key=lambda result: result.inner_score)
    picks = [result for result, taken in zip(results.values(), is_chosen, strict=True) if taken]
    p, decisions, _ = vote(target, [(pick.calibrated, pick.decisions) for pick in picks])
    test_truth = truth[count:]
    return {
        "variants": float(len(picks)),
        "best": inner_score(target, test_truth, best.decisions, best.probabilities, choose_by),
        "chosen": inner_score(target, test_truth, decisions, p, choose_by),
    }


def main() -> None:
    """Print a table: the mean scores on test patients, and the difference with its 95 % interval."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| systems | own patients | choose_by | variants that vote | best alone | chosen | difference |")
    print("|---|---|---|---|---|---|---|")
    seeds = [options.seed + number for number in range(options.studies)]
    with ProcessPoolExecutor(initializer=threadpool_limits, initargs=(1,)) as pool:
        for name, count, choose_by in product(SYSTEMS, OWN, ("both", "auroc")):
            table = pd.DataFrame(pool.map(partial(compare, SYSTEMS[name], choose_by, count), seeds))
            gain = table["chosen"] - table["best"]
            error = 1.96 * gain.std(ddof=1) / np.sqrt(len(gain))
            means = f"{table['variants'].mean():.1f} | {table['best'].mean():.3f} | {table['chosen'].mean():.3f}"
            interval = f"{gain.mean() - error:+.4f} to {gain.mean() + error:+.4f}"
            print(f"| {name} | {count} | {choose_by} | {means} | {gain.mean():+.4f} ({interval}) |", flush=True)


if __name__ == "__main__":
    main()
