"""Train the network of a fold, unless its model folder is already up to date."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from auscult.datasets.base import Manifest
from auscult.training.computation import computation
from auscult.training.job import FrameCache, Job, Resources
from auscult.training.model_folder import is_up_to_date, renew
from auscult.training.slices import fold_slice, slice_digest


def train(
    job: Job,
    manifest: Manifest,
    folds: pd.DataFrame,
    frame_cache: FrameCache,
    code: str,
    resources: Resources,
    log: Callable[[dict], None],
) -> str:
    """Train one network into `job.folder`; return `trained` or `reused`.

    A complete, undamaged model whose slice digest is the same is reused: nothing is computed, only its time stamps are
    renewed.

    Parameters
    ----------
    manifest, folds : tables of the data set and of the protocol.
    frame_cache : the front end's frames.
    code : digest of the code that the result depends on.
    resources : lock files of the GPUs and number of threads, see `device.device`.
    log : called with a row of history.csv after every epoch.
    """
    tables = fold_slice(manifest, folds, job.name, ["train", "val"], job.task.heads)
    depends_on = [job.config(), frame_cache.config, _pretrained_digest(job), computation(job.system.training.precision)]
    digest = slice_digest(*tables, depends_on, code)
    if is_up_to_date(job.folder, digest):
        renew(job.folder)
        return "reused"
    # torch takes seconds to load: import it only for a network that is to be trained
    from auscult.training.network_training import train_network

    train_network(job, tables, frame_cache, digest, resources, log)
    return "trained"


def _pretrained_digest(job: Job) -> str:
    """SHA-256 of the weights that the network starts from; empty for random weights."""
    weights = job.system.network.weights
    return hashlib.sha256(Path(weights).read_bytes()).hexdigest() if weights else ""
