"""Numbers of cases in the groups that a study's evaluation names, and error messages on wrong names."""

from dataclasses import replace

import pytest

from auscult.config.study import Study
from auscult.evaluation.groups import EvaluationError, count_groups
from auscult.evaluation.subgroups import SubgroupError


def groupings(world, referral: dict | None = None, subgroups: list[str] | None = None) -> tuple:
    values = world.study.model_dump()
    values["targets"]["murmur"]["referral"] |= referral or {}
    study = Study.model_validate({**values, "evaluation": {"subgroups": subgroups or []}})
    return {name: target.referral for name, target in study.targets.items()}, study.evaluation.subgroups


def test_cases_of_every_group(world):
    table = count_groups(*groupings(world, subgroups=["site"]), world.manifest)
    cases, recordings = world.manifest.cases, world.manifest.recordings
    counts = table.set_index(["key", "column", "value"])["cases"].to_dict()
    referral = ("targets.murmur.referral", "outcome")
    assert counts == {
        **{(*referral, value): (cases["outcome"] == value).sum() for value in ("Abnormal", "Normal")},
        **{
            ("evaluation.subgroups", "site", site): recordings.loc[recordings["site"] == site, "case"].nunique()
            for site in ("AV", "MV")
        },
    }


def test_wrong_names(world):
    message = "targets.murmur.referral.label: the data set has no label column 'verdict'; it has murmur, outcome"
    with pytest.raises(EvaluationError, match=message):
        count_groups(*groupings(world, {"label": "verdict"}), world.manifest)
    message = (
        r"targets.murmur.referral.positive: outcome is never one of \['abnormal'\]; it is one of \['Abnormal', 'No"
    )
    with pytest.raises(EvaluationError, match=message):
        count_groups(*groupings(world, {"positive": ["abnormal"]}), world.manifest)
    with pytest.raises(SubgroupError, match=r"evaluation\.subgroups: 'sex' is not one of site, murmur"):
        count_groups(*groupings(world, subgroups=["sex"]), world.manifest)


def test_a_cell_with_several_labels_counts_for_each(world):
    cases = world.manifest.cases.copy()
    cases.loc[cases.index[:2], "outcome"] = "Abnormal|Other"
    table = count_groups(*groupings(world), replace(world.manifest, cases=cases))
    counts = table.set_index("value")["cases"]
    assert counts["Other"] == 2 and counts["Abnormal"] == cases["outcome"].str.contains("Abnormal").sum()
