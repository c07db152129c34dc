"""Log parameters, scores, tables, figures and report of a study to MLflow."""

from pathlib import Path

from auscult.provenance import write_json
from auscult.result_tables import read_table
from auscult.tracking import complete
from common import begin

begin(snakemake)
p, inputs = snakemake.params, snakemake.input
folders = [Path(path).parent for path in inputs.histories]
models = {(folder.parts[-3], " ".join(folder.parts[-2:])): folder for folder in folders}
counts = complete(
    p.uri,
    snakemake.wildcards.study,
    Path(p.artifacts),
    p.systems,
    models,
    read_table(inputs.tables),
    [Path(inputs.tables).parent, Path(inputs.figures).parent],
    [Path(inputs.report)],
)
write_json(Path(snakemake.output.tracked), {"uri": p.uri, "written": counts})
