# Studies, paths, code inputs and slices of the configuration: what all rule files share.

import fcntl
import json
import os
import shutil
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import torch
from snakemake.exceptions import WorkflowError
from snakemake.resources import Resource

WORKFLOW = Path(workflow.basedir) / "workflow"
sys.path.insert(0, str(WORKFLOW))
os.environ["PYTHONPATH"] = os.pathsep.join([str(WORKFLOW), *filter(None, [os.environ.get("PYTHONPATH")])])

# Training on a CPU allocates and frees the same large buffers at every step; kept by the process, they cost no page
# faults (a fifth more windows per second of processor time).
for _name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
    os.environ.setdefault(_name, str(4 * 2**30 - 1))

from auscult import features, provenance, studies
from auscult.cache.store import shard_names
from auscult.datasets import adapter
from auscult.datasets.base import raw_digest
from auscult.features.frames import folder_name
from auscult.folds.planned import FoldError, planned


# Names in paths have no folder in them: what is predicted below a study is not another study.
wildcard_constraints:
    **dict.fromkeys(["study", "dataset", "system", "task", "network", "fold", "target"], "[^/]+"),


# ---------------------------------------------------------------- studies

LISTS = Path(workflow.basedir) / "resources" / "splits"

try:
    SETTINGS = studies.load_settings(config)
    STUDIES = {
        name: studies.load_study(name, Path(workflow.basedir) / "config" / "studies", SETTINGS.root)
        for name in SETTINGS.studies
    }
except studies.ConfigError as error:
    raise WorkflowError(str(error)) from None


def dataset_key(dataset):
    """Folder of a data set's results: two roots never share one."""
    if SETTINGS.root is None:
        return dataset.name
    return f"{dataset.name}-{provenance.digest(os.path.realpath(dataset.root))[:8]}"


DATASETS = {}
for _name, _study in STUDIES.items():
    _key = dataset_key(_study.dataset)
    if DATASETS.setdefault(_key, _study.dataset) != _study.dataset:
        raise WorkflowError(
            f"config/studies/{_name}.yaml: dataset: another study describes the data set {_key!r} differently; "
            "give one of them another dataset.name"
        )
if SETTINGS.root is not None and len(DATASETS) > 1:
    raise WorkflowError(f"--config root: points to one data set; the studies have {', '.join(DATASETS)}")

KEY = {name: dataset_key(study.dataset) for name, study in STUDIES.items()}


def raw_files(key):
    """Raw files of a data set, [] when there are none yet."""
    dataset = DATASETS[key]
    reader = adapter(dataset.adapter)
    try:
        return reader.files(Path(dataset.root), reader.Options.model_validate(dataset.options))
    except FileNotFoundError:
        return []


def generated(key):
    """Whether the workflow makes the raw files by itself."""
    return getattr(adapter(DATASETS[key].adapter), "GENERATED", False)


RAW = {key: [] if generated(key) else raw_files(key) for key in DATASETS}


def raw_state(key):
    """What the raw files of a data set are: a digest of their contents, or the options that generate them."""
    if generated(key):
        return provenance.digest([DATASETS[key].adapter, DATASETS[key].options])
    if not RAW[key]:
        return "nothing there"
    return raw_digest(RAW[key], Path(DATASETS[key].root), Path(f"results/datasets/{key}/raw.json"))


def fold_names(name):
    """Folds of a study as `r<repeat>f<fold>`."""
    present = {path.name.split(".")[0].split("_")[0] for path in RAW[KEY[name]]} or None
    try:
        return [f"r{repeat}f{fold}" for repeat, fold in planned(STUDIES[name].protocol, LISTS, present)]
    except FoldError as error:
        raise WorkflowError(f"config/studies/{name}.yaml: {error}") from None


FOLDS = {name: fold_names(name) for name in STUDIES}


def is_inner(name):
    """Whether a fold's or a network's name is that of an inner fold, such as r0f3i1."""
    return "i" in name


def inner_names(study, fold):
    """The inner folds of a fold, repeat after repeat: r0f3i0, r0f3i1, …; [] in a study without them."""
    inner = STUDIES[study].inner_folds
    return [f"{fold}i{number}" for number in range(inner.folds * inner.repeats)] if inner else []


