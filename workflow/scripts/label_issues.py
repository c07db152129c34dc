"""List the labels of a study that are probably wrong, from out-of-fold probabilities."""

from pathlib import Path

from auscult.config.study import Study
from auscult.datasets.base import load
from auscult.evaluation.label_issues import label_issues
from auscult.evaluation.writing import write_table
from auscult.folds.audit import mark
from auscult.provenance import commit
from auscult.result_tables import read_rows
from common import begin, by_system, folder_of, read_audits

begin(snakemake)
study, inputs = Study.model_validate(snakemake.params.study), snakemake.input
manifest = load(folder_of(inputs.manifest))
issues = label_issues(study, read_rows(inputs.predictions), manifest, by_system(inputs.recordings))
issues["leak"] = mark(study.protocol, read_audits(inputs.audit))
origin = f"Study {snakemake.wildcards.study}, commit {commit()}, data set {manifest.digest()[:12]}."
caption = f"{origin} Labels that are probably wrong; none was changed."
write_table(issues, Path(snakemake.output[0]).with_suffix(""), caption)
