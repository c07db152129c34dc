"""Which networks a study has and who scores whom, worked by hand for small plans."""

from collections import Counter
from dataclasses import replace

import pytest

from auscult.config.study import Study
from auscult.plan import networks, paths, reads
from auscult.plan.names import NetworkName

FOLD = NetworkName(0, 1)
INNER = {"folds": 2, "repeats": 2}


def names(found) -> list[str]:
    """`system/name` of networks."""
    return [f"{network.system}/{network.name}" for network in found]


def scorers(plan, unit: str, name: str) -> dict[str, list[tuple[str, list[str]]]]:
    """By role, scorers of the task `present`: group and `system/name`."""
    return {
        role: [(group, names(members)) for group, members in by_task["present"]]
        for role, by_task in networks.scorers(plan, unit, name).items()
    }


def test_one_network_for_each_system_task_and_fold(make_plan):
    plan = make_plan()
    assert names(networks.all_networks(plan, "small")) == ["small/r0f0", "small/r0f1"] * 2
    assert len(networks.every_network(plan)) == 8
    assert len({network.folder for network in networks.every_network(plan)}) == 8
    first = networks.every_network(plan)[0]
    assert first.folder == "results/one/networks/small/present/r0f0"
    assert first.file(paths.OUTPUTS) == f"{first.folder}/outputs.h5"


def test_seeds_are_of_the_system_and_of_the_inner_folds(make_plan):
    plan = make_plan(seeds=3, inner_folds={"folds": 2, "seeds": 2})
    own, inner = NetworkName(0, 1), NetworkName(0, 1, 0)
    assert names(networks.trained_on(plan, "small", "present", own)) == [f"small/r0f1s{seed}" for seed in range(3)]
    assert names(networks.trained_on(plan, "small", "present", inner)) == ["small/r0f1i0s0", "small/r0f1i0s1"]
    # two folds of two tasks, each with three networks of its own and two of each of its two inner folds
    assert len(networks.all_networks(plan, "small")) == 2 * 2 * (3 + 2 * 2)


def test_inner_folds_are_numbered_over_the_repeats(make_plan):
    assert [str(name) for name in networks.inner_folds(make_plan(inner_folds=INNER), FOLD)] == [
        f"r0f1i{number}" for number in range(4)
    ]
    assert networks.inner_folds(make_plan(), FOLD) == []


def test_a_fold_is_scored_by_its_own_networks(make_plan):
    plan = make_plan()
    assert scorers(plan, "small", "r0f1") == {
        "val": [("val", ["small/r0f1"])],
        "test": [("test", ["small/r0f1"])],
    }
    assert scorers(plan, "pair", "r0f1")["test"] == [("test", ["small/r0f1"]), ("test", ["again/r0f1"])]


def test_with_bag_the_inner_networks_score_test_cases_alone(make_plan):
    plan = make_plan(inner_folds={**INNER, "bag": True}, fusion=None)
    found = scorers(plan, "small", "r0f1")
    assert found["val"] == [("val", ["small/r0f1"])]
    assert found["test"] == [
        ("test", ["small/r0f1"]),
        *[("outer_test", [f"small/r0f1i{number}"]) for number in range(4)],
    ]
    without = make_plan(inner_folds=INNER, fusion=None)
    assert scorers(without, "small", "r0f1")["test"] == [("test", ["small/r0f1"])]
    assert networks.scored_roles(plan, "small", "r0f1i0") == ["test", "outer_test"]
    assert networks.scored_roles(without, "small", "r0f1i0") == ["test"]


def test_a_set_of_inner_folds_is_scored_by_one_division_after_the_other(make_plan):
    plan = make_plan(inner_folds=INNER, fusion=None)
    assert scorers(plan, "pair", "r0f1i") == {
        "inner": [
            ("test", [f"{system}/r0f1i{first}", f"{system}/r0f1i{first + 1}"])
            for first in (0, 2)
            for system in ("small", "again")
        ]
    }