def judges(study, fold):
    """Folds, inner ones too, whose networks score the cases that a fold judges."""
    inner = STUDIES[study].inner_folds
    return [fold, *(inner_names(study, fold) if inner and inner.bag else [])]


def members(study, system, fold):
    """Endings of the model folders of an ensemble: [""] for a single network."""
    one = STUDIES[study]
    seeds = one.inner_folds.seeds if is_inner(fold) else one.systems[system].training.seeds
    return [""] if seeds == 1 else [f"s{seed}" for seed in range(seeds)]


def judged(study):
    """Systems and ensembles of a study: what gets rows in its tables."""
    return [*STUDIES[study].systems, *STUDIES[study].ensembles]


def systems_of(study, name):
    """The systems of an ensemble, or a system alone."""
    return STUDIES[study].systems_of(name)


def stand_in(study, name):
    """A system, or what stands for an ensemble after its networks have scored: the first of its systems."""
    return STUDIES[study].systems[systems_of(study, name)[0]]


def networks(study, system, folds=None):
    """Model folders (relative to the study's `networks`) of a system or ensemble, by task: of some folds, or of all."""
    every = folds or [name for fold in FOLDS[study] for name in (fold, *inner_names(study, fold))]
    return {
        task: [
            f"{one}/{task}/{fold}{member}"
            for fold in every
            for one in systems_of(study, system)
            for member in members(study, one, fold)
        ]
        for task in stand_in(study, system).tasks
    }


def folds_of(wildcards):
    """The table that says what a fold or a network, inner or not, trains on and scores."""
    name = getattr(wildcards, "network", None) or wildcards.fold
    return (P.inner if is_inner(name) else P.folds).format(study=wildcards.study)


# ---------------------------------------------------------------- paths

P = SimpleNamespace(
    dataset="results/datasets/{dataset}",
    generated="results/datasets/{dataset}/generated.json",
    cases="results/datasets/{dataset}/cases.csv",
    recordings="results/datasets/{dataset}/recordings.csv",
    quality="results/datasets/{dataset}/quality.csv",
    states="results/datasets/{dataset}/states.csv",
    facts="results/datasets/{dataset}/dataset.json",
    cache="results/cache/{dataset}/{kind}",
    folds="results/{study}/folds.csv",
    inner="results/{study}/inner_folds.csv",
    audit="results/{study}/audit.csv",
    model="results/{study}/networks/{system}/{task}/{network}",
    outputs="results/{study}/outputs/{system}/{fold}",
    fusion="results/{study}/fusion/{system}/{fold}",
    groups="results/{study}/groups.csv",
    predictions="results/{study}/predictions.csv",
    scores="results/{study}/scores.csv",
    tables="results/{study}/tables",
    winner="results/{study}/winner.json",
    together="results/comparisons/{studies}",
    challenge="results/{study}/challenge",
    figures="results/{study}/figures/figures.csv",
    explained="results/{study}/explanations/{system}/figures.csv",
    page="results/{study}/report.html",
    # by the store's address: what is ancient must never be made again. Snakemake 9.27 then looks at none of the jobs
    # that follow it, not even at those whose output is missing
    tracking=f"results/{{study}}/tracking-{provenance.digest(SETTINGS.tracking.uri)[:8]}.json",
    tracked="results/{study}/tracked.json",
    locks="results/.locks",
    artifacts="results/mlartifacts",
    log="results/logs",
    benchmark="results/benchmarks",
)


def of_dataset(pattern):
    """A path of the study's data set, as an input function."""
    return lambda wildcards: pattern.format(dataset=KEY[wildcards.study])


def manifest_files(dataset):
    """The manifest's tables, as named inputs are unpacked."""
    return [path.format(dataset=dataset) for path in (P.cases, P.recordings, P.facts)]


def manifest(wildcards):
    """The manifest of the study's data set."""
    return manifest_files(KEY[wildcards.study])


def shards(key, kind):
    """Shards of one cache of a data set."""
    folder = P.cache.format(dataset=key, kind=kind)
    return [f"{folder}/{name}" for name in shard_names(DATASETS[key].shards)]


