"""Risk and coverage against values computed by hand and by a loop, with ties, weights and referral."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.evaluation.selective import aurc, measure, most_uncertain, risk_coverage, uncertainty_table
from auscult.report import sections

WRONG = np.array([0, 1, 0, 1])
CASES = st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=12)


def test_by_hand():
    coverage, risk = risk_coverage(WRONG, np.array([0.1, 0.4, 0.2, 0.3]))
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert risk == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert aurc(WRONG, np.array([0.1, 0.4, 0.2, 0.3])) == pytest.approx((1 / 3 + 1 / 2) / 4)


def test_a_constant_uncertainty_gives_the_error_rate():
    assert aurc(WRONG, np.ones(4)) == pytest.approx(0.5)


def test_the_best_and_the_worst_order():
    wrong = np.array([0, 0, 0, 1, 1])
    best, worst = aurc(wrong, wrong.astype(float)), aurc(wrong, -wrong.astype(float))
    assert best == pytest.approx(np.mean([0, 0, 0, 0.25, 0.4])) and worst == pytest.approx(
        np.mean([1, 1, 2 / 3, 0.5, 0.4])
    )


@settings(deadline=None)
@given(CASES)
def test_a_weight_counts_a_case_several_times(cases):
    wrong, uncertainty, weights = (np.array(values, dtype=float) for values in zip(*cases, strict=True))
    if not weights.sum():
        return
    counts = weights.astype(int)
    expected = aurc(np.repeat(wrong, counts), np.repeat(uncertainty, counts))
    assert aurc(wrong, uncertainty, weights[None])[0] == pytest.approx(expected)


@settings(deadline=None)
@given(CASES, st.randoms())
def test_ties_do_not_depend_on_the_order_of_rows(cases, random):
    shuffled = random.sample(cases, len(cases))
    values = []
    for rows in (cases, shuffled):
        wrong, uncertainty, _ = (np.array(values, dtype=float) for values in zip(*rows, strict=True))
        values.append(aurc(wrong, uncertainty))
    assert values[0] == pytest.approx(values[1])


@settings(deadline=None)
@given(CASES)
def test_against_the_mean_over_all_orders_of_tied_cases(cases):
    wrong, uncertainty, _ = (np.array(values, dtype=float) for values in zip(*cases, strict=True))
    rng, areas = np.random.default_rng(0), []
    for _ in range(300):
        order = np.lexsort([rng.random(len(wrong)), uncertainty])
        areas.append(np.mean(np.cumsum(wrong[order]) / np.arange(1, len(wrong) + 1)))
    assert aurc(wrong, uncertainty) == pytest.approx(np.mean(areas), abs=0.12)


def test_no_cases():
    assert np.isnan(aurc(np.array([]), np.array([])))


def test_the_most_uncertain_are_referred():
    assert most_uncertain(np.array([0.3, 0.9, 0.1, 0.8]), 0.5).tolist() == [False, True, False, True]
    assert not most_uncertain(np.array([0.3, 0.9]), 0.1).any()


def example(study_of) -> tuple:
    """A study, and predictions of a network whose `information` marks its errors and whose `variance` is constant."""
    rng = np.random.default_rng(0)
    n = 120
    p = rng.dirichlet([1, 1, 1], n)
    predicted = np.array(["Present", "Unknown", "Absent"])[p.argmax(axis=1)]
    wrong = rng.random(n) < 0.4
    label = np.where(wrong, "Absent", predicted)
    key = {"target": "murmur", "system": "small", "stage": "network", "fit_on": "none", "decision": "reference"}
    part = pd.DataFrame({**key, "repeat": 0, "fold": 0, "case": [f"{k:03}" for k in range(n)], "label": label})
    errors = (predicted != label) + 0.0
    part = part.assign(
        subject=part["case"], prediction=predicted, information=errors, variance=0.5, should_refer="", chosen_on="none"
    )
    part[["p_Present", "p_Unknown", "p_Absent"]] = p
    xgboost = part.assign(stage="xgboost", fit_on="train", information=np.nan, variance=np.nan)
    return study_of(), pd.concat([part, xgboost, part.assign(decision="cost", label="")])


def test_the_table(murmur_study):
    study, predictions = example(murmur_study)
    table = uncertainty_table(study, predictions.sample(frac=1, random_state=0), "a leak")
    network = table.query("stage == 'network'").set_index("measure")
    assert list(network.index) == ["confidence", "information", "variance"]
    assert set(table["decision"]) == {"reference"}  # the rows of decision `cost` have no label
    assert network.at["confidence", "minus_confidence"] == 0
    assert network.at["information", "minus_confidence_high"] < 0  # it marks the errors
    assert network.at["variance", "aurc"] == pytest.approx(network.at["variance", "error"])  # it is constant
    assert network.at["information", "accuracy_referring_20%"] == pytest.approx(
        1 - (network.at["information", "error"] * 120 - 24) / 96
    )
    xgboost = table.query("stage == 'xgboost'")
    assert xgboost["measure"].tolist() == ["confidence"]
    assert xgboost["leak"].tolist() == ["a leak; fitted on the network's training cases"]


def test_measures_that_a_fold_of_the_row_lacks_are_left_out(murmur_study):
    study, predictions = example(murmur_study)
    rows = predictions[predictions["decision"] == "reference"]
    network, xgboost = rows[rows["stage"] == "network"], rows[rows["stage"] == "xgboost"].assign(fold=1)
    mixed = pd.concat([network, xgboost]).assign(system="chosen", stage="chosen", fit_on="none")
    assert uncertainty_table(study, mixed, "")["measure"].tolist() == ["confidence"]


def test_a_case_without_passes_is_the_most_uncertain(murmur_study):
    study, predictions = example(murmur_study)
    rows = predictions.query("stage == 'network' and decision == 'reference'").reset_index(drop=True)
    rows.loc[7, "information"] = np.nan
    values = measure(rows, study.targets["murmur"], "information")
    assert values.argmax() == 7 and np.isfinite(np.delete(values, 7)).all()


def test_multilabel_targets_have_an_empty_table_that_can_be_read(rhythm_study, tmp_path):
    key = {"target": "rhythm", "system": "small", "stage": "network", "fit_on": "none", "decision": "reference"}
    table = uncertainty_table(
        rhythm_study, pd.DataFrame([{**key, "label": "af", "repeat": 0, "fold": 0, "case": "a"}]), ""
    )
    table.to_csv(tmp_path / "uncertainty.csv", index=False)
    assert pd.read_csv(tmp_path / "uncertainty.csv").empty


def test_many_draws_are_computed_in_blocks():
    rng = np.random.default_rng(0)
    wrong, uncertainty = rng.integers(0, 2, 3000).astype(float), rng.random(3000)
    weights = rng.poisson(1.0, (700, 3000))  # more than 2**20 numbers
    expected = [float(aurc(wrong, uncertainty, row[None])[0]) for row in weights[::99]]
    np.testing.assert_allclose(aurc(wrong, uncertainty, weights)[::99], expected)


@pytest.mark.parametrize("subjects", [2, 4, 5, 9])
def test_no_interval_below_five_subjects(murmur_study, subjects):
    study, predictions = example(murmur_study)
    names = [f"s{number % subjects}" for number in range(len(predictions))]
    table = uncertainty_table(study, predictions.assign(subject=names), "")
    for column in ("aurc_low", "aurc_high", "minus_confidence_low", "minus_confidence_high"):
        assert table[column].notna().all() == table[column].notna().any() == (subjects >= 5)
    assert table["aurc"].notna().all() and sections.uncertainty(table)["table"]["rows"]
