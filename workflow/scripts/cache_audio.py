"""Write the audio shards of a data set."""

from auscult.cache.audio import cache_audio
from auscult.config.dataset import Dataset
from auscult.datasets.base import load
from auscult.progress import note
from common import begin, folder_of

begin(snakemake)
recordings = load(folder_of(snakemake.input.manifest)).recordings
dataset = Dataset.model_validate(snakemake.params.dataset)
code = snakemake.params.code["digest"]
note(cache_audio(folder_of(snakemake.output), recordings, dataset, code, snakemake.threads))
