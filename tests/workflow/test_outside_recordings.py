"""Other data sets through the whole workflow: their labels pre-train, their cases train, and copies in them stop."""

import json

import numpy as np
import pandas as pd
import pytest
import soundfile

from tests.features.test_copies import ecg
from tests.workflow import shapes
from tests.workflow.harness import Project, copy_workflow
from tests.workflow.test_pretraining import ENCODER, FRONT_END, SEGMENT, change, folder, system, trained

pytestmark = pytest.mark.slow

OTHERS = {**shapes.LEADS["dataset"], "name": "others", "root": "resources/others"}
HEADS = {"findings": {"label": "findings", "kind": "multilabel", "classes": shapes.FINDINGS}}
WORDS = {"column": "findings", "words": {"fast": "fast", "none": "flat"}}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """An encoder that learns the labels of another data set, and networks with its cases and without."""
    project = copy_workflow(tmp_path_factory.mktemp("outside"))
    for place, cases, seed in (("leads", 24, 0), ("others", 16, 500)):
        shapes.leads(project.path(f"resources/{place}"), cases=cases, seed=seed)
        for number, file in enumerate(sorted(project.path(f"resources/{place}/signals").glob("*.wav"))):
            samples = ecg(seed + number)[:, None] * np.linspace(0.5, 0.9, 12)
            soundfile.write(file, samples, 100, subtype="PCM_16")
    network = {"name": "clocs", "options": ENCODER}
    project.study(
        "leads",
        description="labels and cases of another data set",
        extra_training=[{"dataset": OTHERS, "heads": {"findings": WORDS}}],
        pretrainings={
            "labels": {
                "method": {"name": "supervised", "options": {"heads": HEADS}},
                "train_on": {"datasets": [OTHERS]},
                "front_end": FRONT_END,
                "segment": SEGMENT,
                "network": network,
                "training": {"epochs": 2, "crops": 2, "batch": 16},
            }
        },
        systems={"tuned": system({**network, "pretraining": "labels"})},
        **shapes.LEADS,
    )
    project.first = project.run(studies="leads")
    return project


def test_labels_pre_train_once_and_cases_join_every_fold(project):
    jobs = project.first.jobs
    assert (jobs["pretrain"], jobs["train"], jobs["find_copies"], jobs["extract_features"]) == (1, 2, 2, 2)
    (entry,) = json.loads(folder(project, "pretrainings/labels/all/weights.safetensors.json").read_text())["heard"]
    assert entry["dataset"] == "others" and len(entry["subjects"]) == 8
    for fold in "01":
        facts = json.loads(folder(project, f"networks/tuned/findings/r0f{fold}/manifest.json").read_text())
        assert facts["counts"]["extra_recordings"] > 0
        assert facts["started_from"].endswith("pretrainings/labels/all/weights.safetensors")
    assert "others" not in folder(project, "predictions.csv").read_text()
    assert project.run(studies="leads").jobs == {}


def test_the_winner_is_judged_on_other_recordings(project):
    """New ones, of which one is a recording of the study, and one of the other data set that it was trained on."""
    shapes.leads(project.path("new"), cases=60, seed=7)
    for name, source in (("ecg030", "leads/signals/ecg010"), ("ecg041", "others/signals/ecg002")):
        project.path(f"new/signals/{name}.wav").write_bytes(project.path(f"resources/{source}.wav").read_bytes())
    ran = project.run("validate", studies="leads", config=("recordings=new",))
    assert ran.jobs["validate_winner"] == 1 and "scores: results/leads/external/new-" in ran.output
    (place,) = folder(project, "external").glob("new-*")
    table = pd.read_csv(place / "external.csv", keep_default_na=False)
    (row,) = table[table["group"] == "all"].to_dict("records")
    # subjects whose id the study has, and those with a case that it knows
    known = set(pd.read_csv(project.path("results/datasets/leads/cases.csv"))["subject"])
    new = pd.read_csv(project.path("new/cases.csv"))
    copied = set(new.loc[new["case"].isin(["ecg030", "ecg041"]), "subject"])
    expected = new["subject"].isin(known | copied)
    assert row["known"] == expected.sum() and row["n"] == (~expected).sum() and row["data"] == "new"
    assert len(pd.read_csv(place / "predictions.csv")) == 60
    assert project.run("validate", studies="leads", config=("recordings=new",)).jobs == {}
    assert project.run(studies="leads").jobs["report"] == 1
    assert "The winner on other data sets" in folder(project, "report.html").read_text()


def test_a_changed_outside_recording_trains_everything_that_learns_from_it(project):
    path = project.path("resources/others/signals/ecg003.wav")
    samples, rate = soundfile.read(path)
    soundfile.write(path, 0.5 * samples[::-1], rate, subtype="PCM_16")
    project.run(studies="leads")
    assert trained(project, "pretrain") == {"labels-all"}
    assert trained(project, "train") == {"tuned-findings-r0f0", "tuned-findings-r0f1"}


def test_a_changed_recording_of_the_study_leaves_the_encoder(project):
    change(project, "ecg003")
    project.run(studies="leads")
    assert trained(project, "pretrain") == set() and trained(project, "train")


def test_a_copy_among_the_extra_cases_stops_the_study(project):
    """A recording of the study, cut and softer, under another name and subject."""
    names = sorted(path.stem for path in project.path("resources/leads/signals").glob("*.wav"))
    name = names[int(np.random.default_rng(2).integers(len(names)))]
    samples, rate = soundfile.read(project.path(f"resources/leads/signals/{name}.wav"))
    target = project.path("resources/others/signals/ecg007.wav")
    soundfile.write(target, 0.7 * samples[57:], rate, subtype="PCM_16")
    project.change("leads", "systems.tuned.network.pretraining", None)
    project.run(studies="leads", fails=True)
    log = project.path("results/logs/leads/audit_folds.log").read_text()
    assert "near_identical_audio others+" in log and name in log and "LeakError" in log
