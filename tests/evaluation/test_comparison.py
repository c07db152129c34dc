"""Comparison: differences against the leaderboard, the pairs, and studies that cannot be compared."""

import numpy as np
import pandas as pd
import pytest

from auscult.config.targets import Referral
from auscult.evaluation import tables
from auscult.evaluation.comparison import ComparisonError, comparison, join_studies, train_test_ratio
from auscult.evaluation.selective import uncertainty_table
from auscult.metrics.intervals import corrected_t_test
from tests.evaluation.test_tables import CLASSES, predictions

# three folds of 30 test, 48 training and 12 validation cases
FOLDS = pd.DataFrame(
    [
        (0, fold, f"c{case}", "test" if case // 3 % 3 == fold else "val" if case % 5 == 0 else "train")
        for fold in range(3)
        for case in range(90)
    ],
    columns=["repeat", "fold", "case", "role"],
)


def variants(**shares: float) -> pd.DataFrame:
    """Predictions of systems for 90 cases in three folds, each correct on the given share of every class."""
    labels = np.array(CLASSES)[np.arange(90) % 3]
    wrong = np.array(CLASSES)[(np.arange(90) + 1) % 3]
    parts = [
        predictions(
            labels, np.where(np.arange(90) // 3 < share * 30, labels, wrong), np.arange(90) // 3 % 3, system=name
        )
        for name, share in shares.items()
    ]
    return pd.concat(parts, ignore_index=True)


def row(table: pd.DataFrame, a: str, b: str, metric: str = "uar") -> pd.Series:
    rows = table[(table["a_system"] == a) & (table["b_system"] == b) & (table["metric"] == metric)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_differences_are_those_of_the_leaderboard(murmur_study):
    study, rows = murmur_study(), variants(good=0.9, poor=0.5)
    board = tables.leaderboard(study, rows, "").set_index("system")
    table = comparison(study, rows, "", FOLDS)
    for metric in ("w_acc", "uar", "auroc"):
        pair = row(table, "good", "poor", metric)
        assert pair["difference"] == pytest.approx(board.loc["good", metric] - board.loc["poor", metric])
        assert pair["difference_low"] <= pair["difference"] <= pair["difference_high"]
    pair = row(table, "good", "poor")
    assert pair["difference"] == pytest.approx(0.4) and pair["n"] == 90 and pair["folds"] == 3
    assert pair["difference_low"] > 0.25 and pair["p_bootstrap"] < 0.05


def test_paired_intervals_are_narrower_than_those_of_the_two_systems(murmur_study):
    study, rows = murmur_study(), variants(good=0.9, less=0.85)
    board = tables.leaderboard(study, rows, "").set_index("system")
    pair = row(comparison(study, rows, "", FOLDS), "good", "less")
    widths = board["uar_high"] - board["uar_low"]
    assert pair["difference_high"] - pair["difference_low"] < widths.sum() / 2


def test_equal_systems_do_not_differ(murmur_study):
    pair = row(comparison(murmur_study(), variants(one=0.7, two=0.7), "", FOLDS), "one", "two")
    assert pair["difference"] == 0 and pair["p_bootstrap"] == 1 and np.isnan(pair["p_t_test"])


def test_pairs_differ_in_one_respect_and_chosen_is_paired_with_all(murmur_study):
    rows = variants(one=0.7, two=0.6)
    rows = pd.concat(
        [
            rows,
            rows.assign(decision="cost"),
            rows.query("system == 'one'").assign(stage="xgboost", fit_on="validation"),
            rows.query("system == 'one'").assign(system="chosen", stage="chosen", decision="chosen"),
        ]
    )
    table = comparison(murmur_study(), rows, "", FOLDS).query("metric == 'uar'")
    columns = ["system", "stage", "decision"]
    pairs = {
        tuple(" ".join(pair[f"{side}_{column}"] for column in columns) for side in "ab")
        for pair in table.to_dict("records")
    }
    network = "one network reference"
    others = {network, "two network reference", "one network cost", "two network cost", "one xgboost reference"}
    assert pairs == {
        (network, "two network reference"),
        (network, "one network cost"),
        ("two network reference", "two network cost"),
        ("one network cost", "two network cost"),
        (network, "one xgboost reference"),
        *(("chosen chosen chosen", other) for other in others),
    }


def test_the_order_of_rows_changes_nothing(murmur_study):
    rows = variants(good=0.9, poor=0.5)
    shuffled = pd.concat([part.sample(frac=1, random_state=0) for _, part in rows.groupby("system", sort=False)])
    pd.testing.assert_frame_equal(
        comparison(murmur_study(), rows, "", FOLDS), comparison(murmur_study(), shuffled, "", FOLDS)
    )


def test_a_leak_marks_the_pair(murmur_study):
    rows = variants(good=0.9, poor=0.5)
    leaky = rows.assign(stage="xgboost", fit_on="train")
    table = comparison(murmur_study(), pd.concat([rows, leaky]), "", FOLDS)
    with_leak = table[(table["a_fit_on"] == "train") | (table["b_fit_on"] == "train")]
    assert len(with_leak) and with_leak["leak"].str.contains("training cases").all()
    assert (table.drop(with_leak.index)["leak"] == "").all()
    assert set(comparison(murmur_study(), rows, "shared", FOLDS)["leak"]) == {"shared"}


def folds(test_cases: str = "abc") -> pd.DataFrame:
    rows = [(0, 0, case, "test" if case in test_cases else "train") for case in "abcdef"]
    return pd.DataFrame(rows, columns=["repeat", "fold", "case", "role"])


def join(first, second, test_cases: str = "abc") -> pd.DataFrame:
    rows = variants(small=0.7)
    return join_studies(
        {"first": first, "second": second},
        {"first": rows, "second": rows},
        {"first": folds(), "second": folds(test_cases)},
    )


def test_systems_of_two_studies_have_different_names(murmur_study):
    table = join(murmur_study(), murmur_study(description="another"))
    assert table["system"].unique().tolist() == ["first/small", "second/small"]
    assert row(comparison(murmur_study(), table, "", FOLDS), "first/small", "second/small")["difference"] == 0


def test_training_and_validation_cases_may_differ(murmur_study):
    rows = variants(small=0.7)
    other_folds = folds().replace({"role": {"train": "val"}})
    join_studies({"a": murmur_study(), "b": murmur_study()}, {"a": rows, "b": rows}, {"a": folds(), "b": other_folds})


@pytest.mark.parametrize(
    "difference", ["data set", "cases in a fold", "targets", "weights", "classes", "normal", "referral"]
)
def test_studies_that_cannot_be_compared_are_refused(murmur_study, difference):
    study, test_cases = murmur_study(), "abc"
    changes = {}
    target = study.targets["murmur"]
    if difference == "data set":
        changes = {"dataset": study.dataset.model_copy(update={"rate_hz": 2000})}
    if difference == "cases in a fold":
        test_cases = "abd"
    if difference == "targets":
        changes = {"targets": {"sound": target}}
    if difference == "weights":
        changes = {"targets": {"murmur": target.model_copy(update={"weights": [1.0, 1.0, 1.0]})}}
    if difference == "classes":
        changes = {"targets": {"murmur": target.model_copy(update={"classes": CLASSES[::-1]})}}
    if difference == "normal":
        changes = {"targets": {"murmur": target.model_copy(update={"normal": "Absent"})}}
    if difference == "referral":
        referral = Referral(classes=["Present"], label="outcome", positive=["Abnormal"])
        changes = {"targets": {"murmur": target.model_copy(update={"referral": referral})}}
    with pytest.raises(ComparisonError, match=f"first and second.*{difference}"):
        join(study, study.model_copy(update=changes), test_cases)


def test_an_epoch_that_the_test_cases_chose_marks_every_pair_and_table(murmur_study):
    rows = variants(good=0.9, poor=0.5)
    is_by_test = rows["system"] == "good"
    rows.loc[is_by_test, "chosen_on"] = "test"
    table = comparison(murmur_study(), rows, "", FOLDS)
    assert table["leak"].str.contains("epoch chosen on the test cases").all() and len(table)
    for make in (tables.leaderboard, tables.cross_validation):
        marks = make(murmur_study(), rows, "").groupby("system")["leak"].unique()
        assert marks["good"].tolist() == ["epoch chosen on the test cases"] and marks["poor"].tolist() == [""]
    uncertainty = uncertainty_table(murmur_study(), rows.assign(information=0.1, variance=0.1), "")
    marks = uncertainty.groupby("system")["leak"].unique()
    assert marks["good"].tolist() == ["epoch chosen on the test cases"] and marks["poor"].tolist() == [""]


def test_the_ratio_is_of_training_to_test_cases_without_validation():
    assert train_test_ratio(FOLDS) == pytest.approx(48 / 30)
    more = pd.DataFrame({"repeat": 1, "fold": 0, "case": range(10), "role": ["test"] * 2 + ["val"] * 3 + ["train"] * 5})
    assert train_test_ratio(pd.concat([FOLDS, more])) == pytest.approx((3 * 48 / 30 + 5 / 2) / 4)


def test_repeats_of_one_fold_give_a_t_test():
    """Three repeats of a hold-out: .30, .32 and .28 with 3.2 training cases per test case."""
    t_test = corrected_t_test([0.30, 0.32, 0.28], 3.2)
    assert t_test.t == pytest.approx(18.7, abs=0.05) and t_test.p == pytest.approx(0.0029, abs=5e-5)


def test_variants_of_repeats_of_one_fold_are_compared_by_their_folds_table(murmur_study):
    rows = pd.concat([variants(good=0.9, poor=0.6 - 0.1 * repeat).assign(repeat=repeat, fold=0) for repeat in range(3)])
    folds = pd.concat([FOLDS.query("fold == 0").assign(repeat=repeat) for repeat in range(3)])
    pair = row(comparison(murmur_study(), rows, "", folds), "good", "poor")
    assert pair["folds"] == 3 and 0.0001 < pair["p_t_test"] < 0.5


def test_chosen_is_ranked_within_folds_in_a_comparison_of_studies_too(murmur_study):
    """Two studies whose rows chosen rank perfectly in every fold, on scales that have nothing in common."""
    rows = variants(good=1.0)
    scale = rows["fold"].map({0: 0.05, 1: 0.5, 2: 1.0}).to_numpy()[:, None]
    columns = [f"p_{name}" for name in CLASSES]
    rows[columns] = rows[columns] * scale
    rows = rows.assign(system="chosen", stage="chosen", decision="chosen")
    studies = {"one": murmur_study(), "two": murmur_study()}
    joined = join_studies(studies, {"one": rows, "two": rows}, {"one": FOLDS, "two": FOLDS})
    assert tables.leaderboard(murmur_study(), joined, "")["auroc"].tolist() == [1, 1]
    pair = row(comparison(murmur_study(), joined, "", FOLDS), "one/chosen", "two/chosen", "auroc")
    assert pair["difference"] == 0


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_pair_has_the_marks_of_both(murmur_study, side):
    """Each variant has a leak of its own; the longer mark does not hide the other."""
    rows = variants(good=0.9, poor=0.5)
    by_test = rows[rows["system"] == "good"].assign(chosen_on="test")
    on_train = rows[rows["system"] == "good"].assign(stage="xgboost", fit_on="train")
    table = comparison(
        murmur_study(), pd.concat([by_test, on_train] if side == "a" else [on_train, by_test]), "", FOLDS
    )
    marks = {mark for cell in table["leak"] for mark in cell.split("; ")}
    assert marks == {"epoch chosen on the test cases", "fitted on the network's training cases"}
    assert len(table) and all(";" in cell for cell in table["leak"])
