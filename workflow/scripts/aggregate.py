"""Pool the outputs of a system's networks on one fold: segments to recordings to cases, heads to classes."""

from pathlib import Path

from auscult.config.study import Study
from auscult.inference.aggregate import Voice, aggregate
from auscult.provenance import write_text
from common import begin, fold_of, read_rows

begin(snakemake)
study = Study.model_validate(snakemake.params.study)
system = study.systems[snakemake.wildcards.system]
repeat, fold = fold_of(snakemake.wildcards.fold)
folds = read_rows(snakemake.input.folds)
members = folds[(folds["repeat"] == repeat) & (folds["fold"] == fold)]
voices = {
    role: {
        task: [Voice(group, [Path(folder) for folder in folders]) for group, folders in found]
        for task, found in by_task.items()
    }
    for role, by_task in snakemake.params.voices.items()
}
if "inner" in voices:  # inner folds hold every case that the fold does not judge
    members = members[members["role"] != "test"].assign(role="inner")
cases, recordings = aggregate(study, system, voices, members, snakemake.params.weighed)
write_text(snakemake.output.cases, cases.to_csv(index=False))
write_text(snakemake.output.recordings, recordings.to_csv(index=False))
