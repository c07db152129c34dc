"""Count what the roles of each fold share, and stop a study that leaks without saying why."""

import pandas as pd

from auscult.datasets.base import load
from auscult.folds.audit import audit, gate
from auscult.folds.inner import as_folds
from auscult.folds.weights import audit_weights
from auscult.progress import note
from auscult.provenance import write_text
from common import begin, folder_of, read_rows
from folds_job import partial_study

begin(snakemake)
study = partial_study(snakemake.params.study)
folds = read_rows(snakemake.input.folds)
manifest = load(folder_of(snakemake.input.manifest))
heard = audit_weights(manifest, folds, snakemake.params.dataset, snakemake.params.started_from)
tables = [folds, *(as_folds(read_rows(path)) for path in [snakemake.input.inner] if path)]
findings = pd.concat([*(audit(study, manifest, table) for table in tables), heard])
note(findings.to_string())
gate(study, findings)
write_text(snakemake.output.audit, findings.to_csv(index=False))
