"""Decisions of a fold: chosen on validation cases, blind to the labels of the judged ones."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from auscult.decisions import calibration, rules
from auscult.decisions.decide import Outputs, decide, inner_score
from auscult.metrics import formulas

CLASSES = ["Present", "Unknown", "Absent"]


@pytest.fixture
def target(murmur_study):
    return murmur_study().targets["murmur"]


def table(prefix: str, count: int, seed: int) -> pd.DataFrame:
    p = np.random.default_rng(seed).dirichlet([1, 1, 2], count)
    return pd.DataFrame(p, columns=CLASSES).assign(case=[f"{prefix}{k:02d}" for k in range(count)])


def recordings(cases: pd.DataFrame, seed: int) -> pd.DataFrame:
    return table("x", 2 * len(cases), seed).assign(case=np.repeat(cases["case"].to_numpy(), 2))


@pytest.fixture
def outputs() -> Outputs:
    val, test = table("v", 30, 0), table("t", 12, 1)
    return Outputs(val, test, recordings(val, 2), recordings(test, 3))


@pytest.fixture
def labels(outputs) -> pd.Series:
    p = outputs.val[CLASSES].to_numpy()
    drawn = [np.random.default_rng(k).choice(CLASSES, p=row) for k, row in enumerate(p)]
    drawn[:3] = [""] * 3
    return pd.Series(drawn, index=outputs.val["case"])


@pytest.fixture
def subjects(outputs) -> pd.Series:
    ids = pd.concat([outputs.val["case"], outputs.test["case"]])
    return pd.Series([f"s{k // 2}" for k in range(len(ids))], index=ids)


def same(a, b) -> bool:
    return (
        np.array_equal(a.p, b.p)
        and np.array_equal(a.decision, b.decision)
        and np.array_equal(a.inner_score, b.inner_score, equal_nan=True)
    )


def test_rules_are_applied_to_the_test_cases(target, outputs, labels, subjects):
    found = decide(target, outputs, labels, subjects, "w_acc")
    assert list(found) == ["reference", "any_recording", "cost"]
    p_val, p = outputs.val[CLASSES].to_numpy(), outputs.test[CLASSES].to_numpy()
    assert (found["reference"].p == p).all()
    assert (found["reference"].decision == rules.reference(p)).all()
    own = outputs.test_recordings[CLASSES].to_numpy().argmax(axis=1)
    assert found["any_recording"].decision.tolist() == own.reshape(-1, 2).min(axis=1).tolist()
    known = (labels != "").to_numpy()
    truth = labels[known].map(CLASSES.index).to_numpy()
    calibrated = calibration.apply(calibration.fit(p_val[known], truth), p)
    np.testing.assert_allclose(found["cost"].p, calibrated)
    assert (found["cost"].decision == rules.cost(calibrated, [5, 3, 1])).all()
    assert [found[rule].chosen for rule in found] == [False, False, True]


@pytest.mark.parametrize("by", ["w_acc", "uar", "auroc"])
def test_validation_scores(target, outputs, labels, subjects, by):
    found = decide(target, outputs, labels, subjects, by)
    known = (labels != "").to_numpy()
    truth = labels[known].map(CLASSES.index).to_numpy()
    p = outputs.val.loc[known, CLASSES].to_numpy()
    crossed = calibration.cross_fit(p, truth, subjects[labels.index[known]].to_numpy())
    for rule, said, q in [("reference", rules.reference(p), p), ("cost", rules.cost(crossed, [5, 3, 1]), crossed)]:
        matrix = formulas.confusion(truth, said, 3)
        expected = {
            "w_acc": formulas.weighted_accuracy(matrix, [5, 3, 1]),
            "uar": formulas.uar(matrix),
            "auroc": formulas.macro_auroc(truth, q),
        }
        assert found[rule].inner_score == pytest.approx(float(expected[by]))


def test_a_fitted_rule_is_scored_cross_fitted(target, outputs, subjects):
    """Labels that have nothing to do with the probabilities: fitting in place would score above chance."""
    scores, floor = [], []
    for seed in range(8):
        drawn = np.random.default_rng(seed).choice(CLASSES, len(outputs.val), p=[0.4, 0.2, 0.4])
        labels = pd.Series(drawn, index=outputs.val["case"])
        scores.append(decide(target, outputs, labels, subjects, "auroc")["cost"].inner_score)
        truth, p = labels.map(CLASSES.index).to_numpy(), outputs.val[CLASSES].to_numpy()
        floor.append(formulas.macro_auroc(truth, calibration.apply(calibration.fit(p, truth), p)))
    assert np.mean(scores) < 0.52 < np.mean(floor)


@pytest.mark.parametrize("change", ["flipped", "deleted", "absent"])
def test_a_test_label_changes_nothing(target, outputs, labels, subjects, change):
    everything = pd.concat([labels, pd.Series("Absent", index=outputs.test["case"])])
    others = everything.copy()
    others[outputs.test["case"]] = {"flipped": "Present", "deleted": "", "absent": None}[change]
    first = decide(target, outputs, everything, subjects, "w_acc")
    for given in (others, labels):
        again = decide(target, outputs, given, subjects, "w_acc")
        assert all(same(first[rule], again[rule]) for rule in first)


def test_a_validation_label_changes_the_fitted_rule_only(target, outputs, labels, subjects):
    first = decide(target, outputs, labels, subjects, "w_acc")
    again = decide(target, outputs, labels.replace({"Absent": "Present"}), subjects, "w_acc")
    for rule in ("reference", "any_recording"):
        assert (first[rule].decision == again[rule].decision).all()
    assert (first["cost"].p != again["cost"].p).any()


def test_the_order_of_rows_is_irrelevant(target, outputs, labels, subjects):
    shuffled = Outputs(
        outputs.val, outputs.test, outputs.val_recordings.iloc[::-1], outputs.test_recordings.sample(frac=1)
    )
    first = decide(target, outputs, labels, subjects, "w_acc")
    again = decide(target, shuffled, labels.iloc[::-1], subjects.iloc[::-1], "w_acc")
    assert all(same(first[rule], again[rule]) for rule in first)


def test_without_recordings_there_is_no_any_recording(target, outputs, labels, subjects):
    fused = replace(outputs, val_recordings=None, test_recordings=None)
    assert list(decide(target, fused, labels, subjects, "w_acc")) == ["reference", "cost"]


def test_a_case_without_recordings_is_decided_by_its_own_probabilities(target, outputs, labels, subjects):
    heard = outputs.test_recordings
    part = replace(outputs, test_recordings=heard[heard["case"] != "t00"])
    found = decide(target, part, labels, subjects, "w_acc")["any_recording"]
    assert found.decision[0] == outputs.test.loc[0, CLASSES].to_numpy(dtype=float).argmax()


@pytest.mark.parametrize("label", ["", "Absent"])
def test_no_label_or_one_class_to_choose_on(target, outputs, subjects, label):
    labels = pd.Series(label, index=outputs.val["case"])
    found = decide(target, outputs, labels, subjects, "w_acc")
    assert (found["cost"].p == outputs.test[CLASSES].to_numpy()).all()
    assert np.isnan(found["cost"].inner_score) == (label == "")


def test_multilabel(rhythm_study):
    target = rhythm_study.targets["rhythm"]
    rng = np.random.default_rng(0)
    val, test = (
        pd.DataFrame(rng.random((size, 3)), columns=target.classes).assign(case=[f"{name}{k}" for k in range(size)])
        for name, size in (("v", 8), ("t", 4))
    )
    labels = pd.Series(["af", "af|pvc", "", "none", "lbbb", "lbbb|af", "pvc", "none"], index=val["case"])
    subjects = pd.Series("s", index=[*val["case"], *test["case"]])
    found = decide(target, Outputs(val, test), labels, subjects, "uar")
    assert list(found) == ["reference"]
    assert (found["reference"].decision == (test[target.classes].to_numpy() >= 0.5)).all()
    known = [0, 1, 3, 4, 5, 6, 7]
    truth = np.array([[1, 0, 0], [1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]])
    said = val.loc[known, target.classes].to_numpy() >= 0.5
    recalls = [(said[truth[:, k] == c, k] == c).mean() for k in range(3) for c in (0, 1)]
    assert found["reference"].inner_score == pytest.approx(np.mean(recalls))
    unlabelled = decide(target, Outputs(val, test), labels.replace(".+", "", regex=True), subjects, "uar")
    assert np.isnan(unlabelled["reference"].inner_score)


def test_inner_score_without_cases(target):
    assert np.isnan(inner_score(target, np.array([], dtype=int), np.array([], dtype=int), np.zeros((0, 3)), "w_acc"))
