"""Other kinds of data run through the whole workflow: nothing assumes murmurs, two tasks, one channel or 4 kHz."""

import json

import h5py
import pandas as pd
import pytest

from tests.workflow import shapes
from tests.workflow.harness import copy_workflow

ENCODER = {"widths": [2, 4, 4], "places": 4, "embedding": 8, "stride": 2}
SMALL = {"name": "dbresnet", "options": {"block": "basic", "depths": [1], "widths": [8], "stem_pool": False}}


def test_twelve_channels_with_several_labels(tmp_path):
    project = copy_workflow(tmp_path)
    shapes.leads(project.path("resources/leads"))
    project.study(
        "leads",
        description="12 channels at 100 Hz, several labels a case",
        pretrainings={
            "views": {
                "method": {"name": "clocs"},
                "front_end": {"name": "samples"},
                "network": {"name": "clocs", "options": ENCODER},
                "training": {"epochs": 1, "crops": 1},
            }
        },
        systems={
            "pretrained": {
                "tasks": ["findings"],
                "front_end": {"name": "samples"},
                "segment": {"seconds": 5.0, "hop_s": 1.0},
                "network": {"name": "clocs", "options": ENCODER, "pretraining": "views"},
                "training": {"epochs": 2},
                "inference": {"passes": 3},
            },
            "student": {
                "tasks": ["findings"],
                "front_end": {"name": "samples"},
                "segment": {"seconds": 2.5, "hop_s": 1.0},
                "network": {"name": "resnet1d", "options": {"depths": [1], "widths": [8], "leads": [0]}},
                "training": {"epochs": 2, "teacher": {"system": "pretrained", "contrast": 0.8}},
                "inference": {"passes": 3},
            },
        },
        **shapes.LEADS,
    )
    ran = project.run(studies="leads")
    assert (ran.jobs["pretrain"], ran.jobs["audit_pretrainings"], ran.jobs["train"]) == (2, 1, 4)
    folds = pd.read_csv(project.path("results/leads/folds.csv"), dtype=str)
    cases = pd.read_csv(project.path("results/datasets/leads/cases.csv"), dtype=str).set_index("case")
    for fold in "01":
        file = project.path(f"results/leads/pretrainings/views/r0f{fold}/weights.safetensors.json")
        (heard,) = json.loads(file.read_text())["heard"]
        trains = folds[(folds["fold"] == fold) & (folds["role"] == "train")]["case"]
        assert set(heard["subjects"]) == set(cases.loc[trains, "subject"])
        facts = json.loads(project.path(f"results/leads/networks/student/findings/r0f{fold}/manifest.json").read_text())
        assert facts["teacher"].endswith(f"pretrained/findings/r0f{fold}")
    board = pd.read_csv(project.path("results/leads/tables/leaderboard.csv"))
    assert (
        set(board["system"]) == {"pretrained", "student", "chosen"}
        and (board["n"] == 40).all()
        and "w_acc" not in board
    )
    predictions = pd.read_csv(project.path("results/leads/predictions.csv"))
    assert {"p_fast", "p_noisy", "p_flat"} <= set(predictions)
    with h5py.File(next(project.path("results/cache/leads/samples-").parent.glob("samples*/shard-000.h5"))) as file:
        assert file["values"].shape[1:] == (12, 1)
    assert project.path("results/leads/report.html").stat().st_size > 10_000


def test_labelled_intervals_at_mixed_rates(tmp_path):
    project = copy_workflow(tmp_path)
    shapes.cycles(project.path("resources/cycles"))
    project.study(
        "cycles",
        description="labelled intervals of recordings at mixed rates, four classes",
        targets={
            "sound": {
                "label": "sound",
                "classes": shapes.SOUNDS,
                "heads": ["sound"],
                "decisions": ["reference", "any_recording", "cost"],
            }
        },
        systems={
            "resnet": {
                "tasks": ["sound"],
                "front_end": {"name": "band1k"},
                "segment": {"seconds": 1.5, "hop_s": 1.0},
                "network": SMALL,
                "training": {"epochs": 2, "seeds": 2},
                "inference": {"passes": 3},
            }
        },
        fusion={
            "systems": ["resnet"],
            "fit_on": ["validation", "train"],
            "features": ["probabilities", "covariates", "descriptors"],
            "booster": {"rounds": 5},
        },
        **shapes.CYCLES,
    )
    # figures and report are in the tests of other studies
    ran = project.run("results/cycles/tables/leaderboard.csv", "results/cycles/listen.html", studies="cycles")
    assert ran.jobs["train"] == 4
    board = pd.read_csv(project.path("results/cycles/tables/leaderboard.csv"), dtype={"leak": str})
    assert (board["n"] == 48).all()
    leaky = board[board["fit_on"] == "train"]
    assert len(leaky) and leaky["leak"].str.contains("training cases").all()
    recordings = pd.read_csv(project.path("results/datasets/cycles/recordings.csv"))
    assert set(recordings["rate_hz"]) == {4000, 8000, 44100}
    # subjects are unknown: intervals are over the stays, which the folds keep together
    predictions = pd.read_csv(project.path("results/cycles/predictions.csv"))
    assert set(predictions["subject"]) == {f"s{number}" for number in range(8)}
    assert board["leak"].str.contains("subjects unknown").all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"protocol.folds": 40}, "protocol.folds"),
        ({"systems.resnet.trainig": {}}, "did you mean 'training'"),
        ({"dataset.root": "resources/nowhere"}, "no recordings below resources/nowhere"),
    ],
)
def test_what_cannot_run_stops_with_a_clear_word(tmp_path, change, words):
    project = copy_workflow(tmp_path)
    shapes.cycles(project.path("resources/cycles"), files=6)
    project.study(
        "tiny",
        description="",
        dataset={
            "name": "cycles",
            "adapter": "folder",
            "root": "resources/cycles",
            "options": {"labels": {"sound": []}},
        },
        targets={"sound": {"label": "sound", "classes": shapes.SOUNDS, "heads": ["sound"]}},
        protocol={"name": "group_cv", "folds": 2},
        tasks={"sound": {"heads": {"sound": {"label": "sound", "kind": "multiclass", "classes": shapes.SOUNDS}}}},
        systems={"resnet": {"tasks": ["sound"], "front_end": {"name": "band1k"}, "network": SMALL}},
    )
    for key, value in change.items():
        project.change("tiny", key, value)
    assert words in project.run("results/tiny/folds.csv", fails=True).output


def test_an_unknown_study_names_the_nearest(tmp_path):
    ran = copy_workflow(tmp_path).run("-n", studies="dmeo", fails=True)
    assert "there is no study 'dmeo' (did you mean 'demo'?)" in ran.output
