"""Compute a table of numbers about every recording, as HDF5 shards."""

from auscult.config.dataset import Dataset
from auscult.datasets.base import load
from auscult.features.tables import describe
from auscult.progress import note
from common import begin, folder_of

begin(snakemake)
recordings = load(folder_of(snakemake.input.manifest)).recordings
dataset = Dataset.model_validate(snakemake.params.dataset)
code = snakemake.params.code["digest"]
audio = folder_of(snakemake.input.audio)
table, folder = snakemake.wildcards.table, folder_of(snakemake.output)
note(describe(table, folder, audio, recordings, dataset, code, snakemake.threads))
