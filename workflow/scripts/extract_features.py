"""Write the shards of one front end."""

from auscult.config.dataset import Dataset
from auscult.config.systems import FrontEndConfig
from auscult.datasets.base import load
from auscult.features.frames import extract
from auscult.progress import note
from common import begin, folder_of

begin(snakemake)
recordings = load(folder_of(snakemake.input.manifest)).recordings
dataset = Dataset.model_validate(snakemake.params.dataset)
front_end = FrontEndConfig.model_validate(snakemake.params.front_end)
code = snakemake.params.code["digest"]
audio = folder_of(snakemake.input.audio)
note(extract(folder_of(snakemake.output), audio, recordings, dataset, front_end, code, snakemake.threads))
