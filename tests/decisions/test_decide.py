"""Decisions of a fold: chosen on validation cases, without the labels of test cases."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auscult.decisions import rules
from auscult.decisions.cross_fitting import cross_fit
from auscult.decisions.decide import (
    CROSS_FITS,
    ERROR_DRAWS,
    Outputs,
    apply_rule,
    decide,
    fit_rule,
    outputs_of,
)
from auscult.decisions.inner_score import inner_score
from auscult.decisions.rules import calibrated, reference
from auscult.decisions.vote import positions
from auscult.metrics import formulas
from auscult.metrics.intervals import subject_draws

CLASSES = ["Present", "Unknown", "Absent"]


@pytest.fixture
def target(murmur_study):
    return murmur_study().targets["murmur"]


def table(prefix: str, count: int, seed: int) -> pd.DataFrame:
    p = np.random.default_rng(seed).dirichlet([1, 1, 2], count)
    return pd.DataFrame(p, columns=[f"p_{c}" for c in CLASSES]).assign(case=[f"{prefix}{k:02d}" for k in range(count)])


def recordings(cases: pd.DataFrame, seed: int) -> pd.DataFrame:
    return table("x", 2 * len(cases), seed).assign(case=np.repeat(cases["case"].to_numpy(), 2))


def outputs(prefix: str, count: int, seed: int) -> Outputs:
    cases = table(prefix, count, seed)
    return outputs_of(cases, CLASSES, None, recordings(cases, seed + 2))


@pytest.fixture
def own() -> Outputs:
    return outputs("v", 30, 0)


@pytest.fixture
def new() -> Outputs:
    return outputs("t", 12, 1)


@pytest.fixture
def labels(own) -> pd.Series:
    drawn = [np.random.default_rng(k).choice(CLASSES, p=row) for k, row in enumerate(own.probabilities)]
    drawn[:3] = [""] * 3
    return pd.Series(drawn, index=own.ids)


@pytest.fixture
def subjects(own, new) -> pd.Series:
    ids = np.concatenate([own.ids, new.ids])
    return pd.Series([f"s{k // 2}" for k in range(len(ids))], index=ids)


def same(a, b) -> bool:
    return (
        np.array_equal(a.probabilities, b.probabilities)
        and np.array_equal(a.decisions, b.decisions)
        and np.array_equal(a.inner_score, b.inner_score, equal_nan=True)
    )


def numbers(labels: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Which cases have a label, and the class numbers of those."""
    mask = (labels != "").to_numpy()
    return mask, labels[mask].map(CLASSES.index).to_numpy()


def test_rules_are_applied_to_the_test_cases(target, own, new, labels, subjects):
    results = decide(target, own, new, labels, subjects, "w_acc")
    assert list(results) == ["reference", "any_recording", "cost"]
    assert (results["reference"].probabilities == new.probabilities).all()
    assert (results["reference"].decisions == reference.decide(new.probabilities)).all()
    loudest = new.recordings.probabilities[0].argmax(axis=1)
    assert results["any_recording"].decisions.tolist() == loudest.reshape(-1, 2).min(axis=1).tolist()
    mask, truth = numbers(labels)
    q = calibrated.calibrate(calibrated.regression(own.probabilities[mask], truth), new.probabilities)
    np.testing.assert_allclose(results["cost"].probabilities, q)
    assert (results["cost"].decisions == calibrated.largest_weighted(q, [5, 3, 1])).all()
    assert [results[rule].is_fitted for rule in results] == [False, False, True]


@pytest.mark.parametrize("by", ["w_acc", "uar", "auroc"])
def test_validation_scores(target, own, new, labels, subjects, by):
    results = decide(target, own, new, labels, subjects, by)
    mask, truth = numbers(labels)
    p = own.probabilities[mask]
    groups = subjects[labels.index[mask]].to_numpy()
    draws = [cross_fit(calibrated.COST, p, truth, groups, target, seed) for seed in range(CROSS_FITS)]
    assert not all((q == draws[0][0]).all() for q, _ in draws)  # each has folds of its own

    def expected(decisions, q, weights=None) -> np.ndarray:
        matrix = formulas.confusion(truth, decisions, 3, weights)
        return {
            "w_acc": formulas.weighted_accuracy(matrix, [5, 3, 1]),
            "uar": formulas.uar(matrix),
            "auroc": formulas.macro_auroc(truth, q, weights),
        }[by]

    for rule, results_own in [("reference", [(p, reference.decide(p))]), ("cost", draws)]:
        scores = [float(expected(decisions, q)) for q, decisions in results_own]
        assert results[rule].inner_score == pytest.approx(np.mean(scores))
        q, decisions = results_own[0]
        of_draws = expected(decisions, q, subject_draws(groups, ERROR_DRAWS))
        assert results[rule].standard_error == pytest.approx(np.nanstd(of_draws, ddof=1), rel=1e-4)


