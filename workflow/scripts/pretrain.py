"""Pre-train one encoder: on the training cases of one fold without labels, or on other data sets for all folds."""

from pathlib import Path

from auscult.config.dataset import Dataset
from auscult.config.systems import Pretraining
from auscult.datasets.base import load
from auscult.features.frames import frames_config
from auscult.plan.names import NetworkName
from auscult.plan.paths import ALL_FOLDS
from auscult.pretraining.job import PretrainingJob
from auscult.pretraining.pretrain import pretrain
from auscult.pretraining.recordings import recordings_of
from auscult.progress import note
from auscult.tracking import live
from auscult.training.job import FrameCache
from common import begin, folders_of, rows_of_fold
from network_job import resources_of

begin(snakemake)
names, p, inputs = snakemake.wildcards, snakemake.params, snakemake.input
pretraining = Pretraining.model_validate(p.reads["pretraining"])
name = None if names.network == ALL_FOLDS else NetworkName.parse(names.network)
datasets = [Dataset.model_validate({**values, "root": ""}) for values in p.reads["datasets"]]
folders = zip(datasets, folders_of(inputs.manifests), folders_of(inputs.frames), strict=True)
caches = [
    (dataset.name, load(manifest), FrameCache(frames, frames_config(dataset, pretraining.front_end)))
    for dataset, manifest, frames in folders
]
folds = rows_of_fold(inputs.folds, name) if name else None
job = PretrainingJob(Path(snakemake.output[0]).parent, pretraining, name)
outcome = pretrain(
    job,
    [recordings_of(*cache, name, folds, job.heads) for cache in caches],
    snakemake.params.code["digest"],
    resources_of(snakemake),
    live(p.uri, Path(p.artifacts), names.study, "pretrainings", f"{names.pretraining} {names.network}"),
)
note(outcome)
