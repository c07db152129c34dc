"""A change of the configuration changes what the jobs read that depend on it, and nothing else."""

import json

import pytest

from auscult.config.study import Study
from auscult.plan import networks, reads
from auscult.plan.networks import Plan


def changed(plan: Plan, path: str, value) -> Plan:
    """The plan with one value of its study replaced."""
    values = plan.study.model_dump()
    *parents, last = path.split(".")
    place = values
    for key in parents:
        place = place[key]
    place[last] = value
    return Plan(plan.name, type(plan.study).model_validate(values), plan.dataset, plan.folds)


def everything(plan: Plan) -> dict[str, str]:
    """What every kind of job of the system `small` reads."""
    parts = {
        "folds": reads.folds(plan),
        "inner_folds": reads.inner_folds(plan),
        "audit": reads.audit(plan),
        "pretraining_audit": reads.pretraining_audit(plan),
        "groups": reads.groups(plan),
        "training": reads.training(plan, "small", "present"),
        "scoring": reads.scoring(plan, "small", "present", "r0f0"),
        "inner_scoring": reads.scoring(plan, "small", "present", "r0f0i0"),
        "aggregation": reads.aggregation(plan, "small", "r0f0"),
        "fusion": reads.fusion(plan, "small"),
        "evaluation": reads.evaluation(plan),
        "explanation": reads.explanation(plan, "small"),
        "report": reads.whole_study(plan),
        "tracking": reads.tracking(plan),
    }
    return {name: json.dumps(part, sort_keys=True) for name, part in parts.items()}


WHOLE = {"report"}
SYSTEM = {"explanation", "tracking"} | WHOLE
# a key, another value of it, and the jobs that run again
CHANGES = [
    ("description", "other words", WHOLE),
    ("dataset.root", "elsewhere", set()),
    (
        "dataset.rate_hz",
        2000,
        {"audit", "training", "scoring", "inner_scoring", "fusion", "evaluation", "explanation"} | WHOLE,
    ),
    ("protocol.seed", 7, {"folds", "inner_folds", "audit", "pretraining_audit", "evaluation", "explanation"} | WHOLE),
    ("leak", {"allow": True, "because": "a test"}, {"audit", "pretraining_audit", "evaluation", "explanation"} | WHOLE),
    ("inner_folds.seed", 3, {"inner_folds", "evaluation", "explanation"} | WHOLE),
    ("inner_folds.bag", True, {"aggregation", "inner_scoring", "evaluation", "explanation"} | WHOLE),
    ("systems.small.training.epochs", 9, {"training", "scoring", "inner_scoring"} | SYSTEM),
    ("systems.small.training.seeds", 2, {"aggregation", "evaluation"} | SYSTEM),
    ("systems.small.inference.passes", 9, {"scoring", "inner_scoring"} | SYSTEM),
    ("systems.small.inference.pool", {"present": {"recordings": "max"}}, {"aggregation"} | SYSTEM),
    ("systems.again.training.epochs", 9, {"tracking"} | WHOLE),
    ("targets.murmur.decisions", ["reference"], {"evaluation", "explanation"} | WHOLE),
    ("targets.murmur.weights", [9, 3, 1], {"fusion", "evaluation", "explanation"} | WHOLE),
    ("targets.murmur.referral.positive", ["Normal"], {"groups", "evaluation", "explanation"} | WHOLE),
    ("fusion.booster.rounds", 9, {"fusion", "evaluation"} | WHOLE),
    ("evaluation.draws", 200, {"evaluation", "explanation"} | WHOLE),
    ("evaluation.subgroups", ["site"], {"groups", "evaluation", "explanation"} | WHOLE),
]


@pytest.fixture
def plan(make_plan) -> Plan:
    fusion = {"systems": ["small"], "learners": ["xgboost"], "features": ["probabilities"]}
    return make_plan(inner_folds={"folds": 2}, fusion=fusion, ensembles={})


@pytest.mark.parametrize(("path", "value", "jobs"), CHANGES, ids=[path for path, *_ in CHANGES])
def test_a_change_is_read_by_what_depends_on_it(plan, path, value, jobs):
    before, after = everything(plan), everything(changed(plan, path, value))
    assert {name for name in before if before[name] != after[name]} == jobs


def test_a_teachers_code_belongs_to_the_training_alone(plan):
    taught = changed(plan, "systems.small.training.teacher", {"system": "again"})
    network = taught.study.systems["again"].network.name
    assert reads.teacher_modules(taught, "small") == [f"auscult.networks.{network}"]
    assert reads.teacher_modules(plan, "small") == reads.teacher_modules(taught, "again") == []
    assert reads.network_modules(taught, "small") == reads.network_modules(plan, "small")


def test_what_is_read_is_what_json_can_say(plan):
    assert all(isinstance(text, str) for text in everything(plan).values())


def test_an_ensemble_stands_among_the_systems_of_the_evaluation(make_plan):
    plan = make_plan()
    study = reads.evaluation(plan)
    assert list(study["systems"]) == networks.units(plan) and "ensembles" not in study
    assert study["systems"]["pair"] == study["systems"]["small"]


def test_networks_that_score_test_cases_by_unit_and_fold(make_plan):
    plan = make_plan(inner_folds={"folds": 2, "bag": True}, fusion=None)
    found = reads.test_networks(plan)
    assert set(found) == {f"{unit}/r0f{fold}" for unit in networks.units(plan) for fold in (0, 1)}
    assert ["again", "unknown", "results/one/networks/again/unknown/r0f1i1"] in found["pair/r0f1"]
    assert len(found["pair/r0f1"]) == 2 * 2 * 3


@pytest.mark.parametrize(("seeds", "inner"), [(1, (1, 1)), (2, (1, 2)), (2, (2, 1)), (6, (2, 3))])
def test_what_jobs_read_is_a_study_wherever_the_whole_one_is(make_plan, seeds, inner):
    """The measures of uncertainty need as many networks for inner cases as for test cases."""
    divided = {"folds": 2, "seeds": inner[0], "repeats": inner[1]}
    fusion = {"systems": ["small"], "fit_on": ["inner_folds"], "features": ["probabilities", "uncertainty"]}
    plan = make_plan(seeds=seeds, inner_folds=divided, fusion=fusion)
    for values in (reads.evaluation(plan), reads.whole_study(plan), reads.explanation(plan, "small")):
        Study.model_validate(json.loads(json.dumps(values)))
