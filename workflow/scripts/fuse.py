"""Fit and apply the second stage of one unit and fold."""

from pathlib import Path

from auscult.config.dataset import Dataset
from auscult.config.fusion import Fusion
from auscult.config.systems import Task, heads_of
from auscult.config.targets import TargetClasses
from auscult.datasets.base import load
from auscult.features.tables import read_table
from auscult.fusion.fuse import Inputs, fuse
from auscult.provenance import code_digest, digest, environment, write_text
from common import begin, fold_outputs, folder_of, part

begin(snakemake)
reads, models = snakemake.params.reads, Path(snakemake.output.models)
made_by = digest([code_digest(snakemake.input.code), environment()])[:8]  # trials of other code are not gone on with
dataset = Dataset.model_validate({**reads["dataset"], "root": ""})
folders = {Path(path).parent.name: Path(path).parent for path in snakemake.input.tables}
((cases, recordings),) = fold_outputs(snakemake.input).values()
inputs = Inputs(
    cases,
    recordings,
    load(folder_of(snakemake.input.manifest)),
    {table: read_table(table, folder, dataset) for table, folder in folders.items()},
    {task: [Path(folder) for folder in paths] for task, paths in snakemake.params.networks.items()},
)
fused = fuse(
    part(Fusion, reads["fusion"]),
    heads_of(part(dict[str, Task], reads["tasks"])),
    part(dict[str, TargetClasses], reads["targets"]),
    inputs,
    models,
    models.with_name(f"tuning-{made_by}.log"),
    snakemake.threads,
)
write_text(snakemake.output.probabilities, fused.probabilities.to_csv(index=False))
write_text(snakemake.output.importances, fused.importances.to_csv(index=False))
write_text(snakemake.output.trials, fused.trials.to_csv(index=False))
