"""MLflow: study → experiment, system → run, task × fold and stage → nested runs; a bundle → a registered model.

Nothing here may fail a job: every public function returns whether it worked, and says in the log why it did not.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from auscult.progress import note

KEY = "auscult.key"
DIGEST = "auscult.digest"
PARENT = "mlflow.parentRunId"
# a server that is away holds a job up for seconds; MLflow's own waiting takes minutes
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
LIVE_AFTER_S = 10.0  # importing mlflow takes seconds: a shorter training is written by `complete` alone


def _forgiving(function: Callable) -> Callable:
    """Any failure becomes a line in the log and the answer False."""

    @functools.wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> bool:
        try:
            function(*arguments, **named)
        except Exception as error:
            note(f"tracking: {function.__name__}: {type(error).__name__}: {error}; `track` will try again")
            return False
        return True

    return wrapped


@_forgiving
def initialise(uri: str, study: str, artifacts: Path) -> None:
    """Make the store's schema and the experiment."""
    artifacts.mkdir(parents=True, exist_ok=True)
    with _alone(artifacts):
        _experiment(_client(uri), study, artifacts)


@contextmanager
def _alone(artifacts: Path) -> Iterator[None]:
    """One process at a time: MLflow makes what is not there twice when two ask at once."""
    with (artifacts / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def live(uri: str, artifacts: Path, study: str, system: str, job: str) -> Callable[[dict], None]:
    """A function that takes a row after every epoch and, in a training that lasts, writes it to a nested run."""
    started, waiting, state = time.monotonic(), [], {}

    @_forgiving
    def write() -> None:
        if "client" not in state:
            client = _client(uri)
            experiment = client.get_experiment_by_name(study).experiment_id
            with _alone(artifacts):
                parent = _system_run(client, experiment, system)
            state["run"] = _fresh_run(client, experiment, f"train/{system}/{job}", job, parent)
            state["client"] = client
        state["client"].log_batch(state["run"], metrics=_history_metrics(waiting))
        waiting.clear()

    def log(row: dict) -> None:
        waiting.append(row)
        if not state.get("given_up") and time.monotonic() - started > LIVE_AFTER_S:
            state["given_up"] = not write()

    return log


@_forgiving
def complete(
    uri: str,
    study: str,
    artifacts: Path,
    parameters: dict[str, dict],
    models: dict[tuple[str, str], Path],
    board: pd.DataFrame,
    folders: list[Path],
    files: list[Path],
) -> None:
    """Write everything of a study that is not in the store yet; a rerun replaces its runs.

    Parameters
    ----------
    parameters : configuration of each system.
    models : model folders by (system, job name).
    board : the leaderboard; each row becomes a nested run of its system (`chosen`: a run of its own).
    folders, files : artifacts of the run `chosen`: tables, figures, report.
    """
    client = _client(uri)
    experiment = _experiment(client, study, artifacts)
    parents = {}
    for system, values in parameters.items():
        parents[system] = _described_run(client, experiment, system, _params(values))
    for (system, job), folder in models.items():
        facts = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        key = f"train/{system}/{job}"
        done = _find(client, experiment, key)
        if done and done.data.tags.get(DIGEST) == facts["slice_digest"]:
            client.set_tag(done.info.run_id, PARENT, parents[system])
            continue
        run = _fresh_run(client, experiment, key, job, parents[system])
        history = pd.read_csv(folder / "history.csv").to_dict("records")
        client.log_batch(run, metrics=_history_metrics(history), params=_params(facts))
        for name in ("config.json", "history.csv", "manifest.json"):
            client.log_artifact(run, str(folder / name))
        client.set_tag(run, DIGEST, facts["slice_digest"])
        client.set_terminated(run)
    for row in board.to_dict("records"):
        name = " ".join(str(row[k]) for k in ("target", "stage", "fit_on", "decision"))
        parent = parents.get(row["system"])
        run = _fresh_run(client, experiment, f"row/{row['system']}/{name}", name, parent)
        numbers = {k: v for k, v in row.items() if isinstance(v, (int, float)) and pd.notna(v)}
        words = {k: v for k, v in row.items() if isinstance(v, str) and v}
        client.log_batch(run, metrics=_metrics(numbers, 0), params=_params(words))
        client.set_terminated(run)
    run = _fresh_run(client, experiment, "study", f"{study} tables and figures", None)
    for folder in folders:
        client.log_artifacts(run, str(folder), folder.name)
    for file in files:
        client.log_artifact(run, str(file))
    client.set_terminated(run)
    for parent in parents.values():
        client.set_terminated(parent)


@_forgiving
def register(uri: str, study: str, artifacts: Path, name: str, bundle: Path, card: str) -> None:
    """Keep an MLflow model among the study's runs and register it as a new version of the model `name`."""
    from mlflow.exceptions import MlflowException

    client = _client(uri)
    run = _fresh_run(client, _experiment(client, study, artifacts), f"bundle/{name}", f"{name} bundle", None)
    client.log_artifacts(run, str(bundle), "bundle")
    client.set_terminated(run)
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{client.get_run(run).info.artifact_uri}/bundle"
    client.create_model_version(name, source, run, description=card)


def _client(uri: str):
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient(uri)


def _experiment(client, study: str, artifacts: Path) -> str:
    found = client.get_experiment_by_name(study)
    if found:
        return found.experiment_id
    served = client.tracking_uri.startswith(("http:", "https:"))  # a server has a place of its own for files
    place = None if served else (artifacts / study).resolve().as_uri()
    # said here, the kind is not guessed at by MLflow's pages
    return client.create_experiment(study, place, tags={"mlflow.experimentKind": "custom_model_development"})


def _find(client, experiment: str, key: str):
    runs = client.search_runs([experiment], f"tags.`{KEY}` = '{key}'", max_results=1)
    return runs[0] if runs else None


def _system_run(client, experiment: str, system: str) -> str:
    found = _find(client, experiment, f"system/{system}")
    if found:
        return found.info.run_id
    return client.create_run(experiment, run_name=system, tags={KEY: f"system/{system}"}).info.run_id


def _described_run(client, experiment: str, system: str, params: list) -> str:
    """The run of a system with these parameters; MLflow cannot change one, so another configuration is another run."""
    run = _system_run(client, experiment, system)
    known = client.get_run(run).data.params
    if known and known != {param.key: param.value for param in params}:
        client.delete_run(run)
        run = _system_run(client, experiment, system)
    client.log_batch(run, params=params)
    return run


def _fresh_run(client, experiment: str, key: str, name: str, parent: str | None) -> str:
    """A new run under `key`; one that was there is deleted."""
    found = _find(client, experiment, key)
    if found:
        client.delete_run(found.info.run_id)
    tags = {KEY: key} | ({PARENT: parent} if parent else {})
    return client.create_run(experiment, run_name=name, tags=tags).info.run_id


def _history_metrics(rows: list[dict]) -> list:
    numbers = [{k: v for k, v in row.items() if k != "epoch" and pd.notna(v)} for row in rows]
    return [m for row, values in zip(rows, numbers, strict=True) for m in _metrics(values, int(row["epoch"]))]


def _metrics(values: dict[str, float], step: int) -> list:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    allowed = {name: "".join(c if c.isalnum() or c in "_-./ " else "_" for c in name) for name in values}
    return [Metric(allowed[name], float(value), now, step) for name, value in values.items()]


def _params(values: dict[str, Any], prefix: str = "") -> list:
    """Nested values as flat parameters `a.b.c`; MLflow keeps 100 of a batch and 6,000 characters of each."""
    from mlflow.entities import Param

    flat: list = []
    for key, value in values.items():
        if isinstance(value, dict):
            flat += _params(value, f"{prefix}{key}.")
        else:
            flat.append(Param(f"{prefix}{key}", str(value)[:500]))
    return flat[:100]
