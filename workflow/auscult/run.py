"""Before and after a run of the workflow: plans and locks of its studies, the estimate, and the printed summary."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from auscult import studies
from auscult.config.command_line import Settings
from auscult.datasets import releases
from auscult.datasets.releases import Release
from auscult.datasets.walk import files_below
from auscult.features.frames import folder_name
from auscult.folds.planned import FoldError, folds_of_protocol
from auscult.metrics import catalogue
from auscult.plan import paths
from auscult.plan.names import NetworkName
from auscult.plan.networks import Plan, every_network, every_pretrained, frame_caches, units
from auscult.provenance import PLANNED, digest

# Training on a CPU allocates and frees the same large buffers at every step. With these settings the process keeps the
# memory, which avoids page faults (a fifth more windows per second of processor time).
KEEP_BUFFERS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


class RunError(Exception):
    """A run cannot start; the message states what to change."""


@dataclass(frozen=True)
class RecordingsFolder:
    """The folder of `--config recordings=DIR`: a name for its predictions, and a digest of its files.

    A changed folder has another digest, and its recordings are predicted again. Without a folder both are `none`.
    """

    name: str
    digest: str


def set_environment(workflow: Path) -> None:
    """Set the environment of the jobs' processes: PYTHONPATH, when the run was planned, and how they keep memory."""
    os.environ[PLANNED] = str(time.time())
    os.environ["PYTHONPATH"] = os.pathsep.join([str(workflow), *filter(None, [os.environ.get("PYTHONPATH")])])
    for name in KEEP_BUFFERS:
        os.environ.setdefault(name, str(4 * 2**30 - 1))


def require_plain_interpreter(path: str = sys.executable) -> None:
    """Raise RunError if a shell would split or change the path of the interpreter: Snakemake does not quote it."""
    if special := sorted(set(re.findall(r"""[\s'"\\$&;()<>|*?`!#~{}\[\]]""", path))):
        raise RunError(
            f"the path of the Python interpreter, {path}, contains {' and '.join(map(repr, special))}, which Snakemake "
            "cannot start jobs with: move the environment (or the folder that it is in) to a path without it"
        )


def load(values: Mapping[str, Any], studies_folder: Path, lists: Path) -> tuple[Settings, dict[str, Plan], dict]:
    """Return settings, the plan of each study, and the release of each data set by its folder below results/datasets.

    values: config/config.yaml with the changes of `--config`. lists: folder of the published lists. Raises ConfigError
    and RunError.
    """
    require_plain_interpreter()
    settings = studies.load_settings(values)
    plans: dict[str, Plan] = {}
    release_of_folder: dict[str, Release] = {}
    for name in settings.studies:
        study = studies.load_study(name, studies_folder, settings.root, Path(paths.NETWORK_OPTIONS))
        folder = paths.dataset_folder(study.dataset, settings.root)
        if folder not in release_of_folder:
            release_of_folder[folder] = releases.find(study.dataset)
        elif release_of_folder[folder].dataset != study.dataset:
            raise RunError(
                f"config/studies/{name}.yaml: dataset: another study describes the data set {folder!r} differently; "
                "give one of them another dataset.name"
            )
        for dataset in study.other_datasets():
            release = releases.find(dataset)
            known_release = release_of_folder.setdefault(paths.dataset_folder(dataset, None), release)
            if known_release.dataset != dataset:
                raise RunError(
                    f"config/studies/{name}.yaml: the data set {dataset.name!r} is described in two ways; give one of "
                    "them another name"
                )
        # the published lists are of CirCor, whose files begin with the id of a patient
        ids = {path.name.split(".")[0].split("_")[0] for path in release_of_folder[folder].files} or None
        try:
            folds = tuple(NetworkName(repeat, fold) for repeat, fold in folds_of_protocol(study.protocol, lists, ids))
        except FoldError as error:
            raise RunError(f"config/studies/{name}.yaml: {error}") from None
        plans[name] = Plan(name, study, folder, folds)
    _check(settings, plans, release_of_folder)
    return settings, plans, release_of_folder


def _check(settings: Settings, plans: dict[str, Plan], release_of_folder: dict[str, Release]) -> None:
    """Raise RunError if the settings of the command line do not fit the studies."""
    own = {plan.dataset: None for plan in plans.values()}
    if settings.root is not None and len(own) > 1:
        raise RunError(f"--config root: is the folder of one data set; the studies have {', '.join(own)}")
    if len({release.dataset.shards for release in release_of_folder.values()}) > 1:
        # Snakemake requires the same number of output files for every data set of a rule
        raise RunError("dataset.shards: the chosen studies have different numbers of shards; run them one at a time")
    for name, plan in plans.items():
        if settings.system and settings.system not in units(plan):
            raise RunError(f"--config system: {settings.system!r} is not one of {', '.join(units(plan))} of {name}")
    if settings.recordings and not Path(settings.recordings).is_dir():
        raise RunError(f"--config recordings: there is no folder {settings.recordings}")


