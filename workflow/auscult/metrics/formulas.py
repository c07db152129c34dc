"""Metrics as functions of arrays, independent of studies, tables and files.

Classes are numbered 0 … classes - 1 in the order of the target. A single-label target has integer labels and
predictions of shape (n,), a multi-label target 0/1 arrays of shape (n, classes). Scores are (n, classes).

Case weights have shape (n,), or (..., n) with batch axes in front, which are the first axes of the result too: one
call scores all draws of a bootstrap (auscult.metrics.intervals). An integer weight k counts a case k times.

A value that is not defined (the recall of a class without cases, an AUROC without negatives) is NaN, never 0,
without a warning. Malformed input raises ValueError.

The formulae of weighted accuracy, F, AUROC, AUPRC and cost are those of the George B. Moody PhysioNet
Challenge 2022.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Most numbers in a temporary array when batches of weights are ranked; limits memory and does not change results.
BLOCK_SIZE = 4_000_000


# Input and small arithmetic


def one_hot(labels: ArrayLike, classes: int) -> NDArray[np.bool_]:
    """Single-label or multi-label labels as a boolean array (n, classes).

    labels: (n,) class indices, or (n, classes) of 0/1. Raises ValueError for other shapes, types or values.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iub":
        raise ValueError(f"labels must be integers or booleans, not {labels.dtype}")
    if labels.ndim == 1:
        if labels.size and (labels.min() < 0 or labels.max() >= classes):
            raise ValueError(f"class indices must lie in 0 … {classes - 1}")
        return labels[:, None] == np.arange(classes)
    if labels.ndim != 2 or labels.shape[1] != classes:
        raise ValueError(f"labels must have shape (n,) or (n, {classes}), not {labels.shape}")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("multi-label arrays must contain only 0 and 1")
    return labels.astype(bool)


