"""Compare the systems of several studies that have the same test cases."""

from pathlib import Path

from auscult.config.study import Study
from auscult.evaluation import tables
from auscult.evaluation.comparison import comparison, join_studies
from auscult.evaluation.writing import write_table
from auscult.folds.audit import mark
from auscult.provenance import commit
from auscult.result_tables import read_rows
from common import begin, folder_of, read_audits

begin(snakemake)
inputs = snakemake.input
studies = {name: Study.model_validate(study) for name, study in snakemake.params.studies.items()}
predictions, folds = (
    dict(zip(studies, [read_rows(path) for path in paths], strict=True)) for paths in (inputs.predictions, inputs.folds)
)
audits = {name: read_audits([path for path in inputs.audits if Path(path).parent.name == name]) for name in studies}
predictions = join_studies(studies, predictions, folds)
first = next(iter(studies.values()))
marks = {name: mark(study.protocol, audits[name]) for name, study in studies.items()}
leak = "; ".join(f"{name}: {text}" for name, text in marks.items() if text)
origin = f"Studies {', '.join(studies)}, commit {commit()}."
folder = folder_of(snakemake.output.tables)
write_table(tables.leaderboard(first, predictions, leak), folder / "leaderboard", f"{origin} Pooled out-of-fold.")
write_table(
    comparison(first, predictions, leak, folds[next(iter(studies))]),
    folder / "comparison",
    f"{origin} Differences a - b, paired.",
)
