"""A study from WAV files to its report, against a plain script of the same trainings on the same folds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from auscult.datasets import simulate
from benchmarks.timing import Row, row
from tests.workflow.harness import TOP, Project, copy_workflow

TITLE = "A study against a plain script"
NOTES = """
The script computes the log-mels of every fold anew, trains one network after the other, and leaves out audits, second
stages, tuning, thresholds, intervals, tables, figures, report and tracking, which auscult's time includes. Each of
auscult's trainings is a process that loads PyTorch. With 15 cases of Unknown in six epochs, the AUROCs of Unknown are
within chance on both sides.
"""
SUBJECTS, EPOCHS = 200, 6


def rows(home: Path, subjects: int = SUBJECTS, epochs: int = EPOCHS) -> list[Row]:
    """Seconds of both by the clock, on all cores, once each; and their AUROCs, the same but for chance."""
    project = copy_workflow(home / "whole")
    root = home / "hearts"
    simulate.fetch(root, simulate.Options(subjects=subjects, seed=0, twins=0.0), lambda line: None)
    options = write_study(project, root, epochs)
    started = time.perf_counter()
    project.run(studies="whole")
    ours = time.perf_counter() - started
    table = pd.read_csv(project.path("results/whole/tables/leaderboard.csv"))
    of_networks = table[(table["system"] == "pair") & (table["decision"] == "reference")].iloc[0]
    folds = project.path("results/whole/folds.csv")
    words = [sys.executable, "-m", "benchmarks.plain_study", str(root), str(folds), str(epochs), json.dumps(options)]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    started = time.perf_counter()
    done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    plain = time.perf_counter() - started
    scores = json.loads(done.stdout.splitlines()[-1])
    what = f"a study of {subjects} simulated patients, 18 trainings of {epochs} epochs, from WAVs to scores"
    return [
        row(what, "auscult, with tables, figures, report", np.array([ours]), "s"),
        row(what, "plain script", np.array([plain]), "s"),
        row(what, "plain / auscult", np.array([plain / ours]), "×", "≥ 2", lambda x: x >= 2),
        *(
            row(what, f"AUROC of {name}, {side}", np.array([value]), "")
            for name in ("Present", "Unknown")
            for side, value in (("auscult", of_networks[f"auroc_{name}"]), ("plain script", scores[name]))
        ),
    ]


def write_study(project: Project, root: Path, epochs: int) -> dict:
    """A study like `circor_cpu` with both front ends, the murmur alone, three folds and two inner ones.

    Returns the options of its networks.
    """
    values = yaml.safe_load((TOP / "config/studies/circor_cpu.yaml").read_text(encoding="utf-8"))
    for part in ("targets", "tasks"):
        values[part] = {"murmur": values[part]["murmur"]}
    values["dataset"] = {"name": "hearts", "adapter": "circor", "root": str(root)}
    values["protocol"] = {"name": "group_cv", "folds": 3, "val": 0.2, "seed": 0}
    values["inner_folds"] = {"folds": 2, "bag": True}
    values["systems"] = {name: values["systems"][name] for name in ("band", "both")}
    for system in values["systems"].values():
        system["training"] |= {"epochs": epochs, "precision": "float32", "augment": {"mixup": 0.4}}
    values["fusion"] = {"systems": ["pair"], "fit_on": ["inner_folds"], "features": ["probabilities", "statistics"]}
    values["evaluation"] = {"choose_by": "both"}
    project.study("whole", **values)
    return values["systems"]["band"]["network"]["options"]
