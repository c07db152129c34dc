"""Fetch the raw releases of the chosen studies."""

from pathlib import Path

from auscult.datasets import adapter
from auscult.progress import note

for key, dataset in snakemake.params.datasets.items():
    module = adapter(dataset["adapter"])
    if not hasattr(module, "fetch"):
        raise SystemExit(f"data set {key}: the adapter {dataset['adapter']} has nothing to download; place the files")
    note(f"{key}: to {dataset['root']}")
    module.fetch(Path(dataset["root"]), module.Options.model_validate(dataset["options"]), note)
