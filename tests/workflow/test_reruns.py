"""A change reruns exactly what depends on it: jobs, trainings and scorings are counted on real small runs."""

import copy
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from auscult.datasets import simulate
from tests.workflow.harness import Project, copy_workflow

FOLDS = ["r0f0", "r0f1"]
SCORED = "results/tiny/predictions.csv"  # tables and report, which take longest, are left out where they say nothing
STUDY = {
    "description": "two folds, one task, one small network",
    "dataset": {"name": "tiny", "adapter": "circor", "root": "resources/tiny", "shards": 2},
    "targets": {
        "outcome": {
            "label": "outcome",
            "classes": ["Abnormal", "Normal"],
            "weights": [5, 1],
            "heads": ["abnormal"],
            "decisions": ["reference", "cost"],
        }
    },
    "protocol": {"name": "fixed", "file": "resources/roles.csv"},
    "tasks": {"outcome": {"heads": {"abnormal": {"label": "outcome", "positive": ["Abnormal"]}}}},
    "systems": {
        "small": {
            "tasks": ["outcome"],
            "front_end": {"name": "band1k"},
            "segment": {"seconds": 2.0, "hop_s": 2.0},
            "network": {"name": "dbresnet", "options": {"block": "basic", "depths": [1], "widths": [4]}},
            "training": {"epochs": 2, "crops": 1},
            "inference": {"passes": 2},
        }
    },
    "fusion": {"systems": ["small"], "features": ["probabilities", "covariates"], "booster": {"rounds": 5}},
    "evaluation": {"draws": 100},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A finished study; each test starts from what the one before left finished."""
    project = copy_workflow(tmp_path_factory.mktemp("reruns"))
    root = project.path("resources/tiny")
    simulate.fetch(root, simulate.Options(subjects=24, seed=3, seconds=(3.0, 4.0), twins=0.0), lambda line: None)
    cases = sorted(path.stem for path in root.glob("training_data/*.txt"))
    # f0 tests the first third and f1 the second, each trains on the other's; the rest trains or validates in both
    roles = []
    for fold in (0, 1):
        for number, case in enumerate(cases):
            third = number * 3 // len(cases)
            role = "test" if third == fold else "train" if third < 2 or number % 2 else "val"
            roles.append((0, fold, case, role))
    pd.DataFrame(roles, columns=["repeat", "fold", "case", "role"]).to_csv(
        project.path("resources/roles.csv"), index=False
    )
    project.study("tiny", **STUDY)
    ran = project.run()
    assert ran.jobs["train"] == 2
    assert set(project.outcomes("train").values()) == {"trained"}
    return project


def trained(project: Project) -> dict[str, str]:
    """What the last run's trainings said, by fold."""
    return {name[-4:]: word for name, word in project.outcomes("train").items()}


def scored(project: Project) -> dict[str, str]:
    """What the last run's scorings said, by fold."""
    return {name[-4:]: word for name, word in project.outcomes("infer").items()}


def weights(project: Project) -> dict[str, bytes]:
    """Weights of both folds, byte for byte."""
    folder = project.path("results/tiny/networks/small/outcome")
    return {fold: (folder / fold / "weights.safetensors").read_bytes() for fold in FOLDS}


def recording_of(project: Project, in_f0: str, in_f1: str) -> Path:
    """The first recording of a case with these roles."""
    table = pd.read_csv(project.path("resources/roles.csv"), dtype=str)
    roles = table.pivot(index="case", columns="fold", values="role")
    case = roles.index[(roles["0"] == in_f0) & (roles["1"] == in_f1)][0]
    return sorted(project.path("resources/tiny/training_data").glob(f"{case}_*.wav"))[0]


def nothing_to_do(project: Project, *targets: str) -> None:
    """The next run starts no job."""
    ran = project.run(*targets)
    assert ran.jobs == {} and "Nothing to be done" in ran.output


def test_second_run_starts_nothing(project):
    nothing_to_do(project)


def test_snakemake_itself_reports_with_our_pages(project):
    """As the catalogue's file says: `--report` writes a file with the pages of every study."""
    project.run("--report", "pages.zip")
    with zipfile.ZipFile(project.path("pages.zip")) as archive:
        pages = [name for name in archive.namelist() if "/raw/" in name]
        report = project.path("results/tiny/report.html").read_bytes()
        assert len(pages) == 2 and report in [archive.read(name) for name in pages]


def test_the_status_names_studies_and_nothing_else(project):
    def said(studies: str) -> str:
        words = [sys.executable, "workflow/scripts/status.py", studies, ""]
        return subprocess.run(words, cwd=project.home, capture_output=True, text=True, check=True).stdout

    assert (project.path("results/mlartifacts/.lock")).is_file()
    lines = [line for line in said("tiny").splitlines() if line.startswith("study")]
    assert lines == ["study tiny: not running; 2 networks trained, 2 scored, report written"]
    assert "study demo: not begun" in said("demo")


def test_a_finished_study_is_not_taken_for_one_of_another_root(project):
    project.path("empty").mkdir()
    words = project.run(config=("root=empty",), fails=True).output
    assert "no recordings below empty" in words and "Nothing to be done" not in words


def test_touching_everything_starts_nothing(project):
    for folder in ("workflow", "rules", "config", "resources", "results"):
        for path in project.path(folder).rglob("*"):
            if path.is_file() and path.name != ".lock":
                os.utime(path)
    nothing_to_do(project)


def test_a_value_set_back_starts_nothing(project):
    project.change("tiny", "systems.small.training.epochs", 3)
    project.change("tiny", "systems.small.training.epochs", 2)
    nothing_to_do(project)


def test_a_decision_trains_and_scores_nothing(project):
    project.change("tiny", "targets.outcome.decisions", ["reference"])
    ran = project.run()
    assert set(ran.jobs) == {
        "decide",
        "make_tables",
        "label_issues",
        "plot",
        "explain_system",
        "listen",
        "report",
        "track",
    }
    nothing_to_do(project)


def test_a_system_that_is_added_trains_and_nothing_else_does(project):
    project.change("tiny", "systems.more", copy.deepcopy(STUDY["systems"]["small"]))
    project.change("tiny", "systems.more.training.epochs", 1)
    ran = project.run("results/tiny/tables/leaderboard.csv")
    assert (ran.jobs["train"], ran.jobs["infer"], ran.jobs["aggregate"]) == (2, 2, 2)
    assert set(project.outcomes("train")) == {"more-outcome-r0f0", "more-outcome-r0f1"}
    board = pd.read_csv(project.path("results/tiny/tables/leaderboard.csv"))
    assert {"small", "more"} <= set(board["system"])
    project.study("tiny", **STUDY)
    assert "train" not in project.run(SCORED).jobs


def test_editing_the_network_trains_it_and_another_one_does_not(project):
    other = project.path("workflow/auscult/networks/other.py")
    network = project.path("workflow/auscult/networks/dbresnet.py")
    shutil.copy(network, other)
    nothing_to_do(project, SCORED)
    network.write_text(network.read_text() + "\n# a remark\n")
    ran = project.run(SCORED)
    assert "extract_features" not in ran.jobs
    assert trained(project) == dict.fromkeys(FOLDS, "trained")


def test_editing_what_makes_the_frames_trains_and_editing_what_reports_does_not(project):
    tracking = project.path("workflow/auscult/tracking.py")
    tracking.write_text(tracking.read_text() + "\n# a remark\n")
    nothing_to_do(project, SCORED)
    audio = project.path("workflow/auscult/cache/audio.py")
    audio.write_text(audio.read_text() + "\n# a remark\n")
    ran = project.run(SCORED)
    assert ran.jobs["cache_audio"] == 1 and trained(project) == dict.fromkeys(FOLDS, "trained")


def change_wav(path: Path) -> None:
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path, np.roll(samples, 100) // 2, rate, subtype="PCM_16")


def test_a_changed_recording_trains_the_fold_that_trains_on_it(project):
    """A case that f0 tests and f1 trains on: f1 trains, f0 keeps its model and only scores the test cases again."""
    before = weights(project)
    change_wav(recording_of(project, "test", "train"))
    project.run(SCORED)
    assert trained(project) == {"r0f0": "reused", "r0f1": "trained"}
    assert scored(project) == {"r0f0": "val: reused test: scored", "r0f1": "val: scored test: scored"}
    after = weights(project)
    assert after["r0f0"] == before["r0f0"] and after["r0f1"] != before["r0f1"]
    nothing_to_do(project, SCORED)


def test_a_removed_and_an_added_recording(project):
    """Of a known subject that f1 tests: f1 keeps its model. Both ways: away, and back."""
    before = weights(project)
    wav = recording_of(project, "train", "test")
    text = wav.with_name(wav.name.split("_")[0] + ".txt")
    kept, whole = wav.read_bytes(), text.read_text()
    lines = [line for line in whole.splitlines(keepends=True) if wav.name not in line]
    first = lines[0].split()
    lines[0] = f"{first[0]} {int(first[1]) - 1} {first[2]}\n"
    text.write_text("".join(lines))
    wav.unlink()
    project.run(SCORED)
    assert trained(project) == {"r0f0": "trained", "r0f1": "reused"}
    assert scored(project)["r0f1"] == "val: reused test: scored"
    wav.write_bytes(kept)
    text.write_text(whole)
    project.run(SCORED)
    assert trained(project) == {"r0f0": "trained", "r0f1": "reused"}
    assert weights(project) == before  # the same recordings give the same weights
    nothing_to_do(project, SCORED)


def test_a_flipped_test_label_changes_no_probability_and_no_decision_of_its_fold(project):
    def of_fold_0() -> pd.DataFrame:
        table = pd.read_csv(project.path("results/tiny/predictions.csv"), dtype=str)
        return table[table["fold"] == "0"].drop(columns=["label", "should_refer"]).reset_index(drop=True)

    before = of_fold_0()
    text = recording_of(project, "test", "train")
    text = text.with_name(text.name.split("_")[0] + ".txt")
    flipped = {"Abnormal": "Normal", "Normal": "Abnormal"}
    lines = [
        f"#Outcome: {flipped[line.split()[1]]}\n" if line.startswith("#Outcome") else line
        for line in text.read_text().splitlines(keepends=True)
    ]
    text.write_text("".join(lines))
    project.run(SCORED)
    assert trained(project)["r0f0"] == "reused" and trained(project)["r0f1"] == "trained"
    pd.testing.assert_frame_equal(before, of_fold_0())


def test_a_killed_study_leaves_nothing_to_unlock(project):
    """A second Snakemake on a locked study stops with a clear error; the lock ends with the process that has it."""
    import fcntl

    with project.path("results/tiny/.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        project.change("tiny", "evaluation.draws", 101)
        ran = project.run(SCORED, fails=True)
        assert "study tiny: another Snakemake is running it" in ran.output
    project.run(SCORED)


def test_systems_of_two_studies_compare_when_they_have_the_same_test_cases(project):
    other = copy.deepcopy(STUDY) | {"fusion": None}
    other["systems"]["small"]["training"]["epochs"] = 1
    project.study("other", **other)
    project.run("compare_studies", studies="tiny,other")
    table = pd.read_csv(project.path("results/comparisons/tiny+other/comparison.csv"))
    alike = table[(table["a_system"] == "tiny/small") & (table["b_system"] == "other/small")]
    assert set(alike["metric"]) == {"w_acc", "uar", "auroc", "ece", "f"}
    board = pd.read_csv(project.path("results/comparisons/tiny+other/leaderboard.csv"))
    assert {"tiny/small", "other/small", "tiny/chosen", "other/chosen"} == set(board["system"])
    project.change("other", "targets.outcome.weights", [3, 1])
    ran = project.run("compare_studies", studies="tiny,other", fails=True)
    assert "train" not in ran.jobs
    log = project.path("results/logs/compare_studies.log").read_text()
    assert "ComparisonError: studies tiny and other: targets.outcome.weights differ: [5.0, 1.0] and [3.0, 1.0]" in log


def test_networks_whose_epoch_the_test_cases_choose_are_not_explained(project):
    """Their saved weights are of another epoch; the report shows the first system that can be explained."""
    systems = {name: copy.deepcopy(STUDY["systems"]["small"]) for name in ("by_test", "small")}
    systems["by_test"]["training"]["select"] = "test"
    project.change("tiny", "systems", systems)
    words = project.run("-n", "explain", "results/tiny/report.html").output
    assert "explanations/small/" in words and "explanations/by_test/" not in words


def test_a_wrong_name_in_the_evaluation_needs_no_training_to_be_known(project):
    project.change("tiny", "evaluation.subgroups", ["sex"])
    ran = project.run("results/tiny/groups.csv", fails=True)
    assert set(ran.jobs) == {"count_groups"}
    assert "SubgroupError: evaluation.subgroups: 'sex' is not one of site, murmur" in ran.output
