"""Pre-train an encoder, unless its folder is already up to date."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from auscult.pretraining.job import DECLARATION, PretrainingJob
from auscult.pretraining.recordings import Recordings
from auscult.training.computation import computation
from auscult.training.job import Resources
from auscult.training.model_folder import is_up_to_date, renew
from auscult.training.slices import slice_digest


def pretrain(
    job: PretrainingJob,
    sources: list[Recordings],
    code: str,
    resources: Resources,
    log: Callable[[dict], None],
) -> str:
    """Pre-train one encoder into `job.folder`; return `trained` or `reused`, as `training.train.train` does.

    Beside the weights, the declaration of what they were trained on is written, see `folds.weights`.
    """
    tables = [[source.cases.to_dict("split"), source.recordings.to_dict("split")] for source in sources]
    caches = [[source.dataset, source.frame_cache.config] for source in sources]
    depends_on = [job.config(), tables, caches, computation(job.pretraining.training.precision)]
    digest = slice_digest(pd.DataFrame(), pd.DataFrame(), depends_on, code)
    if (job.folder / DECLARATION).is_file() and is_up_to_date(job.folder, digest):
        renew(job.folder)
        (job.folder / DECLARATION).touch()
        return "reused"
    # torch takes seconds to load: import it only for an encoder that is to be trained
    from auscult.pretraining.encoder_training import train_encoder

    train_encoder(job, sources, digest, resources, log)
    return "trained"
