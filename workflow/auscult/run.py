"""Before and after a run of the workflow: the plans of its studies, their locks, the estimate and the summary."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from auscult import studies
from auscult.config.settings import Settings
from auscult.datasets import releases
from auscult.datasets.releases import Release
from auscult.features.frames import folder_name
from auscult.folds.planned import FoldError, folds_of_protocol
from auscult.metrics import catalogue
from auscult.plan import paths
from auscult.plan.names import NetworkName
from auscult.plan.networks import Plan, every_network, units
from auscult.provenance import digest

# Training on a CPU allocates and frees the same large buffers at every step; kept by the process, they cost no page
# faults (a fifth more windows per second of processor time).
KEEP_BUFFERS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


class RunError(Exception):
    """A run cannot begin; the message says what to change."""


@dataclass(frozen=True)
class NewRecordings:
    """The folder of `--config recordings=DIR`: a name for what is predicted of it, and a digest of its files.

    A changed folder has another digest and is predicted anew. Without a folder both are `none`.
    """

    name: str
    digest: str


def set_environment(workflow: Path) -> None:
    """What the processes of jobs inherit: where the library lies, and how they keep memory."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(workflow), *filter(None, [os.environ.get("PYTHONPATH")])])
    for name in KEEP_BUFFERS:
        os.environ.setdefault(name, str(4 * 2**30 - 1))


def has_gpu() -> bool:
    """Whether torch can compute on a GPU of this machine."""
    import torch

    return torch.cuda.is_available()


def load(values: Mapping[str, Any], studies_folder: Path, lists: Path) -> tuple[Settings, dict[str, Plan], dict]:
    """Settings, the plan of every study, and the raw files of every data set by its folder below results/datasets.

    values: config/config.yaml with the changes of `--config`. lists: folder of the published lists. Raises ConfigError
    and RunError.
    """
    settings = studies.load_settings(values)
    plans: dict[str, Plan] = {}
    found: dict[str, Release] = {}
    for name in settings.studies:
        study = studies.load_study(name, studies_folder, settings.root)
        folder = paths.dataset_folder(study.dataset, settings.root)
        if folder not in found:
            found[folder] = releases.find(study.dataset)
        elif found[folder].dataset != study.dataset:
            raise RunError(
                f"config/studies/{name}.yaml: dataset: another study describes the data set {folder!r} differently; "
                "give one of them another dataset.name"
            )
        ids = {path.name.split(".")[0].split("_")[0] for path in found[folder].files} or None
        try:
            folds = tuple(NetworkName(repeat, fold) for repeat, fold in folds_of_protocol(study.protocol, lists, ids))
        except FoldError as error:
            raise RunError(f"config/studies/{name}.yaml: {error}") from None
        plans[name] = Plan(name, study, folder, folds)
    _check(settings, plans, found)
    return settings, plans, found


def _check(settings: Settings, plans: dict[str, Plan], found: dict[str, Release]) -> None:
    """What the command line asks must fit the studies."""
    if settings.root is not None and len(found) > 1:
        raise RunError(f"--config root: points to one data set; the studies have {', '.join(found)}")
    if len({release.dataset.shards for release in found.values()}) > 1:
        # Snakemake wants the same number of output files for every data set of a rule
        raise RunError("dataset.shards: the chosen studies name different numbers; run them one at a time")
    for name, plan in plans.items():
        if settings.system and settings.system not in units(plan):
            raise RunError(f"--config system: {settings.system!r} is not one of {', '.join(units(plan))} of {name}")
    if settings.recordings and not Path(settings.recordings).is_dir():
        raise RunError(f"--config recordings: there is no folder {settings.recordings}")


def new_recordings(settings: Settings) -> NewRecordings:
    """What `--config recordings=DIR` points to, by the files' names, sizes and time stamps."""
    if not settings.recordings:
        return NewRecordings("none", "none")
    folder = Path(settings.recordings)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    stamps = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    key = digest([os.path.realpath(folder), settings.form, settings.system])[:8]
    return NewRecordings(f"{folder.name}-{key}", digest(stamps))


def require_recordings(settings: Settings) -> None:
    """Raise RunError where a prediction is asked for without a folder of recordings."""
    if not settings.recordings:
        raise RunError("snakemake predict: which recordings? --config studies=… recordings=DIR")


def lock(names: list[str]) -> list[TextIO]:
    """Hold each study until the returned files are closed or the process ends, whatever became of Snakemake's locks.

    Raises RunError where another process holds one.
    """
    files = []
    for name in names:
        path = Path(paths.LOCK.format(study=name))
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RunError(
                f"study {name}: another Snakemake is running it (process {file.read().strip() or 'unknown'}); "
                "wait for it or stop it, then start again"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        files.append(file)
    return files


def estimate(plans: dict[str, Plan], found: dict[str, Release]) -> None:
    """Print how many trainings a run has, and raise RunError where the disk has no room for the caches."""
    for name, plan in plans.items():
        raw = sum(path.stat().st_size for path in found[plan.dataset].files)
        front_ends = {folder_name(system.front_end) for system in plan.study.systems.values()}
        needed = raw * (1 + len(front_ends))
        free = shutil.disk_usage("results").free
        print(
            f"study {name}: {len(plan.folds)} folds, {len(every_network(plan))} trainings, caches of about "
            f"{needed / 2**20:.0f} MiB ({free / 2**30:.0f} GiB free)",
            file=sys.stderr,
        )
        if needed > free:
            raise RunError(f"study {name}: the disk has less room than the caches need; free some, or move results")


def forget_failed_tracking(names: list[str], uri: str) -> None:
    """Take away the notes of jobs that could not reach MLflow: they did not fail, and try again in the next run."""
    for name in names:
        for pattern in (paths.tracking(uri), paths.TRACKED):
            path = Path(pattern.format(study=name))
            if path.is_file() and not json.loads(path.read_text()).get("written"):
                path.unlink()


def summary(names: list[str]) -> None:
    """Print the leaderboard of each study that has one, and where its results are."""
    import pandas as pd

    # a run may have been asked for less than the tables
    finished = [name for name in names if Path(paths.LEADERBOARD.format(study=name)).is_file()]
    for name in finished:
        board = pd.read_csv(paths.LEADERBOARD.format(study=name))
        metrics = [metric.key for metric in catalogue.shown("winner")]
        columns = ["target", "system", "stage", "fit_on", "decision", "n", *metrics, "chosen_on", "leak"]
        short = board[[column for column in columns if column in board]].round(3).fillna("")
        print(f"\nstudy {name}\n{short.to_string(index=False)}\n", file=sys.stderr)
        print(f"report: {paths.REPORT.format(study=name)}", file=sys.stderr)
        print(f"tables: {paths.TABLES.format(study=name)}", file=sys.stderr)
        for path in sorted(Path(paths.STUDY.format(study=name)).glob("bundle/*.json")):
            print(f"bundle: {path.with_suffix('')}", file=sys.stderr)
    if finished:
        print("MLflow: make ui (there: Model training)", file=sys.stderr)


def predicted_summary(reports: list[str]) -> None:
    """Print where the predictions of new recordings are."""
    for page in filter(lambda path: Path(path).is_file(), reports):
        print(f"predictions: {page}, and predictions.csv beside it", file=sys.stderr)
