"""Find recordings of a data set that are copies of one another."""

from auscult.config.dataset import Dataset
from auscult.datasets.base import load
from auscult.features.copies import find_copies
from auscult.progress import note
from auscult.provenance import write_text
from common import begin, folder_of

begin(snakemake)
names = load(folder_of(snakemake.input.manifest)).recordings["recording"].tolist()
dataset = Dataset.model_validate(snakemake.params.dataset)
copies = find_copies(folder_of(snakemake.input.audio), names, dataset, snakemake.threads)
note(f"{len(copies)} pairs of copies among {len(names)} recordings")
write_text(snakemake.output.copies, copies.to_csv(index=False))
