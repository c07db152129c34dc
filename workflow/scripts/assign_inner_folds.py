"""Divide every fold's training and validation cases into inner folds."""

from auscult.config.protocols import InnerFolds, Protocol
from auscult.config.systems import Task
from auscult.config.targets import TargetClasses
from auscult.datasets.base import load
from auscult.folds.inner import assign_inner
from auscult.folds.labels import check_labelled_recordings
from auscult.provenance import write_text
from auscult.result_tables import read_rows
from common import begin, folder_of, part

begin(snakemake)
reads = snakemake.params.reads
manifest, tasks = load(folder_of(snakemake.input.manifest)), part(dict[str, Task], reads["tasks"])
inner = assign_inner(
    part(InnerFolds, reads["inner_folds"]),
    part(Protocol, reads["protocol"]),
    part(dict[str, TargetClasses], reads["targets"]),
    tasks,
    manifest.cases,
    read_rows(snakemake.input.folds),
)
check_labelled_recordings(tasks, manifest.recordings, inner)
write_text(snakemake.output.inner, inner.to_csv(index=False))
