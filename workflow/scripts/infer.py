"""Score the cases of one fold with one network."""

import pandas as pd

from auscult.datasets.base import load
from auscult.inference.score import score
from auscult.plan.names import NetworkName
from auscult.progress import note
from common import begin, folder_of, rows_of_fold
from network_job import frame_cache_of, job_of, resources_of

begin(snakemake)
name = NetworkName.parse(snakemake.wildcards.network)
folds = rows_of_fold(snakemake.input.folds, name)
if snakemake.input.outer_folds:  # an inner fold's network scores the test cases of the fold around it too
    outer = rows_of_fold(snakemake.input.outer_folds, name.outer)
    folds = pd.concat([folds, outer[outer["role"] == "test"].assign(role="outer_test")])
outcome = score(
    job_of(snakemake),
    snakemake.params.reads["roles"],
    load(folder_of(snakemake.input.manifest)),
    folds,
    frame_cache_of(snakemake),
    snakemake.params.code["digest"],
    resources_of(snakemake),
)
note(" ".join(f"{role}: {result}" for role, result in outcome.items()))