def test_calibrated_probabilities_of_every_rule(target, own, new, labels, subjects):
    results = decide(target, own, new, labels, subjects, "w_acc")
    for rule in ("reference", "any_recording", "cost"):
        np.testing.assert_allclose(results[rule].calibrated, results["cost"].probabilities)


def test_a_fitted_rule_is_scored_cross_fitted(target, own, new, subjects):
    """Labels that have nothing to do with the probabilities: fitting in place would score above chance."""
    scores, floor = [], []
    p = own.probabilities
    for seed in range(8):
        drawn = np.random.default_rng(seed).choice(CLASSES, len(own.ids), p=[0.4, 0.2, 0.4])
        labels = pd.Series(drawn, index=own.ids)
        scores.append(decide(target, own, new, labels, subjects, "auroc")["cost"].inner_score)
        _, truth = numbers(labels)
        floor.append(formulas.macro_auroc(truth, calibrated.calibrate(calibrated.regression(p, truth), p)))
    assert np.mean(scores) < 0.52 < np.mean(floor)


@pytest.mark.parametrize("change", ["flipped", "deleted", "absent"])
def test_a_test_label_changes_nothing(target, own, new, labels, subjects, change):
    everything = pd.concat([labels, pd.Series("Absent", index=new.ids)])
    others = everything.copy()
    others[new.ids] = {"flipped": "Present", "deleted": "", "absent": None}[change]
    first = decide(target, own, new, everything, subjects, "w_acc")
    for other_labels in (others, labels):
        again = decide(target, own, new, other_labels, subjects, "w_acc")
        assert all(same(first[rule], again[rule]) for rule in first)


def test_a_validation_label_changes_the_fitted_rule_only(target, own, new, labels, subjects):
    first = decide(target, own, new, labels, subjects, "w_acc")
    again = decide(target, own, new, labels.replace({"Absent": "Present"}), subjects, "w_acc")
    for rule in ("reference", "any_recording"):
        assert (first[rule].decisions == again[rule].decisions).all()
    assert (first["cost"].probabilities != again["cost"].probabilities).any()


def test_the_order_of_rows_is_irrelevant(target, labels, subjects):
    first, again = {}, {}
    for results, turn in ((first, lambda rows: rows), (again, lambda rows: rows.sample(frac=1, random_state=0))):
        parts = []
        for prefix, count, seed in (("v", 30, 0), ("t", 12, 1)):
            cases = table(prefix, count, seed)
            parts.append(outputs_of(cases, CLASSES, None, turn(recordings(cases, seed + 2))))
        results |= decide(target, *parts, turn(labels), turn(subjects), "w_acc")
    assert all(same(first[rule], again[rule]) for rule in first)


def test_without_recordings_there_is_no_any_recording(target, own, new, labels, subjects):
    own, new = (replace(part, recordings=None) for part in (own, new))
    assert list(decide(target, own, new, labels, subjects, "w_acc")) == ["reference", "cost"]


def test_a_case_without_recordings_is_decided_by_its_own_probabilities(target, own, labels, subjects):
    cases = table("t", 12, 1)
    rows = recordings(cases, 3)
    new = outputs_of(cases, CLASSES, None, rows[rows["case"] != "t00"])
    result = decide(target, own, new, labels, subjects, "w_acc")["any_recording"]
    assert result.decisions[0] == new.probabilities[0].argmax()


def test_a_case_without_recordings_keeps_its_class_frequencies(target, own, labels, subjects):
    cases = table("t", 12, 1)
    rows = recordings(cases, 3)
    new = outputs_of(cases, CLASSES, None, rows[~rows["case"].isin(["t00", "t07"])])
    for result in decide(target, own, new, labels, subjects, "w_acc").values():
        np.testing.assert_array_equal(result.calibrated[[0, 7]], new.probabilities[[0, 7]])
        assert (result.calibrated[1:7] != new.probabilities[1:7]).all()


