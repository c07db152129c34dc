"""What the scripts that run a network share: the job and its frames, from a rule's parameters."""

from pathlib import Path

from auscult.config.dataset import Dataset
from auscult.config.systems import FrontEnd, System, Task
from auscult.features.frames import frames_config
from auscult.plan.names import NetworkName
from auscult.training.job import FrameCache, Job
from common import folder_of


def job_of(snakemake) -> Job:
    """The network that a job trains or scores with."""
    name, reads = NetworkName.parse(snakemake.wildcards.network), snakemake.params.reads
    return Job(
        folder=folder_of(snakemake.output),
        system=System.model_validate(reads["system"]),
        task=Task.model_validate(reads["task"]),
        repeat=name.repeat,
        fold=name.fold,
        index=name.seed or 0,
        inner=name.inner,
    )


def job_in(folder: Path, system: System, task: Task) -> Job:
    """The network of a model folder."""
    name = NetworkName.parse(folder.name)
    return Job(folder, system, task, name.repeat, name.fold, name.seed or 0, name.inner)


def frame_cache_of(snakemake) -> FrameCache:
    """The cached frames of a job."""
    part = snakemake.params.reads
    dataset = Dataset.model_validate({**part["dataset"], "root": ""})
    config = frames_config(dataset, FrontEnd.model_validate(part["system"]["front_end"]))
    return FrameCache(folder_of(snakemake.input.frames), config)
