"""Decisions tuned to a metric: they reach it, ignore rows of their own group, and know several classes."""

import numpy as np
import pytest

from auscult.config.targets import Target
from auscult.decisions import rules
from auscult.decisions.cross_fitting import cross_fit, splits
from auscult.decisions.rules import tuned_weights as tuning
from auscult.metrics import formulas

WEIGHTS = [5, 3, 1]


def case(seed: int = 0, size: int = 600, classes: int = 3):
    """Labels of unequal classes, and probabilities that know something but lean to the last class."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, size, p=[0.15, *[0.1] * (classes - 2), 0.85 - 0.1 * (classes - 2)])
    logits = rng.standard_normal((size, classes)) + 2 * np.eye(classes)[labels] + np.arange(classes)
    p = np.exp(logits)
    return labels, p / p.sum(axis=1, keepdims=True)


def w_acc(labels, said) -> float:
    return float(formulas.weighted_accuracy(formulas.confusion(labels, said, 3), WEIGHTS))


def uar(labels, said) -> float:
    return float(formulas.uar(formulas.confusion(labels, said, 3)))


@pytest.mark.parametrize(("by", "score"), [("w_acc", w_acc), ("uar", uar)])
def test_it_carries_over_to_other_cases(by, score):
    labels, p = case()
    others, q = case(1)
    weights = tuning.tune(p, labels, WEIGHTS, by)
    assert weights[-1] == 1 and (weights[:-1] > 1).all()  # against the lean
    assert score(others, tuning.decide(q, weights)) > score(others, q.argmax(axis=1)) + 0.05


def test_each_metric_gets_its_own_weights():
    labels, p = case()
    for_w_acc, for_uar = (tuning.tune(p, labels, WEIGHTS, by) for by in ("w_acc", "uar"))
    assert w_acc(labels, tuning.decide(p, for_w_acc)) >= w_acc(labels, tuning.decide(p, for_uar)) - 0.01
    assert uar(labels, tuning.decide(p, for_uar)) >= uar(labels, tuning.decide(p, for_w_acc)) - 0.01


def test_probabilities_scaled_against_each_other_are_set_right():
    labels, p = case()
    turned = p * np.array([np.e**2, np.e**-1, 1])
    turned /= turned.sum(axis=1, keepdims=True)
    plain, scaled = (tuning.decide(x, tuning.tune(x, labels, WEIGHTS, "uar")) for x in (p, turned))
    assert (plain == scaled).mean() > 0.97


def test_a_row_is_decided_without_its_own_group():
    labels, p = case(size=120)
    groups = np.repeat(np.arange(60), 2)
    target = Target(label="x", classes=["a", "b", "c"], heads=["x"], weights=WEIGHTS)
    rule = rules.get("tuned_w_acc")
    _, decisions = cross_fit(rule, p, labels, groups, target)
    changed = labels.copy()
    changed[:2] = (changed[:2] + 1) % 3  # of the first group alone
    folds_same = splits(labels, groups, 5, 0)
    if all(np.array_equal(a[1], b[1]) for a, b in zip(folds_same, splits(changed, groups, 5, 0), strict=True)):
        assert (cross_fit(rule, p, changed, groups, target)[1][:2] == decisions[:2]).all()


def test_many_classes():
    labels, p = case(classes=5)
    weights = tuning.tune(p, labels, [1] * 5, "uar")
    matrix = [formulas.confusion(labels, said, 5) for said in (tuning.decide(p, weights), p.argmax(axis=1))]
    assert formulas.uar(matrix[0]) > formulas.uar(matrix[1])


def test_one_class_alone_tunes_nothing():
    assert tuning.tune(np.full((4, 3), 1 / 3), np.zeros(4, dtype=int), WEIGHTS, "uar").tolist() == [1, 1, 1]