@pytest.mark.parametrize("name", ["r0f0", "r0f1", "r0f0i", "r0f1i"])
@pytest.mark.parametrize("unit", ["small", "again", "pair"])
def test_every_file_of_a_scorer_is_of_the_fold_and_read_once(make_plan, unit, name):
    plan = make_plan(seeds=2, inner_folds={**INNER, "bag": True, "seeds": 2}, fusion=None)
    files = networks.scorer_files(plan, unit, name)
    assert max(Counter(files).values()) == 1
    every = {network.folder: network for network in networks.every_network(plan)}
    for file in files:
        network = every[file.rpartition("/")[0]]
        assert network.system in plan.study.systems_of(unit)
        assert str(network.name.outer) == name.removesuffix("i")


def test_training_cases_are_scored_only_where_a_second_stage_is_fitted_on_them(make_plan):
    fusion = {"systems": ["pair"], "fit_on": ["train"], "learners": ["xgboost"]}
    plan = make_plan(fusion=fusion)
    assert {networks.scored_roles(plan, unit, "r0f0")[0] for unit in ("small", "again", "pair")} == {"train"}
    alone = make_plan(fusion={**fusion, "systems": ["small"]})
    assert networks.scored_roles(alone, "again", "r0f0") == ["val", "test"]
    assert networks.scored_roles(make_plan(fusion=None), "small", "r0f0") == ["val", "test"]


def test_tables_of_folds(make_plan):
    plan = make_plan(inner_folds=INNER)
    assert {networks.folds_table(plan, name) for name in ("r0f0", "r0f0s1")} == {"results/one/folds.csv"}
    assert {networks.folds_table(plan, name) for name in ("r0f0i", "r0f0i1", "r0f0i1s0")} == {
        "results/one/inner_folds.csv"
    }


def test_what_the_evaluation_reads(make_plan):
    plan = make_plan(inner_folds=INNER)
    assert networks.unit_folds(plan) == [(unit, f"r0f{k}") for unit in ("small", "again", "pair") for k in (0, 1)]
    assert networks.fused_folds(plan) == [("small", "r0f0"), ("small", "r0f1")]
    assert networks.fused_folds(make_plan(fusion=None)) == []
    assert networks.inner_outputs(plan, [("pair", "r0f1")]) == [
        f"results/one/outputs/pair/r0f1i/{table}.csv" for table in ("cases", "recordings")
    ]
    assert networks.inner_outputs(make_plan(), [("pair", "r0f1")]) == []


def test_the_last_epoch_of_a_system_that_test_cases_stop_is_not_explained(make_plan, murmur_study):
    plan = make_plan(seeds=2)
    assert networks.explainable(plan) == ["small", "again"]
    assert names(networks.to_explain(plan, "small")) == ["small/r0f0s0", "small/r0f1s0"] * 2
    values = murmur_study().model_dump()
    values["systems"]["leaky"] = {**values["systems"]["small"], "training": {"select": "test"}}
    leaky = make_plan(systems=values["systems"], ensembles={})
    assert networks.explainable(leaky) == ["small"]


def test_networks_that_read_cases_are_not_explained(make_plan, murmur_study):
    small = murmur_study().model_dump()["systems"]["small"]
    cases = {**small, "segment": {"of": "case"}}
    assert networks.explainable(make_plan(systems={"small": small, "cases": cases}, ensembles={})) == ["small"]


