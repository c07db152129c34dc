"""Scores on another data set: labels in other words, cases that are left out, classes that it lacks."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from auscult.config.dataset import OtherLabel
from auscult.config.targets import Target
from auscult.datasets.base import Columns
from auscult.evaluation.external import (
    ExternalError,
    check_referral,
    external_table,
    judged_rows,
    of_winner,
    words_of,
)

CLASSES = ["Present", "Unknown", "Absent"]
LABEL = OtherLabel(column="ill", words={"yes": "Present", "no": "Absent"})


def made(seed: int, count: int = 80) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cases of another data set in random order, and predictions of them in another."""
    rng = np.random.default_rng(seed)
    names = [f"x{number}" for number in rng.permutation(count)]
    cases = pd.DataFrame(
        {
            "case": names,
            "subject": [f"s{number % 30}" for number in range(count)],
            "ill": rng.choice(["yes", "no", "?", ""], count, p=[0.4, 0.4, 0.1, 0.1]),
            "murmur": rng.choice([*CLASSES, "soft", ""], count),
            "device": rng.choice(["a", "b", "c"], count),
        }
    )
    p = rng.dirichlet(np.ones(3), count)
    predictions = pd.DataFrame({"case": sorted(names), "prediction": rng.choice(CLASSES, count)})
    predictions[[f"p_{name}" for name in CLASSES]] = p
    return cases, predictions.assign(uncertainty=0.5)


def table_of(study, seed: int, known: set[str] = frozenset(), label=LABEL) -> tuple[pd.DataFrame, pd.DataFrame]:
    cases, predictions = made(seed)
    words = words_of(study.targets["murmur"], cases, label, "here")
    rows = judged_rows(study, "murmur", predictions, cases, words)
    columns = Columns(groups=["device"])
    return external_table(study, rows, cases, columns, known, "far", "subjects unknown"), rows


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_scikit_learn_on_the_classes_that_are_there(murmur_study, seed):
    study = murmur_study()
    table, _ = table_of(study, seed)
    cases, predictions = made(seed)
    both = cases.merge(predictions, on="case")
    both = both[both["ill"].isin(["yes", "no"])]
    overall = table[table["group"] == "all"].iloc[0]
    assert (overall["n"], overall["unlabelled"], overall["known"]) == (len(both), 80 - len(both), 0)
    truth = both["ill"].map(LABEL.words)
    share = both["p_Present"] / (both["p_Present"] + both["p_Absent"])
    assert overall["auroc"] == pytest.approx(roc_auc_score(truth == "Present", share))
    recalls = recall_score(truth, both["prediction"], labels=["Present", "Absent"], average=None)
    assert overall["uar"] == pytest.approx(recalls.mean())  # a decision for Unknown is an error
    assert overall["uar_low"] < overall["uar"] < overall["uar_high"]
    groups = table[table["by"] == "device"]
    assert groups["group"].tolist() == ["a", "b", "c"] and groups["n"].sum() == len(both)
    assert set(table["leak"]) == {"subjects unknown"} and set(table["data"]) == {"far"}


def test_own_words_are_the_classes_of_the_target(murmur_study):
    study = murmur_study()
    table, rows = table_of(study, 0, label=None)
    cases, _ = made(0)
    labels = cases.set_index("case")["murmur"]
    assert rows.set_index("case")["label"].to_dict() == {
        case: word if word in CLASSES else "" for case, word in labels.items()
    }
    assert table["n"].iloc[0] == labels.isin(CLASSES).sum()
    assert np.isfinite(table["auroc_Unknown"].iloc[0])


@pytest.mark.parametrize("seed", range(4))
def test_cases_that_the_study_knows_are_left_out_and_counted(murmur_study, seed):
    study = murmur_study()
    cases, predictions = made(seed)
    known = set(np.random.default_rng(seed).choice(cases["case"], 20, replace=False))
    table, _ = table_of(study, seed, known)
    fewer = cases[~cases["case"].isin(known)]
    words = words_of(study.targets["murmur"], fewer, LABEL, "here")
    rows = judged_rows(study, "murmur", predictions[~predictions["case"].isin(known)], fewer, words)
    without = external_table(study, rows, fewer, Columns(groups=["device"]), set(), "far", "subjects unknown")
    assert table["known"].iloc[0] == 20
    pd.testing.assert_frame_equal(table.drop(columns="known"), without.drop(columns="known"))


