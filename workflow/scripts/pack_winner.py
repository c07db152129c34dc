"""Gather what a study's winner (or the best variant of one system) needs to decide new cases into a folder."""

import json
from pathlib import Path

from auscult.config.study import Study
from auscult.datasets.base import load
from auscult.evaluation.tables import winner
from auscult.prediction.card import card
from auscult.prediction.pack import FoldResults, Model, pack
from auscult.provenance import commit, write_text
from auscult.result_tables import read_rows, read_table
from common import begin, by_fold, fold_outputs, folder_of, folders_of

begin(snakemake)
p, inputs, folder = snakemake.params, snakemake.input, Path(snakemake.output[0])
study, own = Study.model_validate(p.study), load(folder_of(inputs.manifest))
board, scores = read_table(inputs.board), read_rows(inputs.scores)
winners = json.loads(Path(inputs.winner).read_text(encoding="utf-8"))
if p.system:
    winners = winner(board, scores, p.system)
if not winners:
    raise SystemExit(f"system {p.system}: test cases chose its epochs, so it is no one's winner; take another system")
results, fused = {}, by_fold(inputs.fused)
for (unit, fold), tables in fold_outputs(inputs).items():
    models = [(Model(system, task, Path(path).name), Path(path)) for system, task, path in p.networks[f"{unit}/{fold}"]]
    path = fused.get((unit, fold))
    stages = (read_rows(path), path.parent / "models") if path else (None, None)
    results[unit, fold] = FoldResults(models, *tables, *stages)
others = {place.name: load(place) for place in folders_of(inputs.other_manifests)}
leak = read_rows(inputs.board).query("system == 'chosen'")["leak"].iloc[0]
pack(study, winners, results, own, others, [Path(path) for path in inputs.landmarks], leak, folder)
text = card(snakemake.wildcards.study, study, winners, own, board, read_table(inputs.subgroups), commit())
write_text(folder / "card.md", text)
