"""One training job: trains the network of a fold, unless its model folder is already up to date."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from auscult.datasets.base import Manifest
from auscult.training.slices import fold_slice, slice_digest
from auscult.training.spec import FrameCache, Job, Resources

FILES = ("weights.safetensors", "config.json", "history.csv", "manifest.json")
RECORD = ("parameters", "multiply_adds", "epochs", "val_score", "seconds", "device")  # of it, what tables show


def train(
    job: Job,
    manifest: Manifest,
    folds: pd.DataFrame,
    frame_cache: FrameCache,
    code: str,
    resources: Resources,
    log: Callable[[dict], None],
) -> str:
    """Train one network into `job.folder`; returns `trained` or `reused`.

    Parameters
    ----------
    manifest, folds : tables of the data set and of the protocol.
    frame_cache : the front end's frames.
    code : digest of the code that the result depends on.
    resources : what the job computes on, see `device.device`.
    log : gets a row after every epoch.

    A finished folder whose slice digest is the same is kept as it is (its time stamps are renewed).
    """
    tables = fold_slice(manifest, folds, job.repeat, job.fold, ["train", "val"], job.task.heads)
    digest = slice_digest(*tables, [job.config(), frame_cache.config, _pretrained_digest(job)], code)
    if _is_finished(job.folder, digest):
        return "reused"
    # torch takes seconds to load: only where something is to be trained
    from auscult.training.run import train_network

    train_network(job, tables, frame_cache, digest, resources, log)
    return "trained"


def _pretrained_digest(job: Job) -> str:
    """SHA-256 of the weights that the network starts from; empty where these are random."""
    weights = job.system.network.weights
    return hashlib.sha256(Path(weights).read_bytes()).hexdigest() if weights else ""


def _is_finished(folder: Path, digest: str) -> bool:
    """Whether the folder holds a finished model of this digest; its files are then touched, not changed."""
    try:
        same = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["slice_digest"] == digest
    except (OSError, ValueError, KeyError):
        return False
    if same and all((folder / name).is_file() for name in FILES):
        for name in FILES:
            (folder / name).touch()
        return True
    return False


def read_trainings(folders: list[Path]) -> pd.DataFrame:
    """What is on record of trainings.

    `system, task, network, parameters, multiply_adds, epochs, val_score, seconds, device`.
    """
    rows = []
    for folder in folders:
        facts = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        names = dict(zip(("system", "task", "network"), folder.parts[-3:], strict=True))
        rows.append(names | {key: facts[key] for key in RECORD})
    return pd.DataFrame(rows)
