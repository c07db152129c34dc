"""The workflow as a module of another repository, with a study of its own."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from auscult.datasets import simulate
from tests.workflow.harness import TOP
from tests.workflow.test_reruns import STUDY

SNAKEFILE = f"""
configfile: "config.yaml"

module auscult:
    snakefile: "{TOP}/Snakefile"
    config: config

use rule * from auscult
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "config.yaml").write_text("studies: [mine]")
    (tmp_path / "config/studies").mkdir(parents=True)
    options = simulate.Options(subjects=16, seed=3, seconds=(3.0, 4.0), twins=0.0)
    simulate.fetch(tmp_path / "resources/tiny", options, lambda line: None)
    study = copy.deepcopy(STUDY) | {"protocol": {"name": "group_cv", "folds": 2, "val": 0.4}}
    (tmp_path / "config/studies/mine.yaml").write_text(yaml.safe_dump(study))
    return tmp_path


def snakemake(folder: Path, *words: str) -> str:
    command = [Path(sys.executable).parent / "snakemake", "all", "--cores", "2", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_study_of_another_repository_can_be_planned(repository):
    assert "report" in snakemake(repository, "-n")


@pytest.mark.slow
def test_a_study_of_another_repository_runs(repository):
    snakemake(repository)
    assert (repository / "results/mine/report.html").is_file()