def test_labels_that_cannot_be_compared_are_named(murmur_study):
    target, (cases, _) = murmur_study().targets["murmur"], made(0)
    with pytest.raises(ExternalError, match=r"no column 'murmur', they have case, subject, ill, device; name .* here"):
        words_of(target, cases.drop(columns="murmur"), None, "here")
    with pytest.raises(ExternalError, match=r"the column 'ill' has \?, no, yes; see here"):
        words_of(target, cases, OtherLabel(column="ill", words={"ja": "Present"}), "here")
    with pytest.raises(ExternalError, match="the column 'ill' has 'yes' where 'Yes' is meant"):
        words_of(target, cases, OtherLabel(column="ill", words={"Yes": "Present"}), "here")
    with pytest.raises(ExternalError, match="has only empty cells"):
        words_of(target, cases.assign(murmur=""), None, "here")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cell", ["present", "PRESENT", "Present ", "Pr\u0435sent"])
def test_a_label_in_another_writing_is_not_taken_for_none(murmur_study, cell, seed):
    cases, _ = made(seed)
    cases.loc[np.random.default_rng(seed).integers(len(cases)), "murmur"] = cell
    with pytest.raises(ExternalError, match="where 'Present' is meant"):
        words_of(murmur_study().targets["murmur"], cases, None, "here")


@pytest.mark.parametrize("cells", [["mi", "sinus", ""], ["MI;AF", "MI", "AF"], ["sinus", "other", "none"]])
def test_several_labels_in_words_that_the_study_does_not_have_are_refused(cells):
    target = Target(label="dx", kind="multilabel", classes=["MI", "AF"], heads=["dx"], decisions=["reference"])
    cases = pd.DataFrame({"case": ["a", "b", "c"], "subject": ["a", "b", "c"], "dx": cells})
    with pytest.raises(ExternalError, match="column 'dx' has"):
        words_of(target, cases, None, "here")
    assert words_of(target, cases.assign(dx=["MI|AF", "other", ""]), None, "here").tolist() == ["MI|AF", "other", ""]


def test_without_a_class_the_cost_of_referrals_is_left_out(murmur_study):
    """A decision for the class that is not there may have been a referral."""
    study = murmur_study()
    table, _ = table_of(study, 0)
    assert "cost" not in table or table["cost"].isna().all()


def test_tables_of_another_winner_are_left_out():
    tables = [pd.DataFrame({"winner": [name, name], "n": [1, 2]}) for name in ("a", "b", "a")]
    assert of_winner(tables, "a")["n"].tolist() == [1, 2, 1, 2]
    assert of_winner(tables, "c").empty and of_winner([], "a").empty


REFERRAL = {"classes": ["Present", "Unknown"], "label": "outcome", "positive": ["Abnormal"]}


@pytest.mark.parametrize("word", ["abnormal", "ABNORMAL", " Abnormal", "Abnormál"])
def test_a_truth_of_referrals_in_another_writing_is_not_taken_for_no_referral(murmur_study, word):
    target = murmur_study().targets["murmur"].model_dump() | {"referral": REFERRAL}
    study = murmur_study(targets={"murmur": target})
    cases, predictions = made(0)
    words = words_of(study.targets["murmur"], cases, LABEL, "here")
    outcomes = np.random.default_rng(0).choice(["Normal", word], len(cases))
    with pytest.raises(ExternalError, match="where 'Abnormal' is meant"):
        check_referral(study.targets["murmur"], cases.assign(outcome=outcomes))
    check_referral(study.targets["murmur"], cases.assign(outcome="Normal"))
    rows = judged_rows(study, "murmur", predictions, cases.assign(outcome="Normal"), words)
    assert set(rows["should_refer"]) == {""}  # nothing says that these words mean the same
    rows = judged_rows(study, "murmur", predictions, cases.assign(outcome=outcomes).replace(word, "Abnormal"), words)
    assert set(rows["should_refer"]) == {"0", "1"}
