"""Audit the folds: count what their roles share, and stop a study with a leak that it does not declare."""

from pathlib import Path

import pandas as pd

from auscult.config.protocols import Leak, Protocol
from auscult.config.targets import TargetClasses
from auscult.datasets.base import load
from auscult.features.copies import copies_in, load_index, scale_of
from auscult.folds.audit import audit, refuse_leaks
from auscult.folds.inner import as_folds
from auscult.folds.weights import audit_weights
from auscult.progress import note
from auscult.provenance import write_text
from common import begin, folder_of, part, read_rows

begin(snakemake)
reads = snakemake.params.reads
protocol, targets = part(Protocol, reads["protocol"]), part(dict[str, TargetClasses], reads["targets"])
folds = read_rows(snakemake.input.folds)
manifest = load(folder_of(snakemake.input.manifest))
tables = [folds, *(as_folds(read_rows(path)) for path in [snakemake.input.inner] if path)]
own, names = load_index(Path(snakemake.input.landmarks)), manifest.recordings["recording"].tolist()
of_weights = [Path(path) for path in snakemake.input.landmarks_of_weights]
scale = scale_of(reads["rate_hz"])
copies_of = {
    str(path).removesuffix(".landmarks.npz"): copies_in(load_index(path), own, names, scale) for path in of_weights
}
weight_findings = audit_weights(manifest, folds, reads["dataset"], reads["weights"], copies_of)
copies = read_rows(snakemake.input.copies)
findings = pd.concat([*(audit(protocol, targets, manifest, table, copies) for table in tables), weight_findings])
note(findings.to_string())
refuse_leaks(protocol, part(Leak, reads["leak"]), findings)
write_text(snakemake.output.audit, findings.to_csv(index=False))
