"""Score the cases of one fold with one network."""

from pathlib import Path

import pandas as pd

from auscult.datasets.base import load
from auscult.inference.job import score
from auscult.progress import note
from auscult.provenance import code_digest
from auscult.training.spec import Resources
from common import begin, folder_of, read_folds, read_rows
from network_job import frame_cache_of, job_of

begin(snakemake)
folds = read_folds(snakemake.input.folds, snakemake.wildcards.network)
if snakemake.input.judged:  # by the fold that this inner one lies in
    outer = read_rows(snakemake.input.judged)
    folds = pd.concat([folds, outer[outer["role"] == "test"].assign(role="judged")])
outcome = score(
    job_of(snakemake),
    snakemake.params.slice["roles"],
    load(folder_of(snakemake.input.manifest)),
    folds,
    frame_cache_of(snakemake),
    code_digest(snakemake.input.code),
    Resources(Path(snakemake.params.locks), snakemake.threads),
)
note(" ".join(f"{role}: {word}" for role, word in outcome.items()))
