"""Draw the figures of a study."""

import hashlib
from pathlib import Path

import pandas as pd

from auscult.config.study import Study
from auscult.evaluation.figures import draw_all
from auscult.provenance import write_text
from common import begin, read_histories, read_rows

begin(snakemake)
folder = Path(snakemake.output.figures).parent
folder.mkdir(parents=True, exist_ok=True)
drawn = draw_all(
    Study.model_validate(snakemake.params.study),
    read_rows(snakemake.input.predictions),
    pd.read_csv(snakemake.input.tables),
    read_histories(snakemake.input.histories),
    folder,
)
# the digests make a changed picture a changed table, which is what later rules depend on
drawn["sha256"] = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in drawn["file"]]
write_text(snakemake.output.figures, drawn.to_csv(index=False))
