"""Inner folds: every case that is not a test case of the fold is held out once, and no subject is split."""

import numpy as np
import pandas as pd
import pytest

from auscult.datasets.base import Columns, Manifest
from auscult.folds.audit import as_folds
from auscult.folds.inner import COLUMNS
from auscult.folds.planned import FoldError
from tests.folds.studies import assign, assign_inner, audit, refuse_leaks

YES_NO = {"sound": ["yes", "no"]}


@pytest.fixture
def study(make_study):
    return make_study({"name": "group_cv", "folds": 4}, YES_NO).model_copy(update={"inner_folds": inner(3)})


def inner(folds: int, repeats: int = 1):
    from auscult.config.protocols import InnerFolds

    return InnerFolds(folds=folds, repeats=repeats)


def cases(size: int = 80) -> pd.DataFrame:
    """Cases of subjects who have two each."""
    ids = [f"c{k:02d}" for k in range(size)]
    subjects, sounds = [f"s{k // 2:02d}" for k in range(size)], ["yes", "no"] * (size // 2)
    return pd.DataFrame({"case": ids, "subject": subjects, "sound": sounds})


def folds_and_inner_folds(study, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    folds = assign(study, table, None)
    return folds, assign_inner(study, table, folds)


def test_roles_inside_every_fold(study):
    folds, inner_folds = folds_and_inner_folds(study, cases())
    assert list(inner_folds) == COLUMNS
    for (repeat, fold), fold_rows in inner_folds.groupby(["repeat", "fold"]):
        outer = folds[(folds["repeat"] == repeat) & (folds["fold"] == fold)]
        fold_cases = set(outer.loc[outer["role"].isin(["train", "val"]), "case"])
        assert set(fold_rows["inner"]) == {0, 1, 2}
        for _, inner_rows in fold_rows.groupby("inner"):
            assert set(inner_rows["case"]) == fold_cases and not inner_rows["case"].duplicated().any()
            assert set(inner_rows["role"]) == {"train", "val", "test"}
        held_out = fold_rows[fold_rows["role"] == "test"]
        assert sorted(held_out["case"]) == sorted(fold_cases)  # each once
        assert not set(fold_rows["case"]) & set(outer.loc[outer["role"] == "test", "case"])


def test_repeats_divide_anew(study):
    """The first division equals the one without repeats; the second differs and holds out every case once, too."""
    table = cases()
    folds, once = folds_and_inner_folds(study, table)
    twice = assign_inner(study.model_copy(update={"inner_folds": inner(3, 2)}), table, folds)
    pd.testing.assert_frame_equal(twice[twice["inner"] < 3].reset_index(drop=True), once)
    assert set(twice["inner"]) == set(range(6))
    held_out = twice[twice["role"] == "test"].assign(division=lambda rows: rows["inner"] // 3)
    fold_cases = folds[folds["role"] != "test"]
    for division in (0, 1):
        rows = held_out[held_out["division"] == division][["fold", "case"]]
        assert sorted(rows.itertuples(index=False)) == sorted(fold_cases[["fold", "case"]].itertuples(index=False))
    groups = held_out[held_out["fold"] == 0].groupby("inner")["case"].agg(frozenset)
    assert not set(groups[:3]) & set(groups[3:])


def test_inner_folds_pass_the_audit(study):
    table = cases()
    _, inner_folds = folds_and_inner_folds(study, table)
    recordings = pd.DataFrame({"recording": table["case"], "case": table["case"], "sha256": table["case"]})
    recordings = recordings.assign(path=table["case"], onset_s=float("nan"), offset_s=float("nan"))
    manifest = Manifest(table, recordings, pd.DataFrame(), Columns(labels=["sound"]))
    findings = audit(study, manifest, as_folds(inner_folds))
    refuse_leaks(study, findings)
    assert findings.empty
    # a planted leak: the other case of the subject is held out
    inner_folds.loc[inner_folds.index[inner_folds["role"] == "test"][0], "role"] = "train"
    planted = audit(study, manifest, as_folds(inner_folds))
    assert set(planted["finding"]) == {"shared_subject"} and planted["fold"].tolist()[0] == "0i0"


def test_a_class_that_an_inner_fold_does_not_train_on_names_the_keys_of_inner_folds(study):
    table = cases()
    _, inner_folds = folds_and_inner_folds(study, table)
    recordings = pd.DataFrame({"recording": table["case"], "case": table["case"], "sha256": table["case"]})
    recordings = recordings.assign(path=table["case"], onset_s=float("nan"), offset_s=float("nan"))
    trained = inner_folds.query("fold == 0 and inner == 0 and role == 'train'")["case"]
    word = table["sound"].iloc[0]
    table.loc[table["case"].isin(trained) & (table["sound"] == word), "sound"] = ""
    with pytest.raises(FoldError, match=r"fold 0i0 .* no training case is .*; raise inner_folds\.folds"):
        audit(study, Manifest(table, recordings, pd.DataFrame(), Columns(labels=["sound"])), as_folds(inner_folds))


def test_classes_are_in_proportion(study):
    _, inner_folds = folds_and_inner_folds(study, cases())
    labels = cases().set_index("case")["sound"]
    share = (
        inner_folds.assign(yes=inner_folds["case"].map(labels) == "yes")
        .groupby(["fold", "inner", "role"])["yes"]
        .mean()
    )
    assert np.allclose(share, 0.5, atol=0.01)


def test_the_order_of_rows_and_labels_of_test_cases_are_irrelevant(study):
    table = cases()
    folds, inner_folds = folds_and_inner_folds(study, table)
    shuffled = assign_inner(study, table.sample(frac=1, random_state=0), folds.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(inner_folds, shuffled)
    test_cases = folds.query("fold == 0 and role == 'test'")["case"]
    flipped = table.assign(sound=table["sound"].where(~table["case"].isin(test_cases), "yes"))
    with_other_labels = assign_inner(study, flipped, folds)
    pd.testing.assert_frame_equal(inner_folds.query("fold == 0"), with_other_labels.query("fold == 0"))


def test_too_rare_classes_name_the_keys(make_study):
    table = cases(24)
    classes = [f"k{number}" for number in range(12)]
    table["sound"], table["subject"] = classes * 2, table["case"]
    few = make_study({"name": "group_cv", "folds": 2}, {"sound": classes}).model_copy(update={"inner_folds": inner(3)})
    with pytest.raises(FoldError, match=r"the 12 cases of fold 0 cannot be divided: lower inner_folds\.folds"):
        assign_inner(few, table, assign(few, table, None))


def test_an_inner_fold_without_a_labelled_case_is_named(make_study):
    table = cases(40)
    table["murmur"] = "x"
    study = make_study({"name": "group_cv", "folds": 2}, {**YES_NO, "murmur": ["x", "y"]})
    task = study.tasks["all"]
    heads = {name: task.model_copy(update={"heads": {name: task.heads[name]}}) for name in task.heads}
    folds = assign(study, table, None)
    table["murmur"] = ""
    study = study.model_copy(update={"inner_folds": inner(3), "tasks": heads})
    message = r"inner_folds: .*fold 0 .*inner fold 0: no validation case has a label .*murmur \(column 'murmur'\)"
    with pytest.raises(FoldError, match=message):
        assign_inner(study, table, folds)


def test_more_inner_folds_than_subjects_is_refused(study):
    table = cases(12)
    folds = assign(study, table, None)
    with pytest.raises(
        FoldError, match=r"inner_folds.folds: 9 inner folds of \d values of 'subject' in fold 0; lower it"
    ):
        assign_inner(study.model_copy(update={"inner_folds": inner(9)}), table, folds)
