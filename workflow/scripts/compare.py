"""Make the tables of a study from its predictions."""

from pathlib import Path

import pandas as pd

from auscult.config.study import Study
from auscult.datasets.base import load
from auscult.evaluation import tables
from auscult.evaluation.selective import uncertainty_table
from auscult.folds.audit import mark
from auscult.provenance import commit, write_json
from auscult.training.job import read_trainings
from common import begin, folder_of, read_rows

begin(snakemake)
study, name = Study.model_validate(snakemake.params.study), snakemake.wildcards.study
predictions = read_rows(snakemake.input.predictions)
scores = pd.read_csv(snakemake.input.scores)
leak = mark(study, pd.read_csv(snakemake.input.audit))
trainings = read_trainings([Path(path).parent for path in snakemake.input.models])
board = tables.with_sizes(tables.leaderboard(study, predictions, leak), trainings)
digest = load(folder_of(snakemake.input.manifest)).digest()
origin = f"Study {name}, commit {commit()}, data set {digest[:12]}."
folder = Path(snakemake.params.folder)
tables.write_table(board, folder / "leaderboard", f"{origin} Pooled out-of-fold; 95 % intervals over subjects.")
tables.write_table(tables.cross_validation(study, predictions, leak), folder / "cross_validation", origin)
tables.write_table(tables.floors(study, predictions), folder / "floors", f"{origin} Always the same class.")
uncertainty = uncertainty_table(study, predictions, leak)
tables.write_table(uncertainty, folder / "uncertainty", f"{origin} AURC: lower is better.")
write_json(snakemake.output.winner, tables.winner(board, scores))
tables.write_challenge(study, predictions, Path(snakemake.output.challenge))
