"""Comparison: differences worked by hand, which pairs, and studies that must not be compared."""

import numpy as np
import pandas as pd
import pytest

from auscult.evaluation import tables
from auscult.evaluation.comparison import ComparisonError, comparison, joined
from tests.evaluation.test_tables import CLASSES, predictions


def variants(**shares: float) -> pd.DataFrame:
    """Systems that are right on a share of 90 cases in three folds: the first of every class."""
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
    found = table[(table["a_system"] == a) & (table["b_system"] == b) & (table["metric"] == metric)]
    assert len(found) == 1
    return found.iloc[0]


def test_differences_are_those_of_the_leaderboard(murmur_study):
    study, made = murmur_study(), variants(good=0.9, poor=0.5)
    board = tables.leaderboard(study, made, "").set_index("system")
    table = comparison(study, made, "")
    for metric in ("w_acc", "uar", "auroc"):
        found = row(table, "good", "poor", metric)
        assert found["difference"] == pytest.approx(board.loc["good", metric] - board.loc["poor", metric])
        assert found["difference_low"] <= found["difference"] <= found["difference_high"]
    found = row(table, "good", "poor")
    assert found["difference"] == pytest.approx(0.4) and found["n"] == 90 and found["folds"] == 3
    assert found["difference_low"] > 0.25 and found["p_bootstrap"] < 0.05


def test_paired_intervals_are_narrower_than_the_two_apart(murmur_study):
    study, made = murmur_study(), variants(good=0.9, less=0.85)
    board = tables.leaderboard(study, made, "").set_index("system")
    found = row(comparison(study, made, ""), "good", "less")
    apart = (board["uar_high"] - board["uar_low"]).sum()
    assert found["difference_high"] - found["difference_low"] < apart / 2


def test_equal_systems_do_not_differ(murmur_study):
    found = row(comparison(murmur_study(), variants(one=0.7, two=0.7), ""), "one", "two")
    assert found["difference"] == 0 and found["p_bootstrap"] == 1 and np.isnan(found["p_t_test"])


def test_pairs_differ_in_one_thing_and_chosen_meets_all(murmur_study):
    made = variants(one=0.7, two=0.6)
    made = pd.concat(
        [
            made,
            made.assign(decision="cost"),
            made.query("system == 'one'").assign(stage="xgboost", fit_on="validation"),
            made.query("system == 'one'").assign(system="chosen", stage="chosen", decision="chosen"),
        ]
    )
    table = comparison(murmur_study(), made, "").query("metric == 'uar'")
    words = ["system", "stage", "decision"]
    found = {
        (" ".join(one[f"a_{w}"] for w in words), " ".join(one[f"b_{w}"] for w in words))
        for one in table.to_dict("records")
    }
    plain = "one network reference"
    others = {plain, "two network reference", "one network cost", "two network cost", "one xgboost reference"}
    assert found == {
        (plain, "two network reference"),
        (plain, "one network cost"),
        ("two network reference", "two network cost"),
        ("one network cost", "two network cost"),
        (plain, "one xgboost reference"),
        *(("chosen chosen chosen", other) for other in others),
    }


def test_the_order_of_rows_changes_nothing(murmur_study):
    made = variants(good=0.9, poor=0.5)
    turned = pd.concat([part.sample(frac=1, random_state=0) for _, part in made.groupby("system", sort=False)])
    pd.testing.assert_frame_equal(comparison(murmur_study(), made, ""), comparison(murmur_study(), turned, ""))


def test_a_leak_marks_the_pair(murmur_study):
    made = variants(good=0.9, poor=0.5)
    leaky = made.assign(stage="xgboost", fit_on="train")
    table = comparison(murmur_study(), pd.concat([made, leaky]), "")
    marked = table[(table["a_fit_on"] == "train") | (table["b_fit_on"] == "train")]
    assert len(marked) and marked["leak"].str.contains("training cases").all()
    assert (table.drop(marked.index)["leak"] == "").all()
    assert set(comparison(murmur_study(), made, "shared")["leak"]) == {"shared"}


def folds(judged: str = "abc") -> pd.DataFrame:
    rows = [(0, 0, case, "test" if case in judged else "train") for case in "abcdef"]
    return pd.DataFrame(rows, columns=["repeat", "fold", "case", "role"])


def join(one, other, judged: str = "abc") -> pd.DataFrame:
    made = variants(small=0.7)
    return joined(
        {"first": one, "second": other}, {"first": made, "second": made}, {"first": folds(), "second": folds(judged)}
    )


def test_systems_of_two_studies_are_told_apart(murmur_study):
    table = join(murmur_study(), murmur_study(description="another"))
    assert table["system"].unique().tolist() == ["first/small", "second/small"]
    found = row(comparison(murmur_study(), table, ""), "first/small", "second/small")
    assert found["difference"] == 0


def test_roles_beside_test_may_differ(murmur_study):
    made = variants(small=0.7)
    other = folds().replace({"role": {"train": "val"}})
    joined({"a": murmur_study(), "b": murmur_study()}, {"a": made, "b": made}, {"a": folds(), "b": other})


@pytest.mark.parametrize("what", ["data set", "cases in a fold", "targets", "weights", "classes"])
def test_studies_that_were_not_judged_alike_are_refused(murmur_study, what):
    study, judged = murmur_study(), "abc"
    changes = {}
    target = study.targets["murmur"]
    if what == "data set":
        changes = {"dataset": study.dataset.model_copy(update={"rate_hz": 2000})}
    if what == "cases in a fold":
        judged = "abd"
    if what == "targets":
        changes = {"targets": {"sound": target}}
    if what == "weights":
        changes = {"targets": {"murmur": target.model_copy(update={"weights": [1.0, 1.0, 1.0]})}}
    if what == "classes":
        changes = {"targets": {"murmur": target.model_copy(update={"classes": CLASSES[::-1]})}}
    with pytest.raises(ComparisonError, match=f"first and second.*{what}"):
        join(study, study.model_copy(update=changes), judged)
