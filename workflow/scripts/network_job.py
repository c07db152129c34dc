"""Functions that the scripts of network jobs share: the job and its frames, from a rule's parameters."""

from collections.abc import Callable
from pathlib import Path

from auscult.config.dataset import Dataset, ExtraTraining
from auscult.config.study import Study
from auscult.config.systems import FrontEndConfig, System, Task
from auscult.datasets.base import load
from auscult.features.frames import frames_config
from auscult.plan.names import NetworkName
from auscult.training.extra_cases import ExtraCases, extra_cases
from auscult.training.job import FrameCache, Job, Resources
from auscult.training.teacher import TeacherNetwork
from common import folder_of, folders_of


def job_of(snakemake) -> Job:
    """The network that a job trains or scores with."""
    reads = snakemake.params.reads
    system, task = System.model_validate(reads["system"]), Task.model_validate(reads["task"])
    weights = [Path(path) for path in snakemake.input.get("weights", [])]
    return job_in(folder_of(snakemake.output), system, task, *weights)


def job_in(folder: Path, system: System, task: Task, weights: Path | None = None) -> Job:
    """The network of a model folder. weights: what its training starts from."""
    return Job(folder, system, task, NetworkName.parse(folder.name), weights)


def resources_of(snakemake) -> Resources:
    """What a job computes on."""
    return Resources(Path(snakemake.params.locks), snakemake.threads, snakemake.resources.networks_per_gpu)


def jobs_in(files: list[str], study: Study, system: str) -> Callable[[str, int, int], Job]:
    """A function of (task, repeat, fold) that returns the network of a system among some files of model folders."""
    folders = {Path(path).parent: None for path in files}
    jobs = [job_in(folder, study.systems[system], study.tasks[folder.parts[-2]]) for folder in folders]
    by_name = {(job.folder.parts[-2], job.name.repeat, job.name.fold): job for job in jobs}
    return lambda *key: by_name[key]


def teacher_of(snakemake) -> TeacherNetwork | None:
    """The network that a job's network learns from, None without one."""
    inputs, reads = snakemake.input, snakemake.params.reads
    if not inputs.teacher:
        return None
    system, dataset = System.model_validate(reads["teacher"]), Dataset.model_validate({**reads["dataset"], "root": ""})
    job = job_in(folder_of(inputs.teacher), system, Task.model_validate(reads["task"]))
    return TeacherNetwork(job, FrameCache(folder_of(inputs.teacher_frames), frames_config(dataset, system.front_end)))


def extras_of(snakemake) -> list[ExtraCases]:
    """The cases of other data sets that a job's network is trained on as well."""
    inputs, reads = snakemake.input, snakemake.params.reads
    system, task = System.model_validate(reads["system"]), Task.model_validate(reads["task"])
    manifests = {folder.name: folder for folder in folders_of(inputs.extra_manifests)}
    frames = {folder.parent.name: folder for folder in folders_of(inputs.extra_frames)}
    extras = []
    for values in reads["extras"]:
        extra = ExtraTraining.model_validate({**values, "dataset": {**values["dataset"], "root": ""}})
        name, config = extra.dataset.name, frames_config(extra.dataset, system.front_end)
        extras.append(extra_cases(extra, load(manifests[name]), FrameCache(frames[name], config), task.heads))
    return extras


def frame_cache_of(snakemake) -> FrameCache:
    """The cached frames of a job."""
    reads = snakemake.params.reads
    dataset = Dataset.model_validate({**reads["dataset"], "root": ""})
    config = frames_config(dataset, FrontEndConfig.model_validate(reads["system"]["front_end"]))
    return FrameCache(folder_of(snakemake.input.frames), config)