def frames_of(wildcards):
    """Shards of the front end that a system reads."""
    system = STUDIES[wildcards.study].systems[wildcards.system]
    return shards(KEY[wildcards.study], folder_name(system.front_end))


def weights_of(wildcards):
    """The file of weights that a system starts from, if any."""
    return STUDIES[wildcards.study].systems[wildcards.system].network.weights or []


# ---------------------------------------------------------------- code


@cache
def code(name, *modules):
    """Files that a script imports, directly or not, with the plug-ins that the job loads by name."""
    files = [WORKFLOW / "scripts" / f"{name}.py"]
    files += [file for module in modules for file in provenance.module_files(module)]
    return [os.path.relpath(file) for file in provenance.closure(files)]


def network_code(name):
    """Code of a job that runs a network: the script, the network, and what its frames are made by."""

    def files(wildcards):
        system = STUDIES[wildcards.study].systems[wildcards.system]
        front_end = features.module_of(system.front_end.name)
        made_by = ["auscult.cache.audio", "auscult.features.frames", front_end]
        return code(name, f"auscult.networks.{system.network.name}", *made_by)

    return files


def inner_outputs(pairs):
    """Cases and recordings that the inner folds of (system, fold) pairs held, in a study with inner folds."""
    return lambda wildcards: [
        f"{P.outputs}/{table}.csv".format(study=wildcards.study, system=system, fold=f"{fold}i")
        for system, fold in (pairs(wildcards) if STUDIES[wildcards.study].inner_folds else [])
        for table in ("cases", "recordings")
    ]


# ---------------------------------------------------------------- slices of the configuration


def dataset_slice(wildcards):
    """The data set's part of the configuration."""
    key = wildcards.dataset if "dataset" in wildcards.keys() else KEY[wildcards.study]
    return DATASETS[key].model_dump()


def training_slice(wildcards):
    """What one training depends on."""
    study = STUDIES[wildcards.study]
    system = study.systems[wildcards.system].model_dump(exclude={"inference": True, "training": {"seeds"}})
    return {
        "system": {**system, "tasks": [wildcards.task]},
        "task": study.tasks[wildcards.task].model_dump(),
        "dataset": study.dataset.model_dump(exclude={"root"}),
    }


def scoring_slice(wildcards):
    """What one scoring depends on: the training's part, and how passes are made."""
    inference = STUDIES[wildcards.study].systems[wildcards.system].inference.model_dump(exclude={"pool"})
    part = training_slice(wildcards)
    return {**part, "system": {**part["system"], "inference": inference}, "roles": roles(wildcards)}


def roles(wildcards):
    """Roles that a system's networks score."""
    study = wildcards.study
    if is_inner(getattr(wildcards, "network", "")):
        return ["test", "judged"] if STUDIES[study].inner_folds.bag else ["test"]
    fusion, mine = STUDIES[study].fusion, set(systems_of(study, wildcards.system))
    train = fusion and "train" in fusion.fit_on and any(mine & set(systems_of(study, name)) for name in fusion.systems)
    return ["train", "val", "test"] if train else ["val", "test"]


def system_slice(wildcards, *parts):
    """A study cut down to one system or ensemble and to `parts` (`fusion`, …): still a valid study."""
    study = STUDIES[wildcards.study].model_dump()
    system = stand_in(wildcards.study, wildcards.system)
    served = STUDIES[wildcards.study].targets_of(system)
    pools = {"pool": {name: rule.model_dump() for name, rule in system.inference.pool.items()}}
    cut = {
        "description": "",
        "dataset": {**study["dataset"], "root": ""},
        "targets": {
            name: {k: study["targets"][name][k] for k in ("label", "kind", "classes", "heads", "weights")}
            | {"decisions": ["reference"]}
            for name in served
        },
        "protocol": {"name": "group_cv"},
        "tasks": {task: study["tasks"][task] for task in system.tasks},
        "systems": {
            wildcards.system: {
                "tasks": system.tasks,
                "front_end": {"name": system.front_end.name},
                "network": {"name": system.network.name},
                "inference": pools,
            }
        },
    }
    if "fusion" in parts:
        cut |= {"fusion": {**study["fusion"], "systems": [wildcards.system]}, "inner_folds": study["inner_folds"]}
    return cut


