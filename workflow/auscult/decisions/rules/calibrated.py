"""The largest weight x calibrated probability: what is expected to score best.

Calibration is by multinomial logistic regression on the logarithms of the probabilities, or by one temperature
(`temperature`). `cost` and `temperature` maximise expected weighted accuracy; `expected_75` to `expected_0` maximise a
mean of weighted accuracy and UAR, in which the former has this share in per cent.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np
from scipy.special import softmax

from auscult.config.targets import Target
from auscult.decisions.rule import FittedRule, Recordings, Rule

Calibration = dict[str, Any] | None
"""`temperature`; or, for every class that was seen, its number (`classes`), its `coefficients` and `intercepts`. None
leaves probabilities as they are."""


def regression(p: np.ndarray, labels: np.ndarray) -> Calibration:
    """Logistic regression of class numbers (n,) on logarithms of probabilities (n, classes); None of a single class."""
    if len(np.unique(labels)) < 2:
        return None
    return _regression(np.asarray(p, np.float64).tobytes(), p.shape, tuple(labels.tolist()))


@lru_cache(maxsize=32)  # rules fit it to the same cases: five folds of each of five draws, and all
def _regression(p: bytes, shape: tuple[int, int], labels: tuple[int, ...]) -> Calibration:
    """`regression` of float64 probabilities given as bytes, of two classes or more. Callers share the result."""
    from sklearn.linear_model import LogisticRegression  # slow to load, and the rules import this file

    model = LogisticRegression(C=1.0, max_iter=1000).fit(_logs(np.frombuffer(p).reshape(shape)), labels)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn keeps the second class's alone
        coefficients, intercepts = np.vstack([0 * coefficients, coefficients]), np.append(0.0, intercepts)
    model_values = {"classes": model.classes_, "coefficients": coefficients, "intercepts": intercepts}
    return {key: value.tolist() for key, value in model_values.items()}


def temperature(p: np.ndarray, labels: np.ndarray) -> Calibration:
    """One number that divides the logarithms and so changes no order of classes (Guo et al. 2017).

    The one between 1/20 and 20 with the least log loss; None of a single class.
    """
    if len(np.unique(labels)) < 2:
        return None
    from scipy.optimize import minimize_scalar  # late for the same reason

    logs = _logs(p)

    def loss(log_temperature: float) -> float:
        q = softmax(logs / np.exp(log_temperature), axis=1)
        return -float(np.mean(np.log(q[np.arange(len(q)), labels] + 1e-300)))

    best = minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded").x
    return {"temperature": float(np.exp(best))}


def calibrate(calibration: Calibration, p: np.ndarray) -> np.ndarray:
    """Calibrated probabilities (n, classes); a class that the calibration never saw gets a probability of 0."""
    if calibration is None or not len(p):
        return p
    if "temperature" in calibration:
        return softmax(_logs(p) / calibration["temperature"], axis=1)
    q = np.zeros_like(p)
    logits = _logs(p) @ np.array(calibration["coefficients"]).T + calibration["intercepts"]
    q[:, calibration["classes"]] = softmax(logits, axis=1)
    return q


def largest_weighted(p: np.ndarray, weights: list[float]) -> np.ndarray:
    """Class numbers (n,) of the largest weight x probability."""
    return np.argmax(p * np.asarray(weights), axis=1)


def utilities(counts: np.ndarray, weights: list[float], share: float) -> np.ndarray:
    """What a right decision about a case adds to share x weighted accuracy + (1 - share) x UAR, by class (classes,).

    counts: labelled cases of each class; a class without one adds nothing, but where there are none at all. weights: of
    the true classes in weighted accuracy.
    """
    true_weights = np.asarray(weights)
    if not counts.any():
        counts = np.ones(len(counts))
    there, counts = counts > 0, np.maximum(counts, 1e-9)
    return there * (share * true_weights / (true_weights * counts).sum() + (1 - share) / (there.sum() * counts))


def fit_expected(p: np.ndarray, truth: np.ndarray, target: Target, share: float) -> FittedRule:
    """The calibration, and the `utilities` of the labelled cases."""
    counts = np.bincount(truth, minlength=len(target.classes))
    values = utilities(counts, target.class_weights(), share)
    return {"calibration": regression(p, truth), "utilities": values.tolist()}


def apply_expected(
    parameters: FittedRule, p: np.ndarray, target: Target, recordings: Recordings | None
) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities as they are, and the decisions that are expected to add most."""
    return p, largest_weighted(calibrate(parameters["calibration"], p), parameters["utilities"])


def apply(
    parameters: FittedRule, p: np.ndarray, target: Target, recordings: Recordings | None
) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities and the decisions from them."""
    q = calibrate(parameters["calibration"], p)
    return q, largest_weighted(q, target.class_weights())


def _logs(p: np.ndarray) -> np.ndarray:
    return np.log(np.clip(p, 1e-4, 1.0))


COST = Rule(
    "cost",
    "The largest weight x probability, calibrated by regression.",
    ("multiclass",),
    apply,
    lambda p, truth, target: {"calibration": regression(p, truth)},
    calibrates=True,
)
TEMPERATURE = Rule(
    "temperature",
    "The largest weight x probability, calibrated by one temperature.",
    ("multiclass",),
    apply,
    lambda p, truth, target: {"calibration": temperature(p, truth)},
    calibrates=True,
)
EXPECTED = tuple(
    Rule(
        f"expected_{share}",
        f"What is expected to score best by {share} % weighted accuracy and {100 - share} % UAR, by probabilities that "
        "are calibrated by regression for the decision alone.",
        ("multiclass",),
        apply_expected,
        partial(fit_expected, share=share / 100),
    )
    for share in (75, 50, 25, 0)
)
RULES = (COST, TEMPERATURE, *EXPECTED)