def macro(values: ArrayLike) -> np.float64 | Floats:
    """Unweighted mean over the last axis without undefined (NaN) values; NaN where all are undefined."""
    values = np.asarray(values, dtype=float)
    is_defined = ~np.isnan(values)
    return _ratio(np.where(is_defined, values, 0.0).sum(axis=-1), is_defined.sum(axis=-1))


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> np.float64 | Floats:
    """numerator / denominator, NaN where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    out = np.full(denominator.shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator != 0)
    return out[()]


def _case_weights(weights: ArrayLike | None, cases: int) -> NDArray[np.floating]:
    """Check case weights (..., n); ones if None. float32 (large draws) stays float32, other types become float64."""
    if weights is None:
        return np.ones(cases)
    weights = np.asarray(weights)
    if weights.dtype != np.float32:
        weights = weights.astype(float)
    if weights.ndim == 0 or weights.shape[-1] != cases:
        raise ValueError(f"weights of shape {weights.shape} do not fit {cases} cases")
    if weights.size and not (weights.min() >= 0 and np.isfinite(weights.max())):
        raise ValueError("weights must be finite and not negative")
    return weights


def _count(weights: NDArray[np.floating], cells: NDArray[np.bool_]) -> Floats:
    """Weighted number of cases (..., k) in each column of `cells` (n, k)."""
    return (weights @ cells.astype(weights.dtype)).astype(float)


def _mean(losses: Floats, weights: ArrayLike | None) -> np.float64 | Floats:
    """Weighted mean of one loss per case (n,), shape (...)."""
    weights = _case_weights(weights, len(losses))
    return _ratio(weights @ losses, weights.sum(axis=-1, dtype=float))


def _scores(probabilities: ArrayLike) -> Floats:
    """Scores as a float array (n, classes) without NaN."""
    probabilities = np.asarray(probabilities, dtype=float)
    if probabilities.ndim != 2:
        raise ValueError(f"probabilities must have shape (n, classes), not {probabilities.shape}")
    if np.isnan(probabilities).any():
        raise ValueError("probabilities contain NaN")
    return probabilities


def _truth_and_scores(labels: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    scores = _scores(probabilities)
    truth = one_hot(labels, scores.shape[1])
    if len(truth) != len(scores):
        raise ValueError(f"{len(truth)} labels but {len(scores)} rows of probabilities")
    return truth, scores


# Confusion matrices: rows are true classes, columns predicted ones


def confusion(labels: ArrayLike, predictions: ArrayLike, classes: int, weights: ArrayLike | None = None) -> NDArray:
    """Confusion matrix [true, predicted] of a single-label target.

    labels, predictions: (n,) class indices. Returns (classes, classes) of int, or with weights (..., n) an
    array (..., classes, classes) of float.
    """
    truth, decision = one_hot(labels, classes), one_hot(predictions, classes)
    if np.ndim(labels) != 1 or np.shape(labels) != np.shape(predictions):
        raise ValueError("labels and predictions must both have shape (n,)")
    cells = (truth[:, :, None] & decision[:, None, :]).reshape(len(truth), classes * classes)
    if weights is None:
        return cells.sum(axis=0).reshape(classes, classes)
    counts = _count(_case_weights(weights, len(truth)), cells)
    return counts.reshape(*counts.shape[:-1], classes, classes)


def recalls(matrix: ArrayLike) -> Floats:
    """Recall of each class, (..., classes, classes) → (..., classes); NaN for a class without cases."""
    matrix = _matrix(matrix)
    return _ratio(_diagonal(matrix), matrix.sum(axis=-1))


def uar(matrix: ArrayLike) -> np.float64 | Floats:
    """Unweighted average recall (balanced accuracy) over the classes that have cases; shape (...)."""
    return macro(recalls(matrix))


def accuracy(matrix: ArrayLike) -> np.float64 | Floats:
    """Share of cases on the diagonal; shape (...)."""
    matrix = _matrix(matrix)
    return _ratio(_diagonal(matrix).sum(axis=-1), matrix.sum(axis=(-2, -1)))


def weighted_accuracy(matrix: ArrayLike, weights: ArrayLike) -> np.float64 | Floats:
    """Accuracy in which every case counts with the weight of its true class; shape (...).

    weights: (classes,), not negative; 5, 3, 1 for Present, Unknown, Absent in the Challenge of 2022.
    """
    matrix, weights = _matrix(matrix), np.asarray(weights, dtype=float)
    if weights.shape != matrix.shape[-1:] or not (weights >= 0).all():
        raise ValueError(f"one non-negative weight per class is needed: {matrix.shape[-1]} classes, got {weights}")
    return _ratio(_diagonal(matrix) @ weights, matrix.sum(axis=-1) @ weights)


def f_scores(matrix: ArrayLike) -> Floats:
    """One-vs-rest F1 = 2 TP / (2 TP + FP + FN) of each class, (..., classes).

    NaN for a class that is neither a label nor a prediction of any case.
    """
    matrix = _matrix(matrix)
    return _ratio(2 * _diagonal(matrix), matrix.sum(axis=-1) + matrix.sum(axis=-2))


def f_measure(matrix: ArrayLike) -> np.float64 | Floats:
    """Unweighted mean of the F1 scores of the classes, without undefined ones; shape (...)."""
    return macro(f_scores(matrix))


def against_normal(matrix: ArrayLike, normal: int) -> dict[str, np.float64 | Floats]:
    """Metrics of a confusion matrix whose class number `normal` is the normal one; each of shape (...).

    `specificity`: recall of the normal class. `sensitivity`: share of all abnormal cases that are predicted as exactly
    their class; `sensitivity_any`: as any abnormal class. `icbhi_score`, `icbhi_score_any`: means of these and the
    specificity. The first is the score of the ICBHI 2017 challenge, the second a lenient score that some papers report
    under the same name.
    """
    matrix = _matrix(matrix)
    abnormal = np.arange(matrix.shape[-1]) != normal
    cases = matrix[..., abnormal, :].sum(axis=(-2, -1))
    specificity = recalls(matrix)[..., normal]
    strict = _ratio(_diagonal(matrix)[..., abnormal].sum(axis=-1), cases)
    lenient = _ratio(matrix[..., abnormal, :][..., abnormal].sum(axis=(-2, -1)), cases)
    return {
        "icbhi_score": (specificity + strict) / 2,
        "icbhi_score_any": (specificity + lenient) / 2,
        "specificity": specificity,
        "sensitivity": strict,
        "sensitivity_any": lenient,
    }


def _matrix(matrix: ArrayLike) -> Floats:
    matrix = np.asarray(matrix, dtype=float)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ValueError(f"a confusion matrix must have shape (..., classes, classes), not {matrix.shape}")
    return matrix


def _diagonal(matrix: Floats) -> Floats:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


# Ranking


def auroc(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Area under the ROC curve of each class against the rest; ties count half.

    labels: (n,) or (n, classes) of 0/1; probabilities: (n, classes); weights: (..., n). Returns (...,
    classes), NaN for a class without positives or without negatives; `macro` averages the defined ones.
    """
    return _by_class(_roc_area, labels, probabilities, weights)


