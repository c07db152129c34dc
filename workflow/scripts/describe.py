"""Write the shards of the 44 statistics."""

from auscult.config.dataset import Dataset
from auscult.datasets.base import load
from auscult.features.tables import describe
from auscult.progress import note
from auscult.provenance import code_digest
from common import begin, folder_of

begin(snakemake)
recordings = load(folder_of(snakemake.input.manifest)).recordings
dataset = Dataset.model_validate(snakemake.params.dataset)
code = code_digest(snakemake.input.code)
audio = folder_of(snakemake.input.audio)
note(describe(folder_of(snakemake.output), audio, recordings, dataset, code, snakemake.threads))
