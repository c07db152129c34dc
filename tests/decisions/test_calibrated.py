"""Calibration: better probabilities, and never from a row's own subject."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from auscult.config.targets import Target
from auscult.decisions import cross_fitting, rules
from auscult.decisions.rules import calibrated
from auscult.metrics import formulas


def cross_fit(p: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Probabilities calibrated out of fold."""
    target = Target(label="x", classes=["a", "b", "c"][: p.shape[1]], heads=["x"])
    return cross_fitting.cross_fit(calibrated.COST, p, labels, groups, target)[0]


def case(seed: int = 0, size: int = 300):
    """Labels, overconfident probabilities of them, and groups of two rows."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size, p=[0.2, 0.1, 0.7])
    logits = rng.standard_normal((size, 3)) + 1.5 * np.eye(3)[labels]
    p = np.exp(4 * logits)
    return labels, p / p.sum(axis=1, keepdims=True), np.repeat([f"s{k}" for k in range(size // 2)], 2)


def test_calibration_helps_and_gives_distributions():
    labels, p, groups = case()
    fitted = calibrated.calibrate(calibrated.regression(p, labels), p)
    crossed = cross_fit(p, labels, groups)
    for found in (fitted, crossed):
        np.testing.assert_allclose(found.sum(axis=1), 1)
        assert log_loss(labels, found) < 0.8 * log_loss(labels, p)
    assert log_loss(labels, fitted) <= log_loss(labels, crossed)


@pytest.mark.parametrize("row", [0, 1, 150])
def test_a_row_is_never_calibrated_by_its_own_subject(row):
    """Other probabilities and the label of its twin change nothing for a row."""
    labels, p, groups = case()
    mine = np.flatnonzero(groups == groups[row])
    twin = mine[mine != row]
    changed = p.copy()
    changed[twin] = np.roll(p[twin], 1, axis=1)
    assert (cross_fit(changed, labels, groups)[row] == cross_fit(p, labels, groups)[row]).all()
    # with groups of one row the same change does show
    alone = np.array([f"r{k}" for k in range(len(p))])
    change = np.abs(cross_fit(changed, labels, alone) - cross_fit(p, labels, alone))
    assert change.max() > 0


def test_no_group_is_on_both_sides():
    labels, _, groups = case(size=60)
    parts = cross_fitting.splits(labels, groups, 5, seed=0)
    assert sorted(np.concatenate([out for _, out in parts])) == list(range(60))
    for fit_rows, out in parts:
        assert not set(groups[fit_rows]) & set(groups[out])
        assert len(fit_rows) + len(out) == 60


def test_a_planted_secret_of_the_subject_is_not_used():
    """Every subject's probabilities are far off in a way of its own: only its own rows could correct it."""
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 100)
    p = rng.dirichlet([1, 1], 200)
    groups = np.repeat(np.arange(100), 2)
    crossed = cross_fit(p, labels, groups)
    assert log_loss(labels, crossed) > np.log(2) - 0.01


@pytest.mark.parametrize("groups", [1, 2, 3, 4])
def test_few_groups(groups):
    labels, p, _ = case(size=24)
    owner = np.arange(24) % groups
    found = cross_fit(p, labels, owner)
    assert found.shape == p.shape and np.isfinite(found).all()
    if groups == 1:
        assert (found == p).all()
        assert cross_fitting.splits(labels, owner, 5, 0) == []


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 1, 2], [0, 1, 2, 2], [0, 0, 0, 0]], ids=str)
def test_few_cases(labels):
    labels = np.array(labels)
    p = np.random.default_rng(0).dirichlet([1, 1, 1], len(labels))
    found = cross_fit(p, labels, np.arange(len(labels)))
    assert np.isfinite(found).all()
    assert found.sum(axis=1) == pytest.approx(np.ones(len(labels)))


def test_one_class_or_no_case_leaves_probabilities_alone():
    p = np.array([[0.2, 0.8], [0.6, 0.4]])
    assert calibrated.regression(p, np.array([1, 1])) is None
    assert calibrated.regression(p[:0], np.array([], dtype=int)) is None
    assert (calibrated.calibrate(None, p) == p).all()
    model = calibrated.regression(p, np.array([0, 1]))
    assert calibrated.calibrate(model, p[:0]).shape == (0, 2)
    assert cross_fit(p[:0], np.array([], dtype=int), np.array([])).shape == (0, 2)


def test_an_absent_class_gets_no_probability():
    labels, p, _ = case()
    some = labels != 1
    found = calibrated.calibrate(calibrated.regression(p[some], labels[some]), p)
    assert (found[:, 1] == 0).all() and found[:, [0, 2]].sum(axis=1) == pytest.approx(np.ones(len(p)))


