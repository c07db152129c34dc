"""Pool the outputs of a system's networks on one fold: segments to recordings to cases, heads to classes."""

from pathlib import Path

from auscult.config.study import Study
from auscult.inference.aggregate import Voice, aggregate
from auscult.provenance import write_text
from common import begin, fold_of, inner_of, read_rows

begin(snakemake)
study = Study.model_validate(snakemake.params.study)
system = study.systems[snakemake.wildcards.system]
repeat, fold = fold_of(snakemake.wildcards.fold)
members = read_rows(snakemake.input.folds)
members = members[(members["repeat"] == repeat) & (members["fold"] == fold)]
held = {}
if "inner" in snakemake.params.voices:
    members = members[members["role"] == "test"].assign(role="inner")
    held = members.groupby("inner")["case"].agg(list).to_dict()
    members = members.drop_duplicates("case")


def voice(group: str, folders: list[str]) -> Voice:
    """The networks in some folders, with the cases that each of them held if they are of inner folds."""
    names = [inner_of(Path(folder).name) for folder in folders]
    return Voice(group, [Path(folder) for folder in folders], [held[name] for name in names] if held else None)


voices = {
    role: {task: [voice(*one) for one in found] for task, found in by_task.items()}
    for role, by_task in snakemake.params.voices.items()
}
cases, recordings = aggregate(study, system, voices, members, snakemake.params.weighed)
write_text(snakemake.output.cases, cases.to_csv(index=False))
write_text(snakemake.output.recordings, recordings.to_csv(index=False))
