"""Subgroups: their cases, their scores against those of the same rows alone, and an unknown grouping."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given

from auscult.datasets.base import Columns, Manifest
from auscult.evaluation import scoring
from auscult.evaluation.subgroups import SubgroupError, group_cases, subgroups
from tests.evaluation.test_tables import CLASSES, predictions
from tests.names import NAMES, distinct

SIZE = 60


@pytest.fixture
def manifest() -> Manifest:
    number = np.arange(SIZE)
    cases = pd.DataFrame({"case": [f"c{k:03d}" for k in number], "subject": [f"s{k}" for k in number]})
    cases["murmur"] = np.array(CLASSES)[number % 3]
    cases["age_group"] = np.where(number < 10, "", np.where(number < 30, "Infant", "Child"))
    cases["day"] = np.where(number % 2, "Monday", "Tuesday")
    cases["weight_kg"], cases["female"] = number.astype(float), np.where(number == 5, np.nan, number % 2)
    sites = [("AV", "MV") if k % 3 else ("AV",) for k in number]
    recordings = pd.DataFrame(
        [(f"c{k:03d}_{s}", f"c{k:03d}", s, 8, 4) for k, pair in enumerate(sites) for s in pair],
        columns=["recording", "case", "site", "frames", "rate_hz"],
    )
    return Manifest(
        cases, recordings, pd.DataFrame(), Columns(["day"], ["murmur", "age_group"], ["weight_kg", "female"], [])
    )


@pytest.mark.parametrize(
    ("by", "sizes"),
    [
        ("age_group", {"Infant": 20, "Child": 30}),
        ("day", {"Monday": 30, "Tuesday": 30}),
        ("female", {"0": 30, "1": 29}),
        ("weight_kg", {"up to 19.67": 20, "above 19.67, up to 39.33": 20, "above 39.33": 20}),
        ("site", {"AV": 60, "MV": 40}),
        ("recordings", {"1": 20, "2": 40}),
    ],
)
def test_groups(manifest, by, sizes):
    assert {name: len(cases) for name, cases in group_cases(manifest, by).items()} == sizes


def rows() -> pd.DataFrame:
    labels = np.array(CLASSES)[np.arange(SIZE) % 3]
    table = predictions(labels, np.where(np.arange(SIZE) % 4 == 0, "Absent", labels))
    return pd.concat([table.assign(system="chosen"), table.assign(prediction="Absent")], ignore_index=True)


def test_scores_are_those_of_the_rows_alone(murmur_study, manifest):
    study = murmur_study(evaluation={"draws": 100, "subgroups": ["age_group", "site"]})
    table = subgroups(study, manifest, rows(), "mark")
    assert table["by"].tolist() == ["age_group"] * 2 + ["site"] * 2 and set(table["leak"]) == {"mark"}
    infants = rows().query("system == 'chosen'").iloc[10:30]
    expected = scoring.score(study.targets["murmur"], infants)
    row = table[table["group"] == "Infant"].iloc[0]
    assert row["n"] == 20
    for name in ("w_acc", "uar", "recall_Present"):
        assert row[name] == pytest.approx(expected[name])
    assert row["w_acc_low"] <= row["w_acc"] <= row["w_acc_high"]


def test_a_group_without_test_cases_has_no_row(murmur_study, manifest):
    study = murmur_study(evaluation={"draws": 100, "subgroups": ["age_group"]})
    first_cases = rows().query("case < 'c030'")
    assert subgroups(study, manifest, first_cases, "")["group"].tolist() == ["Infant"]


def test_a_study_without_groupings_has_an_empty_table(murmur_study, manifest):
    assert list(subgroups(murmur_study(), manifest, rows(), "")) == ["target", "by", "group", "n"]


def test_the_error_on_an_unknown_grouping_lists_all_groupings(murmur_study, manifest):
    study = murmur_study(evaluation={"draws": 100, "subgroups": ["colour"]})
    with pytest.raises(SubgroupError, match="'colour' is not one of site, murmur, age_group, day, weight_kg"):
        subgroups(study, manifest, rows(), "")


@given(name=NAMES, groups=distinct(2, 4))
@example(name="site", groups=["a", "b"])
def test_any_column_and_any_groups_of_cases_csv(name, groups):
    """A covariate, or a group column, may have the name of a computed covariate; `site` is refused if it means two."""
    cases = pd.DataFrame({"case": [f"c{k}" for k in range(8)], "subject": [f"s{k}" for k in range(8)]})
    if name in cases:
        return  # refused by the data set
    recordings = pd.DataFrame({"recording": cases["case"], "case": cases["case"], "site": "AV"})
    recordings = recordings.assign(frames=8, rate_hz=4)
    numbers = Manifest(cases.assign(**{name: [2.0, 3.0] * 4}), recordings, pd.DataFrame(), Columns(covariates=[name]))
    words = [groups[k % len(groups)] for k in range(8)]
    texts = replace(numbers, cases=cases.assign(**{name: words}), columns=Columns(groups=[name]))
    if name == "site":
        for manifest in (numbers, texts):
            with pytest.raises(SubgroupError, match=r"evaluation.subgroups: 'site' is a column of cases.csv"):
                group_cases(manifest, name)
        return
    assert {group: len(members) for group, members in group_cases(numbers, name).items()} == {"2": 4, "3": 4}
    assert set(group_cases(texts, name)) == set(groups)