@pytest.mark.parametrize("classes", [[0, 1, 2], [0, 2]], ids=str)
def test_what_was_learnt_survives_json_and_is_scikit_learns(classes):
    labels, p, _ = case()
    some = np.isin(labels, classes)
    model = json.loads(json.dumps(calibrated.regression(p[some], labels[some])))
    logs = np.log(np.clip(p, 1e-4, 1))
    theirs = LogisticRegression(C=1.0, max_iter=1000).fit(logs[some], labels[some]).predict_proba(logs)
    np.testing.assert_allclose(calibrated.calibrate(model, p)[:, classes], theirs, atol=1e-12)


def test_one_temperature_is_the_one_that_made_the_labels():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random((len(true), 1)) > true.cumsum(axis=1)).sum(axis=1)
    sharp = np.exp(2.5 * logits) / np.exp(2.5 * logits).sum(axis=1, keepdims=True)
    model = calibrated.temperature(np.maximum(sharp, 1e-4), labels)
    assert model["temperature"] == pytest.approx(2.5, rel=0.1)
    assert (calibrated.calibrate(model, sharp).argmax(axis=1) == sharp.argmax(axis=1)).all()
    assert log_loss(labels, calibrated.calibrate(model, sharp)) < log_loss(labels, sharp)


SHARES = {"expected_75": 0.75, "expected_50": 0.5, "expected_25": 0.25, "expected_0": 0.0}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_what_right_decisions_add_is_the_score(seed, share):
    rng = np.random.default_rng(seed)
    truth, decisions = rng.permutation(np.append(np.arange(4), rng.integers(0, 4, 60))), rng.integers(0, 4, 64)
    weights = rng.uniform(0.5, 5, 4).tolist()
    added = calibrated.utilities(np.bincount(truth, minlength=4), weights, share)[truth][truth == decisions].sum()
    matrix = formulas.confusion(truth, decisions, 4)
    expected = share * formulas.weighted_accuracy(matrix, weights) + (1 - share) * formulas.uar(matrix)
    assert added == pytest.approx(float(expected))


@pytest.mark.parametrize("name", SHARES)
def test_the_decision_is_the_one_that_is_expected_to_add_most(name):
    labels, p, _ = case()
    target = Target(label="x", classes=["a", "b", "c"], weights=[5, 3, 1], heads=["x"])
    rule = rules.get(name)
    fitted = json.loads(json.dumps(rule.fit(p, labels, target)))
    same, decisions = rule.apply(fitted, p, target, None)
    assert (same == p).all()
    q = calibrated.calibrate(calibrated.regression(p, labels), p)
    counts = np.bincount(labels, minlength=3)
    for row, decision in zip(q, decisions, strict=True):
        gains = [
            SHARES[name] * row[k] * [5, 3, 1][k] / (counts @ [5, 3, 1]) + (1 - SHARES[name]) * row[k] / (3 * counts[k])
            for k in range(3)
        ]
        assert decision == int(np.argmax(gains))


def test_from_weighted_accuracy_to_uar_the_points_move_one_way():
    labels, p, groups = case(size=2000)
    target = Target(label="x", classes=["a", "b", "c"], weights=[5, 3, 1], heads=["x"])
    uar, w_acc = [], []
    for name in ("cost", *SHARES):
        _, decisions = cross_fitting.cross_fit(rules.get(name), p, labels, groups, target)
        matrix = formulas.confusion(labels, decisions, 3)
        uar.append(float(formulas.uar(matrix)))
        w_acc.append(float(formulas.weighted_accuracy(matrix, [5, 3, 1])))
    assert (np.diff(uar) > -0.003).all() and (np.diff(w_acc) < 0.003).all() and uar[-1] > uar[0]


@pytest.mark.parametrize("name", SHARES)
def test_of_no_case_or_of_one_class_the_rule_still_decides(name):
    target = Target(label="x", classes=["a", "b", "c"], weights=[5, 3, 1], heads=["x"])
    rule, rows = rules.get(name), np.array([[0.05, 0.05, 0.9], [0.1, 0.7, 0.2]])
    unfitted = rule.fit(np.zeros((0, 3)), np.array([], dtype=int), target)
    assert set(rule.apply(unfitted, np.eye(3), target, None)[1]) == {0, 1, 2}
    one_class = rule.fit(np.full((50, 3), 1 / 3), np.full(50, 2), target)
    assert rule.apply(one_class, rows, target, None)[1].tolist() == [2, 2]  # no other class was ever seen
