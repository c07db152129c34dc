"""Write a packed winner as an MLflow model, and register it."""

from pathlib import Path

from auscult.prediction.bundle import save
from auscult.provenance import write_json
from auscult.tracking import register
from common import begin

begin(snakemake)
p, pack, folder = snakemake.params, Path(snakemake.input.pack), Path(snakemake.output.bundle)
save(pack, folder)
card = (pack / "card.md").read_text(encoding="utf-8")
version = register(p.uri, snakemake.wildcards.study, Path(p.artifacts), p.name, folder, card)
write_json(Path(snakemake.output.registered), {"uri": p.uri, "name": p.name, "written": version})
