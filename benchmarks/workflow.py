"""The workflow itself: a dry run of the largest study, the demo from nothing, a run with nothing to do, time lost."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd

from auscult.datasets import simulate
from benchmarks.timing import Row, row
from tests.workflow.harness import Project, copy_workflow


def rows(home: Path, repetitions: int) -> list[Row]:
    """All rows of this part."""
    project = copy_workflow(home / "project")
    return [*dry_run(project, home / "circor", repetitions), *demo(project, repetitions)]


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
    return [row("snakemake -n of the study circor", "auscult", np.array(times), "s", "≤ 5", lambda x: x <= 5)]


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
            "≤ 15",
            lambda x: x <= 15,
        ),
        row("a run with nothing to do", "auscult", np.array(idle), "s", "≤ 10", lambda x: x <= 10),
    ]
