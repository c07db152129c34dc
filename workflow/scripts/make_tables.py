"""Make the tables of a study from its predictions."""

from pathlib import Path

from auscult.config.study import Study
from auscult.datasets.base import load
from auscult.evaluation import tables
from auscult.evaluation.challenge import write_challenge
from auscult.evaluation.comparison import comparison
from auscult.evaluation.selective import uncertainty_table
from auscult.evaluation.subgroups import subgroups
from auscult.evaluation.writing import write_table
from auscult.folds.audit import mark
from auscult.provenance import commit, write_json
from auscult.result_tables import read_rows, read_table
from auscult.training.model_folder import read_trainings
from common import begin, folder_of, read_audits

begin(snakemake)
study, name = Study.model_validate(snakemake.params.study), snakemake.wildcards.study
predictions, folds = read_rows(snakemake.input.predictions), read_rows(snakemake.input.folds)
leak = mark(study.protocol, read_audits(snakemake.input.audit))
trainings = read_trainings([Path(path).parent for path in snakemake.input.models])
bag = study.inner_folds is not None and study.inner_folds.bag
board = tables.with_sizes(tables.leaderboard(study, predictions, leak), trainings, snakemake.params.ensembles, bag)
manifest = load(folder_of(snakemake.input.manifest))
origin = f"Study {name}, commit {commit()}, data set {manifest.digest()[:12]}."
differences = comparison(study, predictions, leak, folds)
captions = {
    "leaderboard": (board, "Pooled out-of-fold; 95 % intervals over subjects."),
    "cross_validation": (tables.cross_validation(study, predictions, leak), ""),
    "floors": (tables.floors(study, predictions), "Always the same class."),
    "uncertainty": (uncertainty_table(study, predictions, leak), "AURC: lower is better."),
    "comparison": (differences, "Differences a - b, paired; 95 % intervals over subjects."),
    "subgroups": (subgroups(study, manifest, predictions, leak), "The row chosen; 95 % intervals over subjects."),
}
for table, (values, caption) in captions.items():
    write_table(values, folder_of(snakemake.output.tables) / table, f"{origin} {caption}".strip())
write_json(snakemake.output.winner, tables.winner(board, read_table(snakemake.input.scores)))
write_challenge(study, predictions, Path(snakemake.output.challenge))
