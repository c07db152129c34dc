"""Functions that the scripts of network jobs share: the job and its frames, from a rule's parameters."""

from pathlib import Path

from auscult.config.dataset import Dataset
from auscult.config.systems import FrontEndConfig, System, Task
from auscult.features.frames import frames_config
from auscult.plan.names import NetworkName
from auscult.training.job import FrameCache, Job
from common import folder_of


def job_of(snakemake) -> Job:
    """The network that a job trains or scores with."""
    reads = snakemake.params.reads
    system, task = System.model_validate(reads["system"]), Task.model_validate(reads["task"])
    return job_in(folder_of(snakemake.output), system, task)


def job_in(folder: Path, system: System, task: Task) -> Job:
    """The network of a model folder."""
    return Job(folder, system, task, NetworkName.parse(folder.name))


def frame_cache_of(snakemake) -> FrameCache:
    """The cached frames of a job."""
    reads = snakemake.params.reads
    dataset = Dataset.model_validate({**reads["dataset"], "root": ""})
    config = frames_config(dataset, FrontEndConfig.model_validate(reads["system"]["front_end"]))
    return FrameCache(folder_of(snakemake.input.frames), config)
