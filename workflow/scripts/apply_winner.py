"""Apply a packed winner to new recordings: tables, Challenge files and a small page."""

import tempfile
import time
from pathlib import Path

from auscult.evaluation.challenge import write_challenge
from auscult.prediction.pack import read
from auscult.prediction.page import render
from auscult.prediction.predict import apply_winner
from auscult.progress import note
from auscult.provenance import commit, write_text
from common import begin
from network_job import resources_of

begin(snakemake)
p, output, start = snakemake.params, snakemake.output, time.monotonic()
packed = read(Path(snakemake.input.pack))
with tempfile.TemporaryDirectory(dir=Path(output.table).parent) as work:
    table, new, _ = apply_winner(packed, Path(p.root), p.form, Path(work), resources_of(snakemake))
seconds = time.monotonic() - start
write_text(output.table, table.to_csv(index=False))
write_text(output.quality, new.quality.to_csv(index=False))
write_text(output.page, render(snakemake.wildcards.study, p.root, packed.winners, table, new, seconds, commit()))
write_challenge(packed.study, table.assign(system="chosen", repeat=0), Path(output.challenge))
note(f"{len(new.recordings)} recordings of {len(new.cases)} cases: {seconds / max(1, len(new.cases)):.2f} s a case")
