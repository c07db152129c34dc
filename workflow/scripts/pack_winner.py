"""Gather what a study's winner (or the best variant of one system) needs to decide new cases into a folder."""

import json
from pathlib import Path

import pandas as pd

from auscult.config.study import Study
from auscult.datasets.base import load
from auscult.evaluation.tables import winner
from auscult.prediction.card import card
from auscult.prediction.pack import pack
from auscult.provenance import commit, write_text
from common import begin, folder_of, read_rows
from prediction_job import folds_made

begin(snakemake)
p, inputs, folder = snakemake.params, snakemake.input, Path(snakemake.output[0])
study, own = Study.model_validate(p.study), load(folder_of(inputs.manifest))
board, scores = pd.read_csv(inputs.board), read_rows(inputs.scores)
winners = json.loads(Path(inputs.winner).read_text(encoding="utf-8"))
if p.system:
    winners = winner(board, scores[scores["system"] == p.system])
if not winners:
    raise SystemExit(f"system {p.system}: judged cases chose its epochs, so it is no one's winner; take another system")
pack(study, winners, folds_made(snakemake), own, folder)
words = card(snakemake.wildcards.study, study, winners, own, board, pd.read_csv(inputs.subgroups), commit())
write_text(folder / "card.md", words)
