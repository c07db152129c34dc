"""Audit the pre-trainings of a study: whether any was trained on a case that judges it."""

from pathlib import Path

from auscult.config.protocols import Leak, Protocol
from auscult.datasets.base import load
from auscult.folds.audit import refuse_leaks
from auscult.folds.inner import as_folds
from auscult.folds.weights import audit_pretrainings
from auscult.plan.names import NetworkName
from auscult.progress import note
from auscult.provenance import write_text
from common import begin, folder_of, part, read_rows

begin(snakemake)
reads = snakemake.params.reads
tables = [read_rows(snakemake.input.folds), *(as_folds(read_rows(path)) for path in [snakemake.input.inner] if path)]
files = [Path(path) for path in snakemake.input.declarations]
declarations = [(path.parts[-3], NetworkName.parse(path.parts[-2]), path) for path in files]
findings = audit_pretrainings(load(folder_of(snakemake.input.manifest)), tables, reads["dataset"], declarations)
note(findings.to_string())
refuse_leaks(part(Protocol, reads["protocol"]), part(Leak, reads["leak"]), findings)
write_text(snakemake.output.audit, findings.to_csv(index=False))
