"""Train the network of a fold, unless its model folder is already up to date."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from auscult.datasets.base import Manifest
from auscult.provenance import file_digest
from auscult.training.computation import computation
from auscult.training.extra_cases import ExtraCases
from auscult.training.job import FrameCache, Job, Resources
from auscult.training.label_share import drawn
from auscult.training.model_folder import is_up_to_date, renew
from auscult.training.slices import fold_slice, slice_digest
from auscult.training.teacher import TeacherNetwork, cases_digest


def train(
    job: Job,
    manifest: Manifest,
    folds: pd.DataFrame,
    frame_cache: FrameCache,
    code: str,
    resources: Resources,
    log: Callable[[dict], None],
    teacher: TeacherNetwork | None = None,
    extras: Sequence[ExtraCases] = (),
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
    teacher : the trained network that this one learns from, see `teacher`.
    extras : cases of other data sets to train on as well, see `extra_cases`.
    """
    tables = _with_share_of_labels(
        job, manifest, fold_slice(manifest, folds, job.name, ["train", "val"], job.task.heads)
    )
    start = file_digest(job.weights) if job.weights else ""
    depends_on = [job.config(), frame_cache.config, start, computation(job.system.training.precision)]
    if teacher:
        depends_on.append(teacher.digest(job.name, folds))
    for extra in extras:
        depends_on.append([extra.cases.to_dict("split"), extra.recordings.to_dict("split"), extra.frame_cache.config])
    digest = slice_digest(*tables, depends_on, code)
    if is_up_to_date(job.folder, digest):
        renew(job.folder)
        return "reused"
    # torch takes seconds to load: import it only for a network that is to be trained
    from auscult.training.network_training import train_network

    train_network(job, tables, frame_cache, digest, resources, log, teacher, cases_digest(job.name, folds), extras)
    return "trained"


def _with_share_of_labels(
    job: Job, manifest: Manifest, tables: tuple[pd.DataFrame, pd.DataFrame]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of a slice without the training cases whose labels the settings do not use."""
    share, (cases, recordings) = job.system.training.labels, tables
    if share == 1:
        return tables
    trains = cases["role"].isin(["train", "val"] if job.system.training.select == "last" else ["train"])
    subjects = cases["case"].map(manifest.cases.set_index("case")["subject"])
    # one order of the subjects for all members of an ensemble and all folds: members use no more labels together
    used = drawn(subjects[trains], share, job.system.training.seed)
    cases = cases[~trains | used.reindex(cases.index, fill_value=False)]
    recordings = recordings[recordings["case"].isin(cases["case"])]
    return cases.reset_index(drop=True), recordings.reset_index(drop=True)
