"""What the scripts that run a network share: the job and its frames, from a rule's parameters."""

import re
from pathlib import Path

from auscult.config.dataset import Dataset
from auscult.config.systems import FrontEnd, System, Task
from auscult.features.frames import frames_config
from auscult.training.spec import FrameCache, Job
from common import fold_of, inner_of


def job_of(snakemake) -> Job:
    """The network that a job trains or scores with."""
    words, part = snakemake.wildcards, snakemake.params.slice
    repeat, fold = fold_of(words.network)
    return Job(
        folder=Path("results", words.study, "networks", words.system, words.task, words.network),
        system=System.model_validate(part["system"]),
        task=Task.model_validate(part["task"]),
        repeat=repeat,
        fold=fold,
        index=member_of(words.network),
        inner=inner_of(words.network),
    )


def member_of(network: str) -> int:
    """Number of a network in its ensemble by its name, such as r0f3s1; 0 for a single one."""
    found = re.search(r"s(\d+)$", network)
    return int(found.group(1)) if found else 0


def job_of_fold(words, study, task: str, repeat: int, fold: int) -> Job:
    """The network of a task and fold of a system: the first one of an ensemble."""
    system = study.systems[words.system]
    network = f"r{repeat}f{fold}" + ("s0" if system.training.seeds > 1 else "")
    folder = Path("results", words.study, "networks", words.system, task, network)
    return Job(folder, system, study.tasks[task], repeat, fold)


def frame_cache_of(snakemake) -> FrameCache:
    """The cached frames of a job."""
    part = snakemake.params.slice
    dataset = Dataset.model_validate({**part["dataset"], "root": ""})
    config = frames_config(dataset, FrontEnd.model_validate(part["system"]["front_end"]))
    return FrameCache(Path(snakemake.params.cache), config)
