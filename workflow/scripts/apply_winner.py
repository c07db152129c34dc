"""Apply a study's winner to new recordings: tables, Challenge files and a small page."""

import json
import tempfile
import time
from pathlib import Path

from auscult.config.study import Study
from auscult.datasets.base import load
from auscult.evaluation.tables import write_challenge
from auscult.prediction.job import apply_winner
from auscult.prediction.page import render
from auscult.progress import note
from auscult.provenance import commit, write_text
from common import begin, folder_of
from prediction_job import folds_made

begin(snakemake)
p, inputs, output, started = snakemake.params, snakemake.input, snakemake.output, time.monotonic()
study = Study.model_validate(p.study)
winners = json.loads(Path(inputs.winner).read_text(encoding="utf-8"))
dataset = study.dataset.model_copy(update={"root": p.root, "shards": 1})
form, own = p.form or dataset.adapter, load(folder_of(inputs.manifest))
with tempfile.TemporaryDirectory(dir=Path(output.table).parent) as work:
    table, new = apply_winner(study, winners, folds_made(snakemake), dataset, form, own, Path(work), snakemake.threads)
seconds = time.monotonic() - started
write_text(output.table, table.to_csv(index=False))
write_text(output.quality, new.quality.to_csv(index=False))
write_text(output.page, render(snakemake.wildcards.study, p.root, winners, table, new, seconds, commit()))
write_challenge(study, table.assign(system="chosen", repeat=0), Path(output.challenge))
note(f"{len(new.recordings)} recordings of {len(new.cases)} cases: {seconds / max(1, len(new.cases)):.2f} s a case")
