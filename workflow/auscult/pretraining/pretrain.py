"""Pre-train the encoder of a fold, unless its folder is already up to date."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from auscult.datasets.base import Manifest
from auscult.pretraining.job import DECLARATION, PretrainingJob
from auscult.training.computation import computation
from auscult.training.job import FrameCache, Resources
from auscult.training.model_folder import is_up_to_date, renew
from auscult.training.slices import fold_slice, slice_digest


def pretrain(
    job: PretrainingJob,
    manifest: Manifest,
    folds: pd.DataFrame,
    frame_cache: FrameCache,
    dataset: str,
    code: str,
    resources: Resources,
    log: Callable[[dict], None],
) -> str:
    """Pre-train one encoder into `job.folder`; return `trained` or `reused`, as `training.train.train` does.

    Only the recordings of training cases are read, and no label. Beside the weights, the declaration of what they were
    trained on is written, see `folds.weights`. dataset: the name of the data set in it.
    """
    cases, recordings = fold_slice(manifest, folds, job.name, ["train"], {})
    subjects = cases["case"].map(manifest.cases.set_index("case")["subject"])
    tables = cases.assign(subject=subjects), recordings
    depends_on = [job.config(), frame_cache.config, dataset, computation(job.pretraining.training.precision)]
    digest = slice_digest(*tables, depends_on, code)
    if (job.folder / DECLARATION).is_file() and is_up_to_date(job.folder, digest):
        renew(job.folder)
        (job.folder / DECLARATION).touch()
        return "reused"
    # torch takes seconds to load: import it only for an encoder that is to be trained
    from auscult.pretraining.encoder_training import train_encoder

    train_encoder(job, tables, frame_cache, dataset, digest, resources, log)
    return "trained"
