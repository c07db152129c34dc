"""Audit the pre-trainings of a study: whether any was trained on a case that judges it."""

from pathlib import Path

from auscult.config.protocols import Leak, Protocol
from auscult.datasets.base import load
from auscult.folds.audit import as_folds, refuse_leaks
from auscult.folds.weights import audit_pretrainings
from auscult.plan.names import NetworkName
from auscult.plan.paths import ALL_FOLDS
from auscult.progress import note
from auscult.provenance import write_text
from auscult.result_tables import read_rows
from common import begin, folder_of, part

begin(snakemake)
reads, inputs = snakemake.params.reads, snakemake.input
manifest = load(folder_of(inputs.manifest))
tables = [read_rows(inputs.folds), *(as_folds(read_rows(path)) for path in [inputs.inner] if path)]
files = [Path(path) for path in inputs.declarations]
names = [None if path.parts[-2] == ALL_FOLDS else NetworkName.parse(path.parts[-2]) for path in files]
declarations = [(path.parts[-3], name, path) for path, name in zip(files, names, strict=True)]
findings = audit_pretrainings(manifest, tables, reads["dataset"], declarations)
note(findings.to_string())
refuse_leaks(part(Protocol, reads["protocol"]), part(Leak, reads["leak"]), findings)
write_text(snakemake.output.audit, findings.to_csv(index=False))