def auprc(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Average precision of each class against the rest: the sum of (step of recall) × precision.

    Shapes as `auroc`. NaN for a class without positives; 1 for a class without negatives.
    """
    return _by_class(_average_precision, labels, probabilities, weights)


def macro_auroc(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> np.float64 | Floats:
    """Mean AUROC over the classes for which it is defined; shape (...)."""
    return macro(auroc(labels, probabilities, weights))


def _roc_area(positives: Floats, negatives: Floats) -> Floats:
    """ROC areas (m,) from the positives and negatives (m, scores) at each distinct score, highest first."""
    not_below = np.cumsum(negatives, axis=1)
    below = not_below[:, -1:] - not_below + 0.5 * negatives
    return _ratio((positives * below).sum(axis=1), positives.sum(axis=1) * not_below[:, -1])


def _average_precision(positives: Floats, negatives: Floats) -> Floats:
    """Average precision (m,), with the arguments of `_roc_area`."""
    hits = np.cumsum(positives, axis=1)
    total = np.cumsum(positives + negatives, axis=1)
    precision = np.divide(hits, total, out=np.zeros_like(hits), where=total > 0)
    return _ratio((positives * precision).sum(axis=1), hits[:, -1])


def _by_class(
    area: Callable[[Floats, Floats], Floats],
    labels: ArrayLike,
    probabilities: ArrayLike,
    weights: ArrayLike | None,
) -> Floats:
    """Apply `area` to every class and every set of weights: each class is sorted once for all of them."""
    truth, scores = _truth_and_scores(labels, probabilities)
    cases, classes = scores.shape
    weights = _case_weights(weights, cases)
    batch = weights.shape[:-1]
    rows = weights.reshape(int(np.prod(batch)), cases)
    out = np.full((len(rows), classes), np.nan)
    if cases == 0:
        return out.reshape(*batch, classes)
    step = max(1, BLOCK_SIZE // cases)
    for k in range(classes):
        order = np.argsort(-scores[:, k], kind="stable")
        in_order = scores[order, k]
        starts = np.flatnonzero(np.concatenate([[True], in_order[1:] != in_order[:-1]]))
        positive = truth[order, k]
        for first in range(0, len(rows), step):
            block = rows[first : first + step, order].astype(float)
            positives = np.add.reduceat(block * positive, starts, axis=1)
            negatives = np.add.reduceat(block * ~positive, starts, axis=1)
            out[first : first + step, k] = area(positives, negatives)
    return out.reshape(*batch, classes)


# Cost of screening


def challenge_cost(referred: ArrayLike, abnormal: ArrayLike, weights: ArrayLike | None = None) -> np.float64 | Floats:
    """Mean cost per case of referring cases to an expert, by the formula of the Challenge of 2022; shape (...).

    referred, abnormal: boolean (n,), whether a case is referred and whether its outcome is abnormal. With the share r
    of referred cases: 10 + (25 + 397 r - 1718 r² + 11296 r⁴) + 10000 TP / n + 50000 FN / n. It is not linear in the
    cases: the cost of a pooled set is not the mean of the costs of its folds.
    """
    if np.ndim(referred) != 1 or np.shape(referred) != np.shape(abnormal):
        raise ValueError("referred and abnormal must both have shape (n,)")
    referred, abnormal = one_hot(referred, 2)[:, 1], one_hot(abnormal, 2)[:, 1]
    weights = _case_weights(weights, len(referred))
    counts = _count(weights, np.stack([referred, referred & abnormal, ~referred & abnormal], axis=1))
    share, hits, misses = np.moveaxis(_ratio(counts, weights.sum(axis=-1, dtype=float)[..., None]), -1, 0)
    expert = 25 + 397 * share - 1718 * share**2 + 11296 * share**4
    return 10 + expert + 10_000 * hits + 50_000 * misses


# Calibration and proper scores


def ece(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = 15, weights: ArrayLike | None = None
) -> np.float64 | Floats:
    """Expected calibration error of the most probable class (Guo et al., ICML 2017); shape (...).

    Confidence is the highest probability of a case (n, classes), correct when that class is its label (n,).
    Bins are of equal width over (0, 1], closed on the right; the gaps |accuracy - confidence| are weighted by
    cases. Raises ValueError for multi-label targets, where there is no single most probable class.
    """
    truth, scores = _truth_and_scores(labels, probabilities)
    if np.ndim(labels) != 1:
        raise ValueError("the calibration error of the most probable class needs single-label targets")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    weights = _case_weights(weights, len(scores))
    if len(scores) == 0:
        return np.full(weights.shape[:-1], np.nan)[()]
    top = scores.argmax(axis=1)[:, None]
    confidence = np.take_along_axis(scores, top, axis=1)
    gap = np.take_along_axis(truth, top, axis=1) - confidence
    return _ratio(np.abs(weights @ (_in_bin(confidence, bins) * gap)).sum(axis=-1), weights.sum(axis=-1, dtype=float))


def ece_if_calibrated(
    probabilities: ArrayLike, cases: ArrayLike | None = None, draws: int = 1000, seed: int = 0, bins: int = 15
) -> Floats:
    """Return what `ece` is for labels drawn from the model's own confidences: (draws,), NaN without cases.

    A calibrated model has gaps by chance alone: this is their distribution, to which an observed error is compared.
    probabilities: (n, classes). cases: numbers (n,) of the cases, where one has several rows (repeats of the folds): a
    case has one label, so that its rows are right or wrong together.
    """
    confidence = np.asarray(probabilities, dtype=float).max(axis=1, initial=0.0)
    if not len(confidence):
        return np.full(draws, np.nan)
    rng, in_bin = np.random.default_rng(seed), _in_bin(confidence[:, None], bins).astype(float)
    _, rows = np.unique(np.arange(len(confidence)) if cases is None else cases, return_inverse=True)
    size = max(1, 2**20 // len(confidence))  # draws at a time, so that memory is bounded
    errors = []
    for start in range(0, draws, size):
        is_correct = rng.random((min(size, draws - start), rows.max() + 1))[:, rows] < confidence
        errors.append(np.abs((is_correct - confidence) @ in_bin).sum(axis=1))
    return np.concatenate(errors) / len(confidence)


def _in_bin(confidence: Floats, bins: int) -> NDArray[np.bool_]:
    """Which bin of equal width over (0, 1], closed on the right, a confidence (n, 1) is in: (n, bins)."""
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    return np.digitize(confidence, edges, right=True) == np.arange(bins)


def brier(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> np.float64 | Floats:
    """Mean over cases of the squared errors summed over classes (Brier 1950), 0 … 2 if single-label; (...).

    labels: (n,) or (n, classes) of 0/1; probabilities: (n, classes).
    """
    truth, scores = _truth_and_scores(labels, probabilities)
    return _mean(((scores - truth) ** 2).sum(axis=1), weights)


def nll(
    labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None, clip: float = 1e-15
) -> np.float64 | Floats:
    """Mean negative log-likelihood (log loss) in nats, probabilities clipped to clip … 1 - clip; (...).

    Labels (n,): minus the log of the true class's probability. Labels (n, classes) of 0/1: the binary log
    losses, averaged over the classes.
    """
    truth, scores = _truth_and_scores(labels, probabilities)
    scores = np.clip(scores, clip, 1 - clip)
    if np.ndim(labels) == 1:
        return _mean(-np.log(scores[truth]), weights)
    return _mean(-np.log(np.where(truth, scores, 1 - scores)).mean(axis=1), weights)


# Multi-label targets: one 2 × 2 matrix per class


def multilabel_counts(labels: ArrayLike, predictions: ArrayLike, weights: ArrayLike | None = None) -> NDArray:
    """One binary confusion matrix [true, predicted] per class: [[TN, FP], [FN, TP]].

    labels, predictions: 0/1 arrays (n, classes). Returns (classes, 2, 2) of int, or with weights (..., n) an
    array (..., classes, 2, 2) of float. The functions of confusion matrices apply: `uar` gives the balanced
    accuracy of each class, `accuracy` its share of correct predictions.
    """
    classes = np.shape(labels)[-1] if np.ndim(labels) == 2 else -1
    if classes < 0 or np.shape(labels) != np.shape(predictions):
        raise ValueError("labels and predictions must both have shape (n, classes)")
    truth, decision = one_hot(labels, classes), one_hot(predictions, classes)
    kinds = [~truth & ~decision, ~truth & decision, truth & ~decision, truth & decision]
    cells = np.stack(kinds, axis=-1).reshape(len(truth), classes * 4)
    if weights is None:
        return cells.sum(axis=0).reshape(classes, 2, 2)
    counts = _count(_case_weights(weights, len(truth)), cells)
    return counts.reshape(*counts.shape[:-1], classes, 2, 2)


def multilabel_recalls(counts: ArrayLike) -> Floats:
    """Recall (sensitivity) of each class, (..., classes, 2, 2) → (..., classes); NaN without positives."""
    return recalls(counts)[..., 1]


def multilabel_f1(counts: ArrayLike) -> Floats:
    """F1 of each class, (..., classes, 2, 2) → (..., classes); NaN with neither positives nor predictions."""
    return f_scores(counts)[..., 1]


def macro_f1(counts: ArrayLike) -> np.float64 | Floats:
    """Mean F1 over the classes for which it is defined, (..., classes, 2, 2) → (...)."""
    return macro(multilabel_f1(counts))


def exact_match(labels: ArrayLike, predictions: ArrayLike, weights: ArrayLike | None = None) -> np.float64 | Floats:
    """Share of cases with all labels correct (subset accuracy); 0/1 arrays (n, classes) → (...)."""
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.ndim != 2 or labels.shape != predictions.shape:
        raise ValueError("labels and predictions must both have shape (n, classes)")
    classes = labels.shape[1]
    correct = (one_hot(labels, classes) == one_hot(predictions, classes)).all(axis=1)
    return _mean(correct.astype(float), weights)
