"""Judge a packed winner on labelled recordings that it was not trained on: a table with intervals, and predictions."""

import tempfile
from pathlib import Path

from auscult.config.dataset import OtherLabel
from auscult.evaluation.writing import write_table
from auscult.prediction.pack import read
from auscult.prediction.validate import validate
from auscult.progress import note
from auscult.provenance import commit, digest, write_text
from common import begin, folder_of, part
from network_job import resources_of

begin(snakemake)
p, output = snakemake.params, snakemake.output
packed, labels = read(Path(snakemake.input.pack)), part(dict[str, OtherLabel], p.labels)
with tempfile.TemporaryDirectory(dir=folder_of(output.table)) as work:
    table, rows, new = validate(packed, Path(p.root), p.form, labels, Path(work), resources_of(snakemake))
table = table.assign(winner=digest(packed.winners)[:12])
write_text(output.predictions, rows.to_csv(index=False))
write_text(output.quality, new.quality.to_csv(index=False))
origin = f"The winner of {snakemake.wildcards.study} on {p.root}, commit {commit()}, data set {new.digest()[:12]}"
caption = f"{origin}; 95 % intervals over subjects."
write_table(table, folder_of(output.table) / "external", caption)
note(table[["target", "group", "n", "known", "unlabelled"]].to_string(index=False))
