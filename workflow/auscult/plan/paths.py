"""Where everything lies: one pattern per file or folder, with the wildcards of the rules in braces.

`results/datasets` and `results/cache` are shared by all studies of a data set; `results/<study>` is a study's own.
"""

from __future__ import annotations

import os

from auscult.config.dataset import Dataset
from auscult.provenance import digest

# a data set: its manifest, and its caches
GENERATED = "results/datasets/{dataset}/generated.json"
RAW_DIGESTS = "results/datasets/{dataset}/raw.json"
CASES = "results/datasets/{dataset}/cases.csv"
RECORDINGS = "results/datasets/{dataset}/recordings.csv"
QUALITY = "results/datasets/{dataset}/quality.csv"
STATES = "results/datasets/{dataset}/states.csv"
COPIES = "results/datasets/{dataset}/copies.csv"
LANDMARKS = "results/datasets/{dataset}/landmarks.npz"
FACTS = "results/datasets/{dataset}/dataset.json"
MANIFEST = (CASES, RECORDINGS, FACTS)
CACHE = "results/cache/{dataset}/{kind}"

# of all studies
NETWORK_OPTIONS = "results/.network_options.json"

# a study, in order of flow
STUDY = "results/{study}"
LOCK = "results/{study}/.lock"
GROUPS = "results/{study}/groups.csv"
FOLDS = "results/{study}/folds.csv"
INNER_FOLDS = "results/{study}/inner_folds.csv"
AUDIT = "results/{study}/audit.csv"
ALL_FOLDS = "all"
PRETRAINED = "results/{study}/pretrainings/{pretraining}/{network}"
PRETRAINED_WEIGHTS = PRETRAINED + "/weights.safetensors"
DECLARATION = PRETRAINED_WEIGHTS + ".json"
PRETRAINED_HISTORY = PRETRAINED + "/history.csv"
PRETRAINED_FILES = (
    PRETRAINED_WEIGHTS,
    DECLARATION,
    PRETRAINED + "/config.json",
    PRETRAINED_HISTORY,
    PRETRAINED + "/manifest.json",
)
PRETRAINING_AUDIT = "results/{study}/pretraining_audit.csv"
NETWORK = "results/{study}/networks/{system}/{task}/{network}"
WEIGHTS = NETWORK + "/weights.safetensors"
NETWORK_CONFIG = NETWORK + "/config.json"
HISTORY = NETWORK + "/history.csv"
TRAINING = NETWORK + "/manifest.json"
MODEL_FILES = (WEIGHTS, NETWORK_CONFIG, HISTORY, TRAINING)
OUTPUTS = NETWORK + "/outputs.h5"
CASE_OUTPUTS = "results/{study}/outputs/{system}/{fold}/cases.csv"
RECORDING_OUTPUTS = "results/{study}/outputs/{system}/{fold}/recordings.csv"
FUSION = "results/{study}/fusion/{system}/{fold}"
FUSED = FUSION + "/probabilities.csv"
IMPORTANCES = FUSION + "/importances.csv"
PREDICTIONS = "results/{study}/predictions.csv"
SCORES = "results/{study}/scores.csv"
TABLES = "results/{study}/tables"
TABLE = TABLES + "/{table}"
LEADERBOARD = TABLES + "/leaderboard.csv"
SUBGROUPS = TABLES + "/subgroups.csv"
LISTEN = "results/{study}/listen.html"
LABEL_ISSUES = TABLES + "/label_issues"
WINNER = "results/{study}/winner.json"
CHALLENGE = "results/{study}/challenge"
FIGURES = "results/{study}/figures/figures.csv"
EXPLANATIONS = "results/{study}/explanations/{system}/figures.csv"
PHASES = "results/{study}/explanations/{system}/phases.csv"
REPORT = "results/{study}/report.html"
TRACKED = "results/{study}/tracked.json"

# a winner, packed and applied to new recordings
PACK = "results/{study}/packed/{winner}"
BUNDLE = "results/{study}/bundle/{winner}"
REGISTERED = BUNDLE + ".json"
PREDICTED = "results/{study}/predicted/{recordings}"
EXTERNAL = "results/{study}/external/{recordings}"

# all studies
COMPARISON = "results/comparisons/{studies}/{table}"
LOGS = "results/logs"
BENCHMARKS = "results/benchmarks"
LOCKS = "results/.locks"
ARTIFACTS = "results/mlartifacts"

# below results/, where a study's folder stands: no study may have one of these names
SHARED_FOLDERS = ("datasets", "cache", "logs", "benchmarks", "mlartifacts", "comparisons")


def tracking(uri: str) -> str:
    """Pattern of the file that says that the study's experiment is in the MLflow store at `uri`.

    The store's address is in the name because the file is an `ancient` input, which is never made again: Snakemake 9.27
    looks at none of the jobs that follow such a job, not even at those whose output is missing.
    """
    return f"results/{{study}}/tracking-{digest(uri)[:8]}.json"


def dataset_folder(dataset: Dataset, root: str | None) -> str:
    """Name of a data set's folder below results/datasets and results/cache; two roots never share one.

    root: of `--config root=DIR`, None without it.
    """
    return dataset.name if root is None else f"{dataset.name}-{digest(os.path.realpath(dataset.root))[:8]}"
