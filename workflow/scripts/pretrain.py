"""Pre-train one encoder without labels: one pre-training and fold."""

from pathlib import Path

from auscult.config.dataset import Dataset
from auscult.config.systems import Pretraining
from auscult.datasets.base import load
from auscult.features.frames import frames_config
from auscult.plan.names import NetworkName
from auscult.pretraining.job import PretrainingJob
from auscult.pretraining.pretrain import pretrain
from auscult.progress import note
from auscult.provenance import code_digest
from auscult.tracking import live
from auscult.training.job import FrameCache, Resources
from common import begin, folder_of, rows_of_fold

begin(snakemake)
names, p = snakemake.wildcards, snakemake.params
pretraining = Pretraining.model_validate(p.reads["pretraining"])
dataset = Dataset.model_validate({**p.reads["dataset"], "root": ""})
name = NetworkName.parse(names.network)
outcome = pretrain(
    PretrainingJob(folder_of(snakemake.output), pretraining, name),
    load(folder_of(snakemake.input.manifest)),
    rows_of_fold(snakemake.input.folds, name),
    FrameCache(folder_of(snakemake.input.frames), frames_config(dataset, pretraining.front_end)),
    dataset.name,
    code_digest(snakemake.input.code),
    Resources(Path(p.locks), snakemake.threads),
    live(p.uri, Path(p.artifacts), names.study, "pretrainings", f"{names.pretraining} {name}"),
)
note(outcome)
