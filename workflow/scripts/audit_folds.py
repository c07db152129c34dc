"""Count what the roles of each fold share, and stop a study that leaks without saying why."""

from auscult.datasets.base import load
from auscult.folds.audit import audit, gate
from auscult.progress import note
from auscult.provenance import write_text
from common import begin, folder_of, read_rows
from folds_job import partial_study

begin(snakemake)
study = partial_study(snakemake.params.study)
folds = read_rows(snakemake.input.folds)
findings = audit(study, load(folder_of(snakemake.input.manifest)), folds)
note(findings.to_string())
gate(study, findings)
write_text(snakemake.output.audit, findings.to_csv(index=False))
