"""Pool the outputs of a system's networks on one fold: segments to recordings to cases, heads to classes."""

from pathlib import Path

from auscult.config.study import Study
from auscult.inference.aggregate import aggregate
from auscult.provenance import write_text
from common import begin, fold_of, read_folds

begin(snakemake)
study = Study.model_validate(snakemake.params.study)
system = study.systems[snakemake.wildcards.system]
repeat, fold = fold_of(snakemake.wildcards.fold)
folds = read_folds(snakemake.input.folds, snakemake.wildcards.fold)
members = folds[(folds["repeat"] == repeat) & (folds["fold"] == fold)]
folders = {task: [Path(folder) for folder in paths] for task, paths in snakemake.params.folders.items()}
cases, recordings = aggregate(study, system, folders, snakemake.params.roles, members, snakemake.params.weighed)
write_text(snakemake.output.cases, cases.to_csv(index=False))
write_text(snakemake.output.recordings, recordings.to_csv(index=False))
