"""Divide every fold's own cases into inner folds."""

from auscult.datasets.base import load
from auscult.folds.inner import assign_inner
from auscult.provenance import write_text
from common import begin, folder_of, read_rows
from folds_job import partial_study

begin(snakemake)
study = partial_study(snakemake.params.study)
inner = assign_inner(study, load(folder_of(snakemake.input.manifest)).cases, read_rows(snakemake.input.folds))
write_text(snakemake.output.inner, inner.to_csv(index=False))
