"""Give every case of a data set a role in every fold of a study's protocol."""

from pathlib import Path

from auscult.config.protocols import Protocol
from auscult.config.systems import Task
from auscult.config.targets import TargetClasses
from auscult.datasets.base import load
from auscult.folds.labels import check_labelled_recordings, check_recording_labels, check_single_labels
from auscult.folds.protocols import assign
from auscult.provenance import write_text
from common import begin, folder_of, part

begin(snakemake)
reads = snakemake.params.reads
tasks, targets = part(dict[str, Task], reads["tasks"]), part(dict[str, TargetClasses], reads["targets"])
manifest = load(folder_of(snakemake.input.manifest))
check_recording_labels(tasks, manifest.recordings)
check_single_labels(targets, tasks, manifest.cases, manifest.recordings)
folds = assign(part(Protocol, reads["protocol"]), targets, tasks, manifest.cases, Path(snakemake.params.lists))
check_labelled_recordings(tasks, manifest.recordings, folds)
write_text(snakemake.output.folds, folds.to_csv(index=False))
