"""Count the groups of cases that a study's evaluation names, so that a wrong name is known at the beginning."""

from auscult.datasets.base import load
from auscult.evaluation.groups import count_groups
from auscult.provenance import write_text
from common import begin, folder_of
from folds_job import partial_study

begin(snakemake)
table = count_groups(partial_study(snakemake.params.study), load(folder_of(snakemake.input.manifest)))
write_text(snakemake.output.groups, table.to_csv(index=False))