# ---------------------------------------------------------------- machine


def cap(name, most):
    """No more of a resource than this machine has; all of it when nothing was asked for."""
    asked = workflow.global_resources.get(name)
    value = getattr(asked, "value", asked)
    workflow.global_resources[name] = Resource(name, min(value, most) if isinstance(value, int) else most)


# Jobs go elsewhere, or this is one of them there. (`workflow.local_exec` is true of everything while rules are read.)
CLUSTER = workflow.remote_exec or workflow.resource_settings.cores is None
GPU = torch.cuda.is_available() or CLUSTER

if not CLUSTER:
    cap("_cores", os.cpu_count())
    cap("mem_mb", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20)
    if "gpu" not in workflow.global_resources:
        cap("gpu", 1)


# A job that runs a network: one of the GPUs, or, on a machine without one, one core, so that as many run as there are
# cores. A single thread is also what makes results the same on every CPU count.
NETWORK_GPU = 1 if GPU else 0
NETWORK_THREADS = 4 if GPU else 1


LOCKS = []


def lock_studies():
    """Hold each study for as long as this process lives, whatever became of Snakemake's own locks."""
    for name in STUDIES:
        path = Path("results") / name / ".lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise WorkflowError(
                f"study {name}: another Snakemake is running it (process {file.read().strip() or 'unknown'}); "
                "wait for it or stop it, then start again"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        LOCKS.append(file)


def select_jobs_when_one_ends():
    """Take out Snakemake's limit on jobs per second, which the jobs of one machine do not need.

    With it, Snakemake 9.27 selects jobs once a second more for every job that has ended, and looks at all their inputs
    each time: after 50 jobs of a large study that was a quarter of a core.
    """
    if not CLUSTER:
        workflow.scheduler.job_rate_limiter = None


def estimate():
    """Before long work: how many trainings, and whether the disk has room for the caches."""
    for name, study in STUDIES.items():
        trainings = sum(len(m) for system in study.systems for m in networks(name, system).values())
        raw = sum(path.stat().st_size for path in RAW[KEY[name]])
        fronts = {folder_name(system.front_end) for system in study.systems.values()}
        needed = raw * (1 + len(fronts))
        free = shutil.disk_usage("results").free
        print(
            f"study {name}: {len(FOLDS[name])} folds, {trainings} trainings, caches of about {needed / 2**20:.0f} MiB "
            f"({free / 2**30:.0f} GiB free)",
            file=sys.stderr,
        )
        if needed > free:
            raise WorkflowError(
                f"study {name}: the disk has less room than the caches need; free some, or move results"
            )


def summary():
    """After a run: the best rows, and where to look."""
    import pandas as pd

    if SETTINGS.recordings:
        for page in [f"{P.predicted}/report.html".format(study=name) for name in STUDIES]:
            if Path(page).is_file():
                print(f"predictions: {page}, and predictions.csv beside it", file=sys.stderr)
        return
    finished = [name for name in STUDIES if Path(P.tables.format(study=name), "leaderboard.csv").is_file()]
    for name in finished:  # a run may have been asked for less
        board = pd.read_csv(Path(P.tables.format(study=name)) / "leaderboard.csv")
        columns = ["target", "system", "stage", "fit_on", "decision", "n", "w_acc", "uar", "auroc", "chosen_on", "leak"]
        shown = board[[c for c in columns if c in board]].round(3).fillna("")
        print(f"\nstudy {name}\n{shown.to_string(index=False)}\n", file=sys.stderr)
        print(f"report: {P.page.format(study=name)}", file=sys.stderr)
        print(f"tables: {P.tables.format(study=name)}", file=sys.stderr)
        if Path(P.registered.format(study=name)).is_file():
            print(f"bundle: {P.bundle.format(study=name)}", file=sys.stderr)
    if finished:
        print("MLflow: make ui (there: Model training)", file=sys.stderr)
