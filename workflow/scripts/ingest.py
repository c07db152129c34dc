"""Read a raw release into the manifest that all later rules read."""

from pathlib import Path

from auscult.config.dataset import Dataset
from auscult.datasets import adapter
from auscult.datasets.build import build
from auscult.progress import note
from common import begin

begin(snakemake)
dataset = Dataset.model_validate(snakemake.params.dataset)
module, root = adapter(dataset.adapter), Path(dataset.root)
listing = module.ingest(root, module.Options.model_validate(dataset.options))
checks = dataset.sample_format, dataset.distinct_ids
manifest = build(listing, root, dataset.channels, dataset.short_s, snakemake.threads, *checks)
for row in manifest.quality.itertuples():
    note(f"{row.recording}: {row.problem} ({row.action}): {row.detail}")
manifest.write(Path(snakemake.output.cases).parent)
note(f"{len(manifest.cases)} cases, {len(manifest.recordings)} recordings")
