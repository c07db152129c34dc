"""Create MLflow's store and the experiment of a study, before jobs write to it at once."""

from pathlib import Path

from auscult.provenance import write_json
from auscult.tracking import initialise
from common import begin

begin(snakemake)
p = snakemake.params
ready = initialise(p.uri, snakemake.wildcards.study, Path(p.artifacts))
write_json(Path(snakemake.output.tracking), {"uri": p.uri, "written": ready})
