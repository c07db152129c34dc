"""Pre-training and teachers through the whole workflow: what each is trained on, and what a change trains again."""

import json

import numpy as np
import pandas as pd
import pytest
import soundfile
from safetensors.torch import load_file

from auscult.plan.names import NetworkName
from tests.features.test_copies import ecg
from tests.workflow import shapes
from tests.workflow.harness import Project, copy_workflow

pytestmark = pytest.mark.slow  # tests/workflow/test_shapes.py has a short one

FRONT_END = {"name": "samples"}
SEGMENT = {"seconds": 2.5, "hop_s": 1.25}
ENCODER = {"channels": "each", "places": 4, "embedding": 8, "widths": [2, 4, 4], "stride": 2}
PATCHES = {"patch": 25, "width": 8, "depth": 1, "attention_heads": 2}


def system(network: dict, **training) -> dict:
    return {
        "tasks": ["findings"],
        "front_end": FRONT_END,
        "segment": SEGMENT,
        "network": network,
        "training": {"epochs": 1, "crops": 1, "batch": 16, **training},
        "inference": {"passes": 2},
    }


def study(project: Project, inner: int) -> None:
    """Write the study: two folds, with a number of inner folds in each."""
    project.study(
        "leads",
        description="an encoder that learns without labels, and a student",
        inner_folds={"folds": inner, "val": 0.3} if inner else None,
        pretrainings={
            "views": {
                "method": {"name": "clocs", "options": {"views": "cmsc"}},
                "front_end": FRONT_END,
                "segment": SEGMENT,
                "network": {"name": "clocs", "options": ENCODER},
                "training": {"epochs": 2, "crops": 2, "batch": 16},
            }
        },
        systems={
            "tuned": system({"name": "clocs", "options": ENCODER, "pretraining": "views", "frozen": True}, seeds=2),
            "student": system(
                {"name": "st_mem", "options": {**PATCHES, "leads": [0]}}, teacher={"system": "tuned", "contrast": 0.8}
            ),
        },
        **shapes.LEADS,
    )


@pytest.fixture(scope="module", params=[0, 2], ids=["folds", "inner folds"])
def project(tmp_path_factory, request) -> Project:
    """Two folds, with or without inner ones: an encoder is pre-trained and tuned, a student learns from a teacher."""
    project = copy_workflow(tmp_path_factory.mktemp("pretraining"))
    shapes.leads(project.path("resources/leads"), cases=24)
    study(project, request.param)
    project.inner = request.param
    project.first = project.run(studies="leads")
    return project


def folder(project: Project, *parts: str):
    return project.path("results/leads", *parts)


def names(project: Project) -> list[str]:
    """The folds and inner folds of the study."""
    return [f"r0f{fold}{inner}" for fold in (0, 1) for inner in ("", *(f"i{k}" for k in range(project.inner)))]


def test_an_encoder_is_trained_once_for_each_fold_and_inner_fold(project):
    folds, inner = 2, 2 * project.inner
    assert project.first.jobs["pretrain"] == folds + inner and project.first.jobs["audit_pretrainings"] == 1
    assert project.first.jobs["train"] == 3 * folds + 2 * inner  # `tuned` has two seeds in the folds themselves
    assert f"after {folds + inner} pre-trainings" in project.first.output


def test_the_declaration_names_the_training_subjects_of_that_fold_and_nobody_else(project):
    cases = pd.read_csv(project.path("results/datasets/leads/cases.csv")).set_index("case")["subject"]
    for name in names(project):
        parsed = NetworkName.parse(name)
        table = pd.read_csv(folder(project, "inner_folds.csv" if parsed.is_inner else "folds.csv"))
        rows = table[(table["fold"] == parsed.fold) & (not parsed.is_inner or table.get("inner") == parsed.inner)]
        subjects = {role: set(cases[part["case"]]) for role, part in rows.groupby("role")}
        text = folder(project, f"pretrainings/views/{name}/weights.safetensors.json").read_text()
        (entry,) = json.loads(text)["heard"]
        assert entry["dataset"] == "leads" and set(entry["subjects"]) == subjects["train"]
        assert not set(entry["subjects"]) & (subjects["val"] | subjects["test"])


def test_a_frozen_encoder_is_the_pre_trained_one(project):
    start = load_file(folder(project, "pretrainings/views/r0f0/weights.safetensors"))
    frozen = load_file(folder(project, "networks/tuned/findings/r0f0s1/weights.safetensors"))
    encoder = [key for key in start if key.startswith("encoder")]
    assert encoder and all((start[key] == frozen[key]).all() for key in encoder)
    assert not any(start[key].shape == frozen[key].shape for key in start if key.startswith("head"))


def test_what_was_trained_is_in_the_report_and_the_figures(project):
    figures = pd.read_csv(folder(project, "figures/figures.csv"))["file"]
    assert "learning-pretrainings-views.svg" in set(figures)
    assert "pretrainings" in folder(project, "report.html").read_text()
    for name in names(project):
        history = pd.read_csv(folder(project, f"pretrainings/views/{name}/history.csv"))
        assert np.isfinite(history["train_loss"]).all() and len(history) == 2
        facts = json.loads(folder(project, f"networks/student/findings/{name}/manifest.json").read_text())
        has_seeds = not NetworkName.parse(name).is_inner
        assert facts["teacher"].endswith(f"networks/tuned/findings/{name}{'s0' if has_seeds else ''}")


def test_second_run_starts_nothing(project):
    assert project.run(studies="leads").jobs == {}


