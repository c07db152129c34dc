# The plans of the studies, the machine, and the few functions that all rule files share.

import os
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.resources import Resource

TOP = Path(workflow.basedir)
sys.path.insert(0, str(TOP / "workflow"))

from auscult import features, provenance, run
from auscult.cache.store import shard_names
from auscult.datasets import releases
from auscult.decisions import rules as decision_rules
from auscult.features.frames import folder_name
from auscult.folds.planned import files_of_protocol
from auscult.plan import networks, paths, reads


def checked(function, *arguments):
    """The function's result; an error that the library raises on purpose stops Snakemake with its message alone."""
    try:
        return function(*arguments)
    except Exception as error:
        if not type(error).__module__.startswith("auscult."):
            raise
        raise WorkflowError(str(error)) from None


run.set_environment(TOP / "workflow")
LISTS = os.path.relpath(TOP / "resources" / "splits")
SETTINGS, PLANS, RELEASES = checked(run.load, config, TOP / "config" / "studies", Path(LISTS))
run.forget_failed_tracking(list(PLANS), SETTINGS.tracking.uri)
TRACKING = paths.tracking(SETTINGS.tracking.uri)
SHARDS = shard_names(next(iter(RELEASES.values())).dataset.shards)
FORMATS = ["csv", "md", "html", "tex"]
DECISIONS = decision_rules.modules()  # loaded by name, so that no script imports them


# No wildcard spans folders: what is predicted below a study is not another study.
wildcard_constraints:
    **dict.fromkeys(["study", "dataset", "system", "task", "network", "fold", "target"], "[^/]+"),


# ---------------------------------------------------------------- what rules ask


def plan(wildcards):
    """The plan of a job's study."""
    return PLANS[wildcards.study]


def system_of(wildcards):
    """The system that a job's network belongs to."""
    return plan(wildcards).study.systems[wildcards.system]


def manifest(wildcards):
    """The manifest of the study's data set, as named inputs are unpacked."""
    return [path.format(dataset=plan(wildcards).dataset) for path in paths.MANIFEST]


def shards(dataset, kind):
    """Shards of one cache of a data set."""
    return [f"{paths.CACHE.format(dataset=dataset, kind=kind)}/{name}" for name in SHARDS]


def frames(wildcards):
    """Shards of the front end that a job's system reads."""
    return shards(plan(wildcards).dataset, folder_name(system_of(wildcards).front_end))


@cache
def code(script, *modules):
    """Files that a script imports, directly or not, with the plug-ins that its job loads by name."""
    return provenance.code_files(TOP / "workflow" / "scripts" / f"{script}.py", modules)


def network_code(script, wildcards):
    """Code of a job that runs a network: the script, the network, and what its frames are made by."""
    front_end = features.module_of(system_of(wildcards).front_end.name)
    return code(script, *reads.network_modules(plan(wildcards), wildcards.system), front_end)


# ---------------------------------------------------------------- machine


def cap(name, most):
    """No more of a resource than this machine has; all of it when nothing was asked for."""
    asked = workflow.global_resources.get(name)
    value = getattr(asked, "value", asked)
    workflow.global_resources[name] = Resource(name, min(value, most) if isinstance(value, int) else most)


# Jobs go elsewhere, or this is one of them there. (`workflow.local_exec` is true of everything while rules are read.)
CLUSTER = workflow.remote_exec or workflow.resource_settings.cores is None
GPU = run.has_gpu() or CLUSTER

if not CLUSTER:
    cap("_cores", os.cpu_count())
    cap("mem_mb", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20)
    if "gpu" not in workflow.global_resources:
        cap("gpu", 1)

# A job that runs a network: one of the GPUs, or, on a machine without one, one core, so that as many run as there are
# cores. A single thread is also what makes results the same on every CPU count.
NETWORK_GPU = 1 if GPU else 0
NETWORK_THREADS = 4 if GPU else 1
