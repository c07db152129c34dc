"""Download the raw releases of the chosen studies; progress goes to the terminal and to the log."""

from pathlib import Path

from auscult.datasets import adapter
from auscult.progress import note
from common import plain_errors

plain_errors()
fetched = []
with Path(snakemake.log[0]).open("w") as log:

    def report(line: str) -> None:
        note(line)
        print(line, file=log, flush=True)

    for key, dataset in snakemake.params.datasets.items():
        module = adapter(dataset["adapter"])
        if not hasattr(module, "fetch"):
            report(f"data set {key}: nothing to download; place the files below {dataset['root']}")
            continue
        report(f"{key}: to {dataset['root']}")
        module.fetch(Path(dataset["root"]), module.Options.model_validate(dataset["options"]), report)
        fetched.append(key)
if not fetched:
    raise SystemExit("nothing was downloaded: see the lines above")