def new_recordings(settings: Settings) -> RecordingsFolder:
    """Return the folder of `--config recordings=DIR`; its digest is of the files' names, sizes and time stamps."""
    if not settings.recordings:
        return RecordingsFolder("none", "none")
    folder = Path(settings.recordings)
    files = sorted(files_below(folder))
    file_facts = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    key = digest([os.path.realpath(folder), settings.form, settings.system])[:8]
    name = re.sub(r"[^\w.-]", "_", folder.name)  # Snakemake reads braces as wildcards; the key makes the name unique
    return RecordingsFolder(f"{name}-{key}", digest(file_facts))


def require_recordings(settings: Settings) -> None:
    """Raise RunError if a prediction is requested without a folder of recordings."""
    if not settings.recordings:
        raise RunError("no folder of recordings; add --config studies=… recordings=DIR")


def new_study(settings: Settings, folder: Path) -> str:
    """Return the path of the study that `snakemake plan` writes. Raises RunError, also where the file is there."""
    if not settings.recordings or not settings.name:
        raise RunError("plan: name a folder and a study: --config recordings=DIR name=mine")
    path = folder / f"{settings.name}.yaml"
    others = [studies.read(file) for file in sorted(folder.glob("*.yaml"))]
    data_sets = {study["dataset"].get("name") for study in others if isinstance(study.get("dataset"), dict)}
    if path.exists() or settings.name in {*paths.SHARED_FOLDERS, *data_sets}:
        raise RunError(
            f"plan: there is {path.name} in {folder}, a data set of this name, or such a folder in results; take "
            "another name"
        )
    return os.path.relpath(path)


_LOCKS: list[TextIO] = []  # open until the process ends, and with them the locks


def lock(names: list[str]) -> None:
    """Lock each study until the process ends; independent of Snakemake's locks.

    Raises RunError if another process has locked one of them.
    """
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
        _LOCKS.append(file)


def estimate(plans: dict[str, Plan], release_of_folder: dict[str, Release]) -> None:
    """Print the number of trainings of each study. Raises RunError if the disk has too little space for the caches."""
    for name, plan in plans.items():
        caches = {(folder, folder_name(front_end)) for folder, front_end in frame_caches(plan)}
        caches |= {(folder, "audio") for folder, _ in caches}
        needed_bytes = sum(path.stat().st_size for folder, _ in caches for path in release_of_folder[folder].files)
        free_bytes = shutil.disk_usage("results").free
        encoders = len(every_pretrained(plan))
        before = f" after {encoders} pre-trainings" if encoders else ""
        print(
            f"study {name}: {len(plan.folds)} folds, {len(every_network(plan))} trainings{before}, caches of about "
            f"{needed_bytes / 2**20:.0f} MiB ({free_bytes / 2**30:.0f} GiB free)",
            file=sys.stderr,
        )
        if needed_bytes > free_bytes:
            raise RunError(f"study {name}: the disk has less room than the caches need; free some, or move results")


def forget_failed_tracking(names: list[str], uri: str) -> None:
    """Remove the output files of jobs that could not reach MLflow, so that the next run repeats these jobs."""
    for name in names:
        registered = Path(paths.STUDY.format(study=name)).glob("bundle/*.json")
        for path in [
            *(Path(pattern.format(study=name)) for pattern in (paths.tracking(uri), paths.TRACKED)),
            *registered,
        ]:
            if path.is_file() and not json.loads(path.read_text()).get("written"):
                path.unlink()


def summary(names: list[str]) -> None:
    """Print the leaderboard of each study that has one, and the paths of its results."""
    from auscult.result_tables import read_table

    # the targets of a run may not include the tables
    names_with_results = [name for name in names if Path(paths.LEADERBOARD.format(study=name)).is_file()]
    for name in names_with_results:
        board = read_table(paths.LEADERBOARD.format(study=name))
        metrics = [metric.key for metric in catalogue.metrics_of("winner")]
        columns = ["target", "system", "stage", "fit_on", "decision", "n", *metrics, "chosen_on", "leak"]
        rows = board[[column for column in columns if column in board]].round(3).fillna("")
        print(f"\nstudy {name}\n{rows.to_string(index=False)}\n", file=sys.stderr)
        print(f"report: {paths.REPORT.format(study=name)}", file=sys.stderr)
        print(f"tables: {paths.TABLES.format(study=name)}", file=sys.stderr)
        for path in sorted(Path(paths.STUDY.format(study=name)).glob("bundle/*.json")):
            print(f"bundle: {path.with_suffix('')}", file=sys.stderr)
    if names_with_results:
        print("MLflow: make ui, then choose Model training", file=sys.stderr)


def predicted_summary(reports: list[str], scores: list[str]) -> None:
    """Print the paths of the predictions of new recordings, and of their scores."""
    for page in filter(lambda path: Path(path).is_file(), reports):
        print(f"predictions: {page}, and predictions.csv beside it", file=sys.stderr)
    for folder in filter(lambda path: Path(path, "external.csv").is_file(), scores):
        print(f"scores: {folder}/external.csv, and predictions.csv beside it", file=sys.stderr)
