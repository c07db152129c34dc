"""Score the cases of one fold with one network."""

from pathlib import Path

from auscult.datasets.base import load
from auscult.inference.job import score
from auscult.progress import note
from auscult.provenance import code_digest
from common import begin, folder_of, read_folds
from network_job import frames_config_of, job_of

begin(snakemake)
outcome = score(
    job_of(snakemake),
    snakemake.params.slice["roles"],
    load(folder_of(snakemake.input.manifest)),
    read_folds(snakemake.input.folds, snakemake.wildcards.network),
    Path(snakemake.params.cache),
    frames_config_of(snakemake),
    code_digest(snakemake.input.code),
    Path(snakemake.params.locks),
    snakemake.threads,
)
note(" ".join(f"{role}: {word}" for role, word in outcome.items()))
