"""Give every case of a data set a role in every fold of a study's protocol."""

from pathlib import Path

from auscult.datasets.base import load
from auscult.folds.protocols import assign, check_recording_labels
from auscult.provenance import write_text
from common import begin, folder_of
from folds_job import partial_study

begin(snakemake)
study = partial_study(snakemake.params.study)
manifest = load(folder_of(snakemake.input.manifest))
check_recording_labels(study, manifest.recordings)
folds = assign(study, manifest.cases, Path(snakemake.params.lists))
write_text(snakemake.output.folds, folds.to_csv(index=False))
