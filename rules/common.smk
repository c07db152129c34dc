# The plans of the studies, the resources of the machine, and functions that all rule files use.

import os
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.resources import Resource

# the folder of this workflow, also where another one uses it as a module
TOP = Path(str(workflow.current_basedir)).parent
sys.path.insert(0, str(TOP / "workflow"))

from auscult import devices, features, provenance, run
from auscult.cache.store import shard_names, versions
from auscult.datasets import releases
from auscult.decisions import rules as decision_rules
from auscult.features.frames import folder_name
from auscult.folds.planned import files_of_protocol
from auscult.plan import networks, paths, reads
from auscult.plan.names import NetworkName


def checked(function, *arguments):
    """Return the function's result. An error of the library stops Snakemake with its message only."""
    try:
        return function(*arguments)
    except Exception as error:
        if not type(error).__module__.startswith("auscult."):
            raise
        raise WorkflowError(str(error)) from None


run.set_environment(TOP / "workflow")
LISTS = os.path.relpath(TOP / "resources" / "splits")
# a repository that uses this workflow as a module may have studies of its own
OWN_STUDIES = Path("config/studies")
STUDIES = OWN_STUDIES if OWN_STUDIES.is_dir() else TOP / "config" / "studies"
SETTINGS, PLANS, RELEASES = checked(run.load, config, STUDIES, Path(LISTS))
if not (workflow.remote_exec or workflow.subprocess_exec):  # a job of a run must not remove what the run has written
    run.forget_failed_tracking(list(PLANS), SETTINGS.tracking.uri)
TRACKING = paths.tracking(SETTINGS.tracking.uri)
SHARDS = shard_names(next(iter(RELEASES.values())).dataset.shards)
FORMATS = ["csv", "md", "html", "tex"]
DECISIONS = decision_rules.modules()  # scripts load them by name, not by an import


# No wildcard matches a slash, so that folders with predictions below a study are not taken for studies.
wildcard_constraints:
    **dict.fromkeys(["study", "dataset", "pretraining", "system", "task", "network", "fold", "target"], "[^/]+"),


# ---------------------------------------------------------------- inputs and parameters of jobs


def plan(wildcards):
    """Return the plan of a job's study."""
    return PLANS[wildcards.study]


def system_of(wildcards):
    """Return the system that a job's network belongs to."""
    return plan(wildcards).study.systems[wildcards.system]


def pretraining_of(wildcards):
    """Return the pre-training that a job trains an encoder of."""
    return plan(wildcards).study.pretrainings[wildcards.pretraining]


def manifest(wildcards):
    """Return the files of the manifest of the study's data set."""
    return [path.format(dataset=plan(wildcards).dataset) for path in paths.MANIFEST]


def shards(dataset, kind):
    """Return the shards of one cache of a data set."""
    return [f"{paths.CACHE.format(dataset=dataset, kind=kind)}/{name}" for name in SHARDS]


def frames(wildcards):
    """Return the shards of the front end that a job's system reads."""
    return shards(plan(wildcards).dataset, folder_name(system_of(wildcards).front_end))


def beside_weights(study_plan, suffix):
    """Return the files with a suffix that stand beside the weights and encoders of a study's systems."""
    files = sorted({f"{file}{suffix}" for _, file in reads.trained_files(study_plan)})
    return [file for file in files if os.path.isfile(file)]


def audits(study_plan):
    """Return the tables of all leaks of a study: of its folds, and of its pre-trainings if it has any."""
    tables = [paths.AUDIT, *([paths.PRETRAINING_AUDIT] if networks.every_pretrained(study_plan) else [])]
    return [table.format(study=study_plan.name) for table in tables]


def external_tables(study):
    """Return the tables of scores on other data sets that a study has so far."""
    return sorted(map(str, Path().glob(f"{paths.EXTERNAL}/external.csv".format(study=study, recordings="*"))))


# It is a parameter of every job: as inputs, the files would take a third of the time of planning.
@cache
def code(script, *modules):
    """Return the code of a job: a digest of its script, of what this imports, and of plug-ins it loads by name."""
    return provenance.job_code(script, modules)


def network_code(script, wildcards, *more):
    """Return the code of a job that runs a network: the script, the network, the front end, and more modules."""
    front_end = features.module_of(system_of(wildcards).front_end.name)
    return code(script, *reads.network_modules(plan(wildcards), wildcards.system), front_end, *more)


def teacher_of(wildcards):
    """Return the network that a job's network learns from, None without one."""
    name = NetworkName.parse(wildcards.network)
    return networks.teacher(plan(wildcards), wildcards.system, wildcards.task, name)


def histories(wildcards):
    """Return the histories of all trainings and pre-trainings of a study."""
    study_plan = plan(wildcards)
    return [
        *(network.file(paths.HISTORY) for network in networks.every_network(study_plan)),
        *(encoder.file(paths.PRETRAINED_HISTORY) for encoder in networks.every_pretrained(study_plan)),
    ]


# ---------------------------------------------------------------- machine


def cap(name, limit):
    """Limit a resource of the run to what this machine has; without a request, set it to this limit."""
    requested = workflow.global_resources.get(name)
    value = getattr(requested, "value", requested)
    workflow.global_resources[name] = Resource(name, min(value, limit) if isinstance(value, int) else limit)


# True if jobs run on other machines, or if this process runs such a job. (`workflow.local_exec` is always true while
# rules are read.)
CLUSTER = workflow.remote_exec or workflow.resource_settings.cores is None
GPUS = [] if CLUSTER else checked(devices.usable_gpus, SETTINGS.device)
GPU = bool(GPUS) or CLUSTER
NETWORKS_PER_GPU = devices.networks_per_gpu(SETTINGS.networks_per_gpu) if GPUS else 1

if not CLUSTER:
    cap("_cores", os.cpu_count())
    cap("mem_mb", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20)
    if "gpu" not in workflow.global_resources:
        cap("gpu", 1)
    # A job that shares its GPU takes one of several places on it: not more of them than there are cores for.
    wanted = workflow.global_resources["gpu"].value
    NETWORKS_PER_GPU = min(NETWORKS_PER_GPU, max(1, workflow.global_resources["_cores"].value // max(1, wanted)))
    workflow.global_resources["gpu"] = Resource("gpu", wanted * NETWORKS_PER_GPU)

# A job that runs a network gets one GPU, or a place on one. On a machine without a GPU it gets one core, so that as many
# jobs run as there are cores. A single thread also makes results independent of the number of cores.
NETWORK_GPU = 1 if GPU else 0
NETWORK_THREADS = max(1, 4 // NETWORKS_PER_GPU) if GPU else 1
