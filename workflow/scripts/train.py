"""Train one network: one system, task and fold."""

from pathlib import Path

from auscult.datasets.base import load
from auscult.plan.names import NetworkName
from auscult.progress import note
from auscult.tracking import live
from auscult.training.train import train
from common import begin, folder_of, rows_of_fold
from network_job import extras_of, frame_cache_of, job_of, resources_of, teacher_of

begin(snakemake)
names, p = snakemake.wildcards, snakemake.params
outcome = train(
    job_of(snakemake),
    load(folder_of(snakemake.input.manifest)),
    rows_of_fold(snakemake.input.folds, NetworkName.parse(names.network)),
    frame_cache_of(snakemake),
    snakemake.params.code["digest"],
    resources_of(snakemake),
    live(p.uri, Path(p.artifacts), names.study, names.system, f"{names.task} {names.network}"),
    teacher_of(snakemake),
    extras_of(snakemake),
)
note(outcome)
