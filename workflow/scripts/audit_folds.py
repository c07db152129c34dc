"""Audit the folds: count what their roles share, and stop a study with a leak that it does not declare."""

from functools import partial
from pathlib import Path

import pandas as pd

from auscult.config.protocols import Leak, Protocol
from auscult.config.targets import TargetClasses
from auscult.datasets.base import load
from auscult.features.copies import copies_in, load_index, scale_of
from auscult.folds.audit import as_folds, audit, refuse_leaks
from auscult.folds.other_datasets import OtherDataset, audit_others
from auscult.folds.weights import audit_weights
from auscult.progress import note
from auscult.provenance import write_text
from auscult.result_tables import read_rows
from common import begin, folder_of, folders_of, part

begin(snakemake)
reads, inputs = snakemake.params.reads, snakemake.input
protocol, targets = part(Protocol, reads["protocol"]), part(dict[str, TargetClasses], reads["targets"])
folds, manifest = read_rows(inputs.folds), load(folder_of(inputs.manifest))
tables = [folds, *(as_folds(read_rows(path)) for path in [inputs.inner] if path)]
own, names = load_index(Path(inputs.landmarks)), manifest.recordings["recording"].tolist()
find_copies_in = partial(copies_in, own=own, recordings=names, scale=scale_of(reads["rate_hz"]))
copies_of = {
    path.removesuffix(".landmarks.npz"): find_copies_in(load_index(path)) for path in inputs.landmarks_of_weights
}
others = [
    OtherDataset(at.name, load(at), at.name in reads["same_ids"], find_copies_in(load_index(at / "landmarks.npz")))
    for at in folders_of(inputs.landmarks_of_others)
]
pairs = read_rows(inputs.copies)
findings = [audit(protocol, targets, manifest, table, pairs) for table in tables]
findings.append(audit_weights(manifest, folds, reads["dataset"], reads["weights"], copies_of, reads["adapter"]))
findings = pd.concat([*findings, audit_others(manifest, tables, others)])
note(findings.to_string())
refuse_leaks(protocol, part(Leak, reads["leak"]), findings)
write_text(snakemake.output.audit, findings.to_csv(index=False))
