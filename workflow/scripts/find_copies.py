"""Find recordings of a data set that are copies of one another."""

from pathlib import Path

from auscult.config.dataset import Dataset
from auscult.datasets.base import load
from auscult.features.copies import all_landmarks, find_copies, index_of, save_index
from auscult.progress import note
from auscult.provenance import write_text
from common import begin, folder_of

begin(snakemake)
names = load(folder_of(snakemake.input.manifest)).recordings["recording"].tolist()
dataset, audio = Dataset.model_validate(snakemake.params.dataset), folder_of(snakemake.input.audio)
marks = all_landmarks(audio, names, dataset, snakemake.threads)
copies = find_copies(audio, names, dataset, marks)
note(f"{len(copies)} pairs of copies among {len(names)} recordings")
write_text(snakemake.output.copies, copies.to_csv(index=False))
save_index(index_of(marks), Path(snakemake.output.landmarks))
