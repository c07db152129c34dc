"""The validation score against scikit-learn."""

import math

import numpy as np
import pytest
from sklearn import metrics as oracle

from auscult.config.systems import Head
from auscult.training.validation import validation_score

BINARY = {"present": Head(label="murmur", positive=["Present"])}
GRADES = {"grade": Head(label="grade", kind="multiclass", classes=["I", "II", "III"])}
RHYTHMS = {"rhythm": Head(label="rhythm", kind="multilabel", classes=["af", "pvc"])}
MIXED = {**BINARY, **GRADES, **RHYTHMS}


def case(seed: int = 0):
    """Targets and probabilities of MIXED for 60 cases, some without labels, some without recordings."""
    rng = np.random.default_rng(seed)
    grade, p = np.eye(3)[rng.integers(3, size=60)], rng.random((60, 6))
    p[:, 1:4] /= p[:, 1:4].sum(axis=1, keepdims=True)
    targets = np.concatenate([rng.integers(2, size=(60, 1)), grade, rng.integers(2, size=(60, 2))], axis=1)
    targets[:5, 0] = targets[5:9, 1:4] = targets[9:14, 4:] = np.nan
    p[20:23] = np.nan
    return targets.astype(np.float32), np.round(p, 2)


SPANS = {"present": slice(0, 1), "grade": slice(1, 4), "rhythm": slice(4, 6)}


@pytest.mark.parametrize(
    ("by", "one"),
    [
        ("auroc", oracle.roc_auc_score),
        ("balanced_accuracy", lambda t, p: oracle.balanced_accuracy_score(t, p >= 0.5)),
        ("loss", lambda t, p: -oracle.log_loss(t, p, sample_weight=np.where(t == 1, (t == 0).sum(), (t == 1).sum()))),
    ],
)
def test_validation_score_as_scikit_learn(by, one):
    targets, p = case()
    p = np.clip(p, 0.01, 0.99)
    expected = []
    for span in SPANS.values():
        known = ~np.isnan(targets[:, span]).any(axis=1) & ~np.isnan(p).any(axis=1)
        t, q = targets[known, span], p[known, span]
        expected.append(np.mean([one(t[:, k], q[:, k]) for k in range(t.shape[1])]))
    assert validation_score(p, targets, MIXED, by) == pytest.approx(np.mean(expected), rel=1e-6)


def test_a_head_of_one_class_scores_by_its_loss():
    assert validation_score(np.array([[0.9], [0.8]]), np.ones((2, 1)), BINARY, "auroc") == pytest.approx(
        np.log([0.9, 0.8]).mean()
    )


def test_a_class_without_positives_is_skipped():
    targets = np.array([[1, 0], [0, 0], [1, 0]])
    assert validation_score(np.array([[0.9, 0.1], [0.2, 0.9], [0.1, 0.5]]), targets, RHYTHMS, "auroc") == 0.5


@pytest.mark.parametrize("by", ["auroc", "loss", "balanced_accuracy"])
def test_validation_score_without_cases_is_nan(by):
    assert math.isnan(validation_score(np.zeros((2, 1)), np.full((2, 1), np.nan), BINARY, by))


@pytest.mark.parametrize("by", ["auroc", "loss", "balanced_accuracy"])
def test_better_probabilities_score_higher(by):
    targets = np.array([[1.0], [1], [0], [0], [0]])
    good, bad = np.array([[0.9], [0.8], [0.3], [0.2], [0.1]]), np.array([[0.9], [0.1], [0.3], [0.8], [0.1]])
    assert validation_score(good, targets, BINARY, by) > validation_score(bad, targets, BINARY, by)