def test_labels_of_recordings_are_doubted_by_systems_that_read_recordings(make_plan, murmur_study):
    """Not by those that read cases, that are stopped by test cases, or that have no such head."""
    values = murmur_study().model_dump()
    small = {**values["systems"]["small"], "tasks": ["present"]}
    values["tasks"]["present"]["heads"]["present"]["train_on"] = {"column": "audible", "positive": ["yes"]}
    values["targets"] = {"other": {"label": "murmur", "classes": ["Present", "Absent"], "heads": ["present"]}}
    values["targets"]["unknown"] = {"label": "murmur", "classes": ["Unknown", "Absent"], "heads": ["unknown"]}
    systems = {
        "small": small,
        "cases": {**small, "segment": {"of": "case"}},
        "leaky": {**small, "training": {"select": "test"}},
        "others": {**small, "tasks": ["unknown"]},
    }
    keys = {"tasks": values["tasks"], "targets": values["targets"], "fusion": None}
    plan = make_plan(**keys, systems=systems, ensembles={})
    assert networks.labelled_recordings(plan) == [("small", "r0f0"), ("small", "r0f1")]
    assert networks.labelled_recordings(make_plan(systems=values["systems"], ensembles={})) == []


# ---------------------------------------------------------------- what a training starts from and learns from


def taught_plan(make_plan, **keys):
    """`again` starts from a pre-training, and `small` learns from it."""
    plan = make_plan(**keys)
    values = plan.study.model_dump()
    front_end = values["systems"]["again"]["front_end"]
    network = {key: values["systems"]["again"]["network"][key] for key in ("name", "options")}
    values["pretrainings"] = {"views": {"method": {"name": "clocs"}, "front_end": front_end, "network": network}}
    values["systems"]["again"]["network"]["pretraining"] = "views"
    values["systems"]["small"]["training"]["teacher"] = {"system": "again"}
    return replace(plan, study=Study.model_validate(values))


@pytest.mark.parametrize("seeds", [1, 3])
def test_an_encoder_is_shared_by_the_seeds_of_a_fold_and_a_teacher_is_of_the_same_fold(make_plan, seeds):
    plan = taught_plan(make_plan, seeds=seeds, inner_folds={"folds": 2, "seeds": 2})
    encoders = networks.every_pretrained(plan)
    assert {str(encoder.name) for encoder in encoders} == {f"r0f{fold}{i}" for fold in (0, 1) for i in ("", "i0", "i1")}
    assert len(encoders) == 6
    for network in networks.every_network(plan):
        start = networks.initial_weights(plan, network.system, network.name)
        teacher = networks.teacher(plan, network.system, network.task, network.name)
        if network.system == "again":
            name = network.name.with_seed(None)
            assert start == [f"results/one/pretrainings/views/{name}/weights.safetensors"] and teacher is None
        else:
            assert start == [] and (teacher.system, teacher.task) == ("again", network.task)
            assert teacher.name.with_seed(None) == network.name.with_seed(None)
            assert teacher in networks.all_networks(plan, "again")


def test_seeds_of_student_and_teacher_are_paired(make_plan):
    plan = taught_plan(make_plan, inner_folds={"folds": 2, "seeds": 2})
    teachers = [networks.teacher(plan, "small", "present", NetworkName(0, 1, 0, seed)) for seed in (0, 1)]
    assert names(teachers) == ["again/r0f1i0s0", "again/r0f1i0s1"]


def test_a_students_weights_are_audited_by_those_of_its_teacher(make_plan):
    plan = make_plan()
    values = plan.study.model_dump()
    values["systems"]["again"]["network"]["weights"] = "some.pth"
    values["systems"]["small"]["training"]["teacher"] = {"system": "again"}
    plan = replace(plan, study=Study.model_validate(values))
    assert reads.audit(plan)["weights"] == [["small", "some.pth"], ["again", "some.pth"]]


def test_an_ensemble_of_a_fused_system_does_not_score_training_cases(make_plan):
    """Its other systems do not score them either, so that its outputs would not be there."""
    plan = make_plan(fusion={"systems": ["small"], "fit_on": ["train"], "learners": ["xgboost"]})
    assert networks.scored_roles(plan, "small", "r0f0") == ["train", "val", "test"]
    assert networks.scored_roles(plan, "pair", "r0f0") == ["val", "test"]
