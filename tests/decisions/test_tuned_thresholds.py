"""Thresholds of multilabel targets: the best by scikit-learn's F1, and no row's own label in its decision."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from auscult.config.targets import Target
from auscult.decisions import cross_fitting, rules
from auscult.decisions.rules import tuned_thresholds as thresholds


def cases(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, 3)) < [0.5, 0.2, 0.05]).astype(int)
    p = 1 / (1 + np.exp(-(2.0 * truth + rng.normal(0, 1, (n, 3)) - [1.0, 2.5, 4.0])))
    return p, truth


def test_each_threshold_is_the_best_of_its_class():
    p, truth = cases()
    found = thresholds.tune(p, truth, is_shared=False)
    for number in range(3):
        best = max(f1_score(truth[:, number], p[:, number] >= t, zero_division=0) for t in thresholds.GRID)
        assert f1_score(truth[:, number], p[:, number] >= found[number]) == pytest.approx(best)
    assert found[2] < 0.5  # a rare class of timid probabilities


def test_one_threshold_is_the_best_for_all():
    p, truth = cases()
    found = thresholds.tune(p, truth, is_shared=True)
    assert len(set(found)) == 1
    best = max(f1_score(truth, p >= t, average="macro", zero_division=0) for t in thresholds.GRID)
    assert f1_score(truth, p >= found[0], average="macro") == pytest.approx(best)


def test_a_class_without_positives_keeps_a_half():
    p, truth = cases()
    truth[:, 1] = 0
    assert thresholds.tune(p, truth, is_shared=False)[1] == 0.5


def test_of_equal_thresholds_the_middle_is_taken():
    p, truth = np.array([[0.2], [0.2], [0.8]]), np.array([[0], [0], [1]])
    assert thresholds.tune(p, truth, is_shared=False)[0] == pytest.approx(0.52, abs=0.021)


def test_no_case_decides_with_its_own_label(monkeypatch):
    p, truth = cases(60)
    fold = np.arange(60) // 12
    parts = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(5)]
    monkeypatch.setattr(cross_fitting, "splits", lambda *arguments: parts)
    target = Target(label="x", kind="multilabel", classes=["a", "b", "c"], heads=["x"])
    rule = rules.get("tuned_f_each")
    _, before = cross_fitting.cross_fit(rule, p, truth, fold, target)
    turned = truth.copy()
    turned[fold == 2] = 1 - turned[fold == 2]
    _, after = cross_fitting.cross_fit(rule, p, turned, fold, target)
    np.testing.assert_array_equal(after[fold == 2], before[fold == 2])
    assert (after[fold != 2] != before[fold != 2]).any()
