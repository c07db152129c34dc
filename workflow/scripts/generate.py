"""Generate the raw files of a simulated data set."""

from pathlib import Path

from auscult.config.dataset import Dataset
from auscult.datasets import adapter
from auscult.progress import note
from auscult.provenance import write_json
from common import begin

begin(snakemake)
dataset = Dataset.model_validate(snakemake.params.dataset)
module = adapter(dataset.adapter)
module.fetch(Path(dataset.root), module.Options.model_validate(dataset.options), note)
write_json(Path(snakemake.output[0]), dataset.options)
