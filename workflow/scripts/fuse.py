"""Fit and apply the second stage of one unit and fold."""

from pathlib import Path

from auscult.config.dataset import Dataset
from auscult.config.fusion import Fusion
from auscult.config.systems import FrontEndConfig, Task, heads_of
from auscult.config.targets import TargetClasses
from auscult.datasets.base import load
from auscult.features.frames import folder_name, mean_frames
from auscult.features.tables import read_table
from auscult.folds.units import with_units
from auscult.fusion.fuse import Inputs, fuse
from auscult.provenance import digest, environment, write_text
from common import begin, fold_outputs, folder_of, folders_of, part

begin(snakemake)
reads, models = snakemake.params.reads, Path(snakemake.output.models)
made_by = digest([snakemake.params.code["digest"], environment()])[:8]  # trials of other code are not gone on with
dataset, encoders = part(Dataset, {**reads["dataset"], "root": ""}), part(dict[str, FrontEndConfig], reads["encoders"])
caches = {folder.name: folder for folder in folders_of(snakemake.input.encoders)}
(outputs,) = fold_outputs(snakemake.input).values()
inputs = Inputs(
    *outputs,
    with_units(load(folder_of(snakemake.input.manifest)), reads["group"]),
    {folder.name: read_table(folder.name, folder, dataset) for folder in folders_of(snakemake.input.tables)},
    {task: [Path(folder) for folder in paths] for task, paths in snakemake.params.networks.items()},
    {name: mean_frames(caches[folder_name(each)], dataset, each) for name, each in encoders.items()},
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
for name, table in vars(fused).items():
    write_text(snakemake.output[name], table.to_csv(index=False))