def change(project: Project, case: str) -> None:
    """Other samples for a case."""
    path = project.path(f"resources/leads/signals/{case}.wav")
    samples, rate = soundfile.read(path)
    soundfile.write(path, 0.5 * samples[::-1], rate, subtype="PCM_16")


def trained(project: Project, rule: str) -> set[str]:
    """Jobs of a rule that the last run trained, and did not reuse."""
    return {name for name, outcome in project.outcomes(rule, "leads").items() if outcome == "trained"}


def test_a_changed_recording_pre_trains_the_folds_that_are_trained_on_it_and_no_other(project):
    folds = pd.read_csv(folder(project, "folds.csv"))
    trains_in_1 = set(folds[(folds["fold"] == 1) & (folds["role"] == "train")]["case"])
    inner = pd.read_csv(folder(project, "inner_folds.csv")) if project.inner else folds.assign(inner=0)
    inner = inner[(inner["fold"] == 1) & (inner["role"] == "train") & inner["case"].isin(trains_in_1)]
    case = next(c for c in folds[(folds["fold"] == 0) & (folds["role"] == "test")]["case"] if c in set(inner["case"]))
    expected = {"r0f1"}
    if project.inner:
        expected |= {f"r0f1i{number}" for number in inner[inner["case"] == case]["inner"]}
    change(project, case)
    project.run(studies="leads")
    assert trained(project, "pretrain") == {f"views-{name}" for name in expected}
    assert len(project.outcomes("pretrain", "leads")) == len(names(project))
    # the networks of fold 0 have it as a test case alone
    assert trained(project, "train") and all("-r0f1" in name for name in trained(project, "train"))


def test_a_change_of_the_teacher_trains_its_students(project):
    project.change("leads", "systems.tuned.training.learning_rate", 0.02)
    project.run(studies="leads")
    assert {name.split("-")[0] for name in trained(project, "train")} == {"tuned", "student"}
    assert len(trained(project, "train")) == project.first.jobs["train"] and not trained(project, "pretrain")


def test_a_teacher_of_another_fold_is_refused(project):
    """Planted: the rules hand every student the teacher of fold 0."""
    rules = project.path("workflow/auscult/plan/networks.py")
    text = rules.read_text()
    planted = text.replace("settings.system, task, name.with_seed(None))", "settings.system, task, NetworkName(0, 0))")
    assert planted != text
    rules.write_text(planted)
    project.change("leads", "systems.student.training.learning_rate", 0.003)
    try:
        project.run(studies="leads", fails=True)
    finally:
        rules.write_text(text)
        project.change("leads", "systems.student.training.learning_rate", 0.001)
    outcomes = project.outcomes("train", "leads")
    refused = {name for name, outcome in outcomes.items() if outcome.startswith("TeacherError")}
    assert refused and all(name.startswith("student-") and not name.endswith("-r0f0") for name in refused)


@pytest.mark.parametrize("role", ["val", "test"])
def test_a_pre_training_on_cases_that_judge_it_stops_before_any_training(project, role):
    """Planted: the pre-training reads one more role."""
    code = project.path("workflow/auscult/pretraining/recordings.py")
    text = code.read_text()
    planted = text.replace('name, ["train"], heads', f'name, ["train", "{role}"], heads')
    assert planted != text
    code.write_text(planted)
    try:
        project.run(studies="leads", fails=True)
    finally:
        code.write_text(text)
    log = project.path("results/logs/leads/audit_pretrainings.log").read_text()
    assert f"weights_heard views+{role}" in log and "LeakError" in log
    assert "tuned-findings" not in " ".join(project.outcomes("train", "leads"))


def test_an_encoder_of_other_data_sets_serves_all_folds_and_a_copy_in_them_is_a_leak(tmp_path):
    """The other data set gets one recording of the study, cut and softer, under another name and subject."""
    project = copy_workflow(tmp_path)
    for place, cases, seed in (("leads", 24, 0), ("others", 16, 500)):
        shapes.leads(project.path(f"resources/{place}"), cases=cases)
        for number, file in enumerate(sorted(project.path(f"resources/{place}/signals").glob("*.wav"))):
            samples = ecg(seed + number)[:, None] * np.linspace(0.5, 0.9, 12)
            soundfile.write(file, samples, 100, subtype="PCM_16")
    study(project, inner=0)
    values = {**shapes.LEADS["dataset"], "name": "others", "root": "resources/others"}
    project.change("leads", "pretrainings.views.train_on", {"datasets": [values]})
    project.change("leads", "systems", {"tuned": system({"name": "clocs", "options": ENCODER, "pretraining": "views"})})
    run = project.run(studies="leads")
    assert run.jobs["pretrain"] == 1 and run.jobs["train"] == 2 and run.jobs["find_copies"] == 2
    (entry,) = json.loads(folder(project, "pretrainings/views/all/weights.safetensors.json").read_text())["heard"]
    assert entry["dataset"] == "others" and len(entry["subjects"]) == 8
    assert project.run(studies="leads").jobs == {}
    # another recording of the study changes nothing of the encoder
    change(project, "ecg003")
    project.run(studies="leads")
    assert trained(project, "pretrain") == set() and trained(project, "train")

    names = sorted(path.stem for path in project.path("resources/leads/signals").glob("*.wav"))
    name = names[int(np.random.default_rng(1).integers(len(names)))]
    samples, rate = soundfile.read(project.path(f"resources/leads/signals/{name}.wav"))
    target = project.path("resources/others/signals/ecg007.wav")
    soundfile.write(target, 0.7 * samples[57:], rate, subtype="PCM_16")
    project.run(studies="leads", fails=True)
    log = project.path("results/logs/leads/audit_folds.log").read_text()
    assert "near_identical_audio others+" in log and name in log