def test_a_role_has_the_networks_that_scored_it():
    """In a table of test and inner cases the inner ones, scored by fewer networks, are empty in the others' columns."""
    cases = table("t", 12, 1)
    rows = recordings(cases, 3).drop(columns=[f"p_{c}" for c in CLASSES])
    rng = np.random.default_rng(0)
    columns = [[f"{number}|murmur:{c}" for c in CLASSES] for number in range(4)]
    for names in [[f"murmur:{c}" for c in CLASSES], *columns]:
        rows[names] = rng.dirichlet([1, 1, 1], len(rows))
    cases = cases.rename(columns={f"p_{c}": f"murmur:{c}" for c in CLASSES})
    for networks in range(2, 4):
        fewer = rows.copy()
        fewer[[name for names in columns[networks:] for name in names]] = np.nan
        found = outputs_of(cases, CLASSES, "murmur", fewer).recordings.probabilities
        np.testing.assert_array_equal(found, np.stack([rows[names] for names in columns[:networks]]))
    fewer = rows.copy()
    fewer[[name for names in columns for name in names]] = np.nan
    found = outputs_of(cases, CLASSES, "murmur", fewer).recordings.probabilities
    np.testing.assert_array_equal(found, rows[[f"murmur:{c}" for c in CLASSES]].to_numpy()[None])


@given(st.permutations(range(8)), st.integers(0, 7))
def test_rows_are_found_by_case_or_the_missing_case_is_named(order, missing):
    cases = np.array([f"c{number}" for number in order])
    wanted = np.array([f"c{number}" for number in range(8)])
    assert (cases[positions(cases, wanted)] == wanted).all()
    with pytest.raises(ValueError, match=f"'c{missing}' is missing"):
        positions(cases[cases != f"c{missing}"], wanted)


def test_a_recording_of_another_case_is_refused():
    cases = table("t", 12, 1)
    with pytest.raises(ValueError, match="recordings of the case 't00', which is not there"):
        outputs_of(cases[1:], CLASSES, None, recordings(cases, 3))


@pytest.mark.parametrize("label", ["", "Absent"])
def test_no_label_or_one_class_to_choose_on(target, own, new, subjects, label):
    labels = pd.Series(label, index=own.ids)
    results = decide(target, own, new, labels, subjects, "w_acc")
    assert (results["cost"].probabilities == new.probabilities).all()
    assert np.isnan(results["cost"].inner_score) == (label == "")


def test_multilabel(rhythm_study):
    target = rhythm_study.targets["rhythm"]
    rng = np.random.default_rng(0)
    own, new = (
        Outputs(np.array([f"{name}{k}" for k in range(n)]), rng.random((n, 3))) for name, n in (("v", 8), ("t", 4))
    )
    labels = pd.Series(["af", "af|pvc", "", "none", "lbbb", "lbbb|af", "pvc", "none"], index=own.ids)
    subjects = pd.Series("s", index=[*own.ids, *new.ids])
    results = decide(target, own, new, labels, subjects, "uar")
    assert list(results) == ["reference"]
    assert (results["reference"].decisions == (new.probabilities >= 0.5)).all()
    truth = np.array([[1, 0, 0], [1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]])
    decisions = own.probabilities[[0, 1, 3, 4, 5, 6, 7]] >= 0.5
    recalls = [(decisions[truth[:, k] == c, k] == c).mean() for k in range(3) for c in (0, 1)]
    assert results["reference"].inner_score == pytest.approx(np.mean(recalls))
    unlabelled = decide(target, own, new, labels.replace(".+", "", regex=True), subjects, "uar")
    assert np.isnan(unlabelled["reference"].inner_score)


def test_inner_score_without_cases(target):
    assert np.isnan(inner_score(target, np.array([], dtype=int), np.array([], dtype=int), np.zeros((0, 3)), "w_acc"))


@pytest.mark.parametrize("name", rules.names("multiclass"))
@pytest.mark.parametrize("seed", range(2))
def test_every_rule_decides_a_case_without_recordings_as_before_any_fitting(target, own, labels, name, seed):
    """Its probabilities are class frequencies, which no calibration of networks' outputs fits."""
    cases, definition = table("t", 12, seed), rules.get(name)
    silent = np.random.default_rng(seed).choice(12, 3, replace=False)
    rows = recordings(cases, 3)
    new = outputs_of(cases, CLASSES, None, rows[~rows["case"].isin(cases["case"].iloc[silent])])
    p, decisions, _ = apply_rule(target, name, fit_rule(target, name, own, labels), new)
    np.testing.assert_array_equal(p[silent], new.probabilities[silent])
    if definition.fit:
        unfitted = definition.fit(p[:0], decisions[:0], target)
        wanted = definition.apply(unfitted, new.probabilities[silent], target, None)[1]
        np.testing.assert_array_equal(decisions[silent], wanted)
