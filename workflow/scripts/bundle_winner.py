"""Write a packed winner as an MLflow model, and register it."""

from pathlib import Path

from auscult.evaluation.external import of_winner
from auscult.prediction.bundle import save
from auscult.prediction.card import elsewhere
from auscult.prediction.pack import read
from auscult.provenance import digest, write_json
from auscult.result_tables import read_table
from auscult.tracking import register
from common import begin

begin(snakemake)
p, pack, folder = snakemake.params, Path(snakemake.input.pack), Path(snakemake.output.bundle)
winner = digest(read(pack).winners)[:12]
external = of_winner([read_table(path) for path in snakemake.input.external], winner)
card = (pack / "card.md").read_text(encoding="utf-8") + elsewhere(external)
save(pack, folder, card)
version = register(p.uri, snakemake.wildcards.study, Path(p.artifacts), p.name, folder, card)
write_json(Path(snakemake.output.registered), {"uri": p.uri, "name": p.name, "written": version})
