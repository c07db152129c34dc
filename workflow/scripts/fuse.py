"""Fit and apply the second stage of one system and fold."""

from pathlib import Path

from auscult.config.study import Study
from auscult.datasets.base import load
from auscult.features.tables import read_table
from auscult.fusion.job import fuse
from auscult.provenance import code_digest, digest, environment, write_text
from common import begin, folder_of, with_inner

begin(snakemake)
study, models = Study.model_validate(snakemake.params.study), Path(snakemake.output.models)
made_by = digest([code_digest(snakemake.input.code), environment()])[:8]  # trials of other code are not gone on with
folders = {Path(path).parent.name: Path(path).parent for path in snakemake.input.tables}
probabilities, importances, trials = fuse(
    study,
    snakemake.wildcards.system,
    {task: [Path(folder) for folder in paths] for task, paths in snakemake.params.folders.items()},
    *with_inner(snakemake.input.cases, snakemake.input.recordings, snakemake.input.inner),
    load(folder_of(snakemake.input.manifest)),
    {table: read_table(table, folder, study.dataset) for table, folder in folders.items()},
    models,
    models.with_name(f"tuning-{made_by}.log"),
    snakemake.threads,
)
write_text(snakemake.output.probabilities, probabilities.to_csv(index=False))
write_text(snakemake.output.importances, importances.to_csv(index=False))
write_text(snakemake.output.trials, trials.to_csv(index=False))
