"""The workflow itself: a dry run of the largest study, the demo from nothing, a run with nothing to do, time lost."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from auscult.datasets import simulate
from benchmarks.timing import Row, row
from tests.workflow.harness import Project, copy_workflow

TITLE = "The workflow"
NOTES = """
- **A dry run** consists of Snakemake's own planning, of reading all code that jobs import, and of loading Snakemake and
  pandas.
- **Cores outside jobs**: starts of Snakemake and of jobs, which take seconds each, and the last jobs (decisions,
  tables, report, tracking), which leave a core idle.
"""
SYSTEMS = 40


def rows(home: Path, repetitions: int) -> list[Row]:
    """All rows of this part."""
    project = copy_workflow(home / "project")
    parts = (dry_run(project, home / "circor", repetitions), planning(project), demo(project, repetitions))
    return [row for part in parts for row in part]


def seconds(project: Project, *words: str, studies: str) -> float:
    """Of one run by the clock."""
    started = time.perf_counter()
    project.run(*words, studies=studies)
    return time.perf_counter() - started


def dry_run(project: Project, root: Path, repetitions: int) -> list[Row]:
    """`snakemake -n` of `circor` on as many patients as the release has."""
    simulate.fetch(root, simulate.Options(subjects=942, seconds=(2.0, 2.1), twins=0.0), lambda line: None)
    project.change("circor", "dataset.root", str(root))
    times = [seconds(project, "-n", studies="circor") for _ in range(repetitions + 1)][1:]
    return [row("snakemake -n of the study circor", "auscult", np.array(times), "s", "≤ 3", lambda x: x <= 3)]


def planning(project: Project) -> list[Row]:
    """`snakemake -n` of the demo with forty systems, ten folds and three inner folds: once, seconds and memory."""
    project.path("config/studies/planned.yaml").write_text(project.path("config/studies/demo.yaml").read_text())
    values = yaml.safe_load(project.path("config/studies/demo.yaml").read_text())
    small = values["systems"]["small"]
    systems = {f"s{number:02d}": {**small, "tasks": ["both"]} for number in range(SYSTEMS)}
    for number, system in enumerate(systems.values()):
        system["training"] = {**small["training"], "epochs": number + 1}
    changes = {
        "dataset.name": "planned",
        "protocol.folds": 10,
        "inner_folds": {"folds": 3},
        "tasks": {"both": {"heads": {k: v for task in values["tasks"].values() for k, v in task["heads"].items()}}},
        "systems": systems,
        "fusion": {**values["fusion"], "systems": ["s00"], "fit_on": ["inner_folds"]},
    }
    for key, value in changes.items():
        project.change("planned", key, value)
    spent = seconds(project, "-n", "--quiet", studies="planned")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    what = f"snakemake -n of {SYSTEMS} systems × 10 folds × 3 inner folds (1,600 trainings)"
    return [
        row(what, "auscult", np.array([spent]), "s", "≤ 30", lambda x: x <= 30),
        row(what, "auscult, largest memory", np.array([peak]), "MiB", "≤ 2048", lambda x: x <= 2048),
    ]


def demo(project: Project, repetitions: int) -> list[Row]:
    """The demo from no data, once; runs with nothing to do; and the share of the cores' time that no job used."""
    whole = seconds(project, studies="demo")
    used = 0.0
    for path in project.path("results/benchmarks").rglob("*.tsv"):
        used += pd.read_csv(path, sep="\t", na_values="-")["s"].sum()
    lost = 1 - used / (whole * min(2, os.cpu_count() or 1))
    idle = [seconds(project, studies="demo") for _ in range(repetitions)]
    return [
        row("the study demo, after installation", "auscult", np.array([whole]), "s", "≤ 180", lambda x: x <= 180),
        row(
            "the same: time of the cores outside jobs",
            "auscult",
            np.array([100 * lost]),
            "%",
            "≤ 10",
            lambda x: x <= 10,
        ),
        row("a run with nothing to do", "auscult", np.array(idle), "s", "≤ 2.5", lambda x: x <= 2.5),
    ]
