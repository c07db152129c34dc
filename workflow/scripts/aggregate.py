"""Pool the outputs of a unit's networks on one fold: segments to recordings to cases, heads to classes."""

from auscult.config.systems import Pool, Task
from auscult.config.targets import TargetClasses
from auscult.inference.aggregate import aggregate, scorer_of
from auscult.plan.names import fold_of_set, is_inner_set
from auscult.provenance import write_text
from auscult.result_tables import read_rows
from common import begin, part

begin(snakemake)
reads, name = snakemake.params.reads, snakemake.wildcards.fold
fold = fold_of_set(name)
roles = read_rows(snakemake.input.folds)
roles = roles[(roles["repeat"] == fold.repeat) & (roles["fold"] == fold.fold)]
cases_of_inner = {}
if is_inner_set(name):
    roles = roles[roles["role"] == "test"].assign(role="inner")
    cases_of_inner = roles.groupby("inner")["case"].agg(list).to_dict()
    roles = roles.drop_duplicates("case")
cases, recordings = aggregate(
    part(dict[str, Task], reads["tasks"]),
    part(dict[str, TargetClasses], reads["targets"]),
    part(dict[str, Pool], reads["pools"]),
    {
        role: {task: [scorer_of(*scorer, cases_of_inner) for scorer in scorers] for task, scorers in by_task.items()}
        for role, by_task in reads["scorers"].items()
    },
    roles,
    reads["weigh_by_validation"],
)
write_text(snakemake.output.cases, cases.to_csv(index=False))
write_text(snakemake.output.recordings, recordings.to_csv(index=False))
