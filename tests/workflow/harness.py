"""Run real small workflows in a copy of the repository in a temporary folder, and read the outcomes of their jobs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parents[2]
PARTS = ["Snakefile", "rules", "workflow", "config", "profiles", "resources/splits", "resources/published.csv", "envs"]


@dataclass
class Run:
    """One run of Snakemake: its output, and how often each rule started."""

    code: int
    output: str
    jobs: dict[str, int]


@dataclass
class Project:
    """A copy of the workflow in `home`."""

    home: Path

    def study(self, name: str, **values) -> None:
        """Write config/studies/<name>.yaml."""
        (self.home / f"config/studies/{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    def change(self, name: str, path: str, value) -> None:
        """Set one key of a study, `a.b.c`."""
        file = self.home / f"config/studies/{name}.yaml"
        values = yaml.safe_load(file.read_text())
        place = values
        *parents, last = path.split(".")
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = value
        file.write_text(yaml.safe_dump(values, sort_keys=False))

    def run(self, *arguments: str, studies: str = "tiny", config: tuple[str, ...] = (), fails: bool = False) -> Run:
        """Run Snakemake as a user does; fails the test unless it succeeds or, with `fails`, ends in an error."""
        shutil.rmtree(self.home / "results/logs", ignore_errors=True)
        command = [Path(sys.executable).parent / "snakemake", *arguments, "--cores", "2", "--resources", "gpu=1"]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        process = subprocess.run(
            [*command, "--config", f"studies={studies}", *config],
            cwd=self.home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1200,  # a slow machine, other work beside it
        )
        output = process.stdout + process.stderr
        assert (process.returncode != 0) == fails, output[-6000:]
        table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", output, re.DOTALL)
        jobs = dict(re.findall(r"^(\w+) +(\d+)$", table.group(1), re.MULTILINE)) if table else {}
        return Run(process.returncode, output, {rule: int(n) for rule, n in jobs.items() if rule != "all"})

    def outcomes(self, rule: str, study: str = "tiny") -> dict[str, str]:
        """Last line of the log of every job of a rule that the last run started, by job."""
        logs = (self.home / f"results/logs/{study}/{rule}").glob("*.log")
        return {log.stem: log.read_text().strip().splitlines()[-1] for log in logs}

    def path(self, *parts: str) -> Path:
        """A path in the copy."""
        return self.home.joinpath(*parts)


def copy_workflow(home: Path) -> Project:
    """A fresh copy of the workflow, with what Python and numba have compiled of it."""
    for part in PARTS:
        source, target = TOP / part, home / part
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return Project(home)
