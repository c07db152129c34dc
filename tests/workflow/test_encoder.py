"""An encoder from a file through the whole workflow: what is declared, packed, and made again when the file changes."""

import json

import pandas as pd
import pytest
import torch
import yaml

from tests.features.test_encoder import Small, exported
from tests.workflow import shapes
from tests.workflow.harness import Project, copy_workflow

pytestmark = pytest.mark.slow

SETTINGS = {"rate_hz": 4000, "window_s": 0.2, "hop_s": 0.1, "speed": 2.0}


def write_encoder(project: Project, seed: int) -> None:
    torch.manual_seed(seed)
    exported(Small(values=8), project.path("resources/encoder.onnx"), (400,))


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """Vectors of an encoder, played at twice the speed: read by windows, by cases, and by the second stage."""
    project = copy_workflow(tmp_path_factory.mktemp("encoder"))
    shapes.cycles(project.path("resources/cycles"))
    write_encoder(project, 0)
    vectors = {
        "tasks": ["sound"],
        "front_end": {"name": "encoder", "settings": {"file": "resources/encoder.onnx", **SETTINGS}},
        "segment": {"seconds": 1.0, "hop_s": 0.5},
        "network": {"name": "linear"},
        "training": {"epochs": 2},
        "inference": {"passes": 3},
    }
    plain = {**vectors, "front_end": {"name": "band1k"}, "network": {"name": "compact", "options": {"widths": [4]}}}
    of_cases = {"segment": {"of": "case", "seconds": 4.0}, "network": {"name": "case_attention"}}
    project.study(
        "cycles",
        description="vectors of an encoder",
        targets={"sound": {"label": "sound", "classes": shapes.SOUNDS, "heads": ["sound"], "decisions": ["reference"]}},
        systems={"plain": plain, "vectors": vectors, "cases": {**vectors, **of_cases}},
        ensembles={"both": {"systems": ["plain", "vectors", "cases"]}},
        fusion={"systems": ["vectors", "both"], "features": ["probabilities", "embeddings"]},
        **shapes.CYCLES,
    )
    project.first = project.run(studies="cycles")
    return project


def marks(project: Project) -> str:
    board = pd.read_csv(project.path("results/cycles/tables/leaderboard.csv"), keep_default_na=False)
    return " ".join(set(board["leak"]))


def test_without_a_declaration_every_table_says_that_it_is_unknown(project):
    assert project.first.jobs["extract_features"] == 2 and project.first.jobs["train"] == 6
    unknown = (f"training subjects of the weights of {name} unknown" for name in ("cases", "vectors"))
    assert marks(project) == "; ".join(unknown)
    assert project.run(studies="cycles").jobs == {}


def test_a_declaration_is_compared_with_the_test_cases(project):
    file = project.path("resources/encoder.onnx.json")
    file.write_text(json.dumps({"source": "made", "heard": [{"dataset": "audioset"}]}))
    project.run(studies="cycles")
    assert marks(project) == ""
    subject = pd.read_csv(project.path("results/datasets/cycles/cases.csv"), dtype=str)["subject"].iloc[5]
    file.write_text(json.dumps({"source": "made", "heard": [{"dataset": "cycles", "subjects": [subject]}]}))
    assert "LeakError" in project.run(studies="cycles", fails=True).output or "weights_heard vectors+test" in (
        project.path("results/logs/cycles/audit_folds.log").read_text()
    )
    file.write_text(json.dumps({"source": "made", "heard": [{"dataset": "audioset"}]}))
    project.run(studies="cycles")


def test_the_second_stage_reads_the_vectors_of_each_encoder_once(project):
    for system in ("vectors", "both"):
        features = set(pd.read_csv(project.path(f"results/cycles/fusion/{system}/r0f0/importances.csv"))["feature"])
        assert {f"embedding_vectors_{k}" for k in range(4)} < features
        assert not any(name.startswith("embedding_cases") for name in features)


@pytest.mark.parametrize("system", ["vectors", "cases", "both"])
def test_a_packed_winner_has_the_encoder(project, system):
    """Each case is predicted; those of the study by the networks of all folds."""
    project.run("predict", studies="cycles", config=("recordings=resources/cycles", f"system={system}"))
    (packed,) = project.path(f"results/cycles/packed/{system}/encoders").glob("*.onnx")
    assert packed.read_bytes() == project.path("resources/encoder.onnx").read_bytes()
    tables = project.path("results/cycles/predicted").glob("*/predictions.csv")
    latest = max(tables, key=lambda table: table.stat().st_mtime)
    assert len(pd.read_csv(latest)) == 48


def test_a_study_of_networks_that_read_cases_alone(project):
    systems = {"cases": yaml.safe_load(project.path("config/studies/cycles.yaml").read_text())["systems"]["cases"]}
    target = {"label": "sound", "classes": shapes.SOUNDS, "heads": ["sound"], "decisions": ["reference"]}
    project.study("alone", description="cases alone", targets={"sound": target}, systems=systems, **shapes.CYCLES)
    assert project.run(studies="alone").jobs["train"] == 2
    assert "There are no explanations" in project.path("results/alone/report.html").read_text()


def test_another_file_makes_frames_and_networks_again(project):
    before = sorted(project.path("results/cache/cycles").glob("encoder-*"))
    write_encoder(project, 1)
    jobs = project.run(studies="cycles").jobs
    assert (jobs["extract_features"], jobs["train"], jobs["infer"], jobs["fuse"]) == (1, 4, 4, 4)
    after = sorted(project.path("results/cache/cycles").glob("encoder-*"))
    assert len(before) == 1 and len(after) == 2
    assert project.run(studies="cycles").jobs == {}
