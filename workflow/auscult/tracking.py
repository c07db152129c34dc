"""MLflow tracking: an experiment per study, a run per system, nested runs per network and leaderboard row.

A bundle becomes a registered model. An error of MLflow must not fail a job: every public function but `live` returns
whether it succeeded, and writes the error into the job's log.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import posixpath
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pandas as pd

from auscult.progress import note

KEY = "auscult.key"
DIGEST = "auscult.digest"
PARENT = "mlflow.parentRunId"
# if the server does not answer, a job waits for seconds; with MLflow's defaults it would wait for minutes
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
MOST_LETTERS = 240  # of a name; MLflow takes 250, and a number may follow
LIVE_AFTER_S = 10.0  # importing mlflow takes seconds: `live` writes no shorter training, `complete` does


def _errors_to_log(function: Callable) -> Callable:
    """Make a function return whether it succeeded; an error becomes a line in the log."""

    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> bool:
        try:
            function(*arguments, **options)
        except Exception as error:
            note(f"tracking: {function.__name__}: {type(error).__name__}: {error}; the next run tries again")
            return False
        return True

    return wrapped


@_errors_to_log
def initialise(uri: str, study: str, artifacts: Path) -> None:
    """Create the store's schema and the experiment."""
    artifacts.mkdir(parents=True, exist_ok=True)
    with _lock(artifacts):
        _experiment(_client(uri), study, artifacts)


@contextmanager
def _lock(artifacts: Path) -> Iterator[None]:
    """Let one process at a time in: two at once would create the same experiment or run twice."""
    with (artifacts / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def live(uri: str, artifacts: Path, study: str, system: str, job: str) -> Callable[[dict], None]:
    """Return a function that takes a row per epoch and writes it to a nested run if the training takes over 10 s."""
    start_s, rows, state = time.monotonic(), [], {}

    @_errors_to_log
    def write() -> None:
        if "client" not in state:
            client = _client(uri)
            with _lock(artifacts):
                experiment = _experiment(client, study, artifacts)
                parent = _system_run(client, experiment, system)
            state["run"] = _fresh_run(client, experiment, f"train/{system}/{job}", f"{system} {job}", parent)
            state["client"] = client
        state["client"].log_batch(state["run"], metrics=_history_metrics(rows))
        rows.clear()

    def log(row: dict) -> None:
        rows.append(row)
        if not state.get("given_up") and time.monotonic() - start_s > LIVE_AFTER_S:
            state["given_up"] = not write()

    return log


@_errors_to_log
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
    """Write all of a study that is not yet in the store; a repeated run of a study replaces its MLflow runs.

    Parameters
    ----------
    parameters : configuration of each system.
    models : model folders by (system, job name).
    board : the leaderboard; each row becomes a nested run of its system (`chosen`: a run of its own). The scores of
        each system's network with its first decision also become metrics `target/metric` of the system's run.
    folders, files : artifacts of the run of tables and figures, which also has the leaderboard as MLflow's table.
    """
    client = _client(uri)
    experiment = _experiment(client, study, artifacts)
    parents = {}
    for system, values in parameters.items():
        parents[system] = _described_run(client, experiment, system, _params(values))
    for (system, job), folder in models.items():
        facts = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        key = f"train/{system}/{job}"
        run_of_job = _find_run(client, experiment, key)
        if run_of_job and run_of_job.data.tags.get(DIGEST) == facts["slice_digest"]:
            client.set_tag(run_of_job.info.run_id, PARENT, parents[system])
            continue
        run = _fresh_run(client, experiment, key, f"{system} {job}", parents[system])
        history = pd.read_csv(folder / "history.csv").to_dict("records")
        client.log_batch(run, metrics=_history_metrics(history), params=_params(facts))
        for name in ("config.json", "history.csv", "manifest.json"):
            client.log_artifact(run, str(folder / name))
        client.set_tag(run, DIGEST, facts["slice_digest"])
        client.set_terminated(run)
    for row in board.to_dict("records"):
        name = " ".join(str(row[k]) for k in ("target", "stage", "fit_on", "decision"))
        system, parent = row["system"], parents.get(row["system"])
        run = _fresh_run(client, experiment, f"row/{system}/{name}", f"{system} {name}", parent)
        numbers = _numbers(row)
        texts = {k: v for k, v in row.items() if isinstance(v, str) and v}
        client.log_batch(run, metrics=_metrics(numbers, 0), params=_params(texts))
        client.set_terminated(run)
    first_decisions = board[board["stage"] == "network"].drop_duplicates(["system", "target"])
    for row in first_decisions.to_dict("records"):
        if row["system"] in parents:  # not an ensemble; these are what the compare view shows of systems
            scores = {f"{row['target']}/{metric}": value for metric, value in _numbers(row).items()}
            client.log_batch(parents[row["system"]], metrics=_metrics(scores, 0))
    run = _fresh_run(client, experiment, "study", f"{study} tables and figures", None)
    client.log_table(run, board, "leaderboard.json")
    for folder in folders:
        client.log_artifacts(run, str(folder), folder.name)
    for file in files:
        client.log_artifact(run, str(file))
    client.set_terminated(run)
    for parent in parents.values():
        client.set_terminated(parent)


@_errors_to_log
def register(uri: str, study: str, artifacts: Path, name: str, bundle: Path, card: str) -> None:
    """Log an MLflow model in a run of the study and register it as a new version of the model `name`."""
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
    client.set_registered_model_tag(name, "study", study)
    client.create_model_version(name, source, run, tags={"study": study}, description=card)


def _client(uri: str):
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient(uri)


def _experiment(client, study: str, artifacts: Path) -> str:
    """Return the id of the study's experiment, and create it if there is none that can be written to.

    An experiment that was deleted, or whose files belong below the folder from which the project was moved, cannot be
    changed into one that takes files here. It gets another name, which says why.
    """
    is_server = client.tracking_uri.startswith(("http:", "https:"))  # a server stores files in its own place
    location = None if is_server else (artifacts / study).resolve().as_uri()
    experiment = client.get_experiment_by_name(study)
    if experiment and experiment.lifecycle_stage == "deleted":
        number = experiment.experiment_id
        client.restore_experiment(number)  # MLflow renames no deleted experiment
        client.rename_experiment(number, f"{study} (deleted, {number})")
        client.delete_experiment(number)
    elif experiment and location and _is_elsewhere(experiment.artifact_location, location, client.tracking_uri):
        client.rename_experiment(experiment.experiment_id, f"{study} (before a move, {experiment.experiment_id})")
    elif experiment:
        return experiment.experiment_id
    # without this tag, MLflow's pages would guess the kind of the experiment
    return client.create_experiment(study, location, tags={"mlflow.experimentKind": "custom_model_development"})


def _is_elsewhere(old: str, new: str, uri: str) -> bool:
    """Whether an experiment's files lie in another folder because the project was moved or copied.

    A database outside the project may serve two projects: then the old folder must be gone.
    """
    if not old.startswith("file:") or old == new:
        return False
    is_in_project = uri.startswith("sqlite:///") and not uri.startswith("sqlite:////")
    return is_in_project or not Path(unquote(urlparse(old).path)).parent.exists()


def _find_run(client, experiment: str, key: str):
    runs = client.search_runs([experiment], f"tags.`{KEY}` = '{key}'", max_results=1)
    return runs[0] if runs else None


def _system_run(client, experiment: str, system: str) -> str:
    run = _find_run(client, experiment, f"system/{system}")
    if run:
        return run.info.run_id
    return client.create_run(experiment, run_name=system, tags={KEY: f"system/{system}"}).info.run_id


def _described_run(client, experiment: str, system: str, params: list) -> str:
    """Return the run of a system with these parameters.

    MLflow cannot change a parameter, so another configuration gets a new run.
    """
    run = _system_run(client, experiment, system)
    old_params = client.get_run(run).data.params
    if old_params and old_params != {param.key: param.value for param in params}:
        client.delete_run(run)
        run = _system_run(client, experiment, system)
    client.log_batch(run, params=params)
    return run


def _fresh_run(client, experiment: str, key: str, name: str, parent: str | None) -> str:
    """Create a run with the tag `key`, delete an older one, and return the id."""
    old_run = _find_run(client, experiment, key)
    if old_run:
        client.delete_run(old_run.info.run_id)
    tags = {KEY: key} | ({PARENT: parent} if parent else {})
    return client.create_run(experiment, run_name=name, tags=tags).info.run_id


def _numbers(row: dict) -> dict[str, float]:
    return {k: v for k, v in row.items() if isinstance(v, (int, float)) and pd.notna(v)}


def _history_metrics(rows: list[dict]) -> list:
    numbers = [{k: v for k, v in row.items() if k != "epoch" and pd.notna(v)} for row in rows]
    return [m for row, values in zip(rows, numbers, strict=True) for m in _metrics(values, int(row["epoch"]))]


def _metrics(values: dict[str, float], step: int) -> list:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    names = _allowed_names(list(values))
    return [Metric(name, float(value), now, step) for name, value in zip(names, values.values(), strict=True)]


def _allowed_names(names: list[str]) -> list[str]:
    """Return distinct names of metrics or parameters that MLflow takes; a name that it takes stays as it is.

    Other signs than letters, digits, `_-./` and blanks become `_`, and slashes too where the name is no path. Names
    that are then the same are numbered.
    """
    results: list[str] = []
    taken_names = {name for name in names if _allowed_name(name) == name}
    for name in names:
        new_name = base = _allowed_name(name)
        number = 1
        while new_name != name and new_name in taken_names:
            number += 1
            new_name = f"{base} {number}"
        taken_names.add(new_name)
        results.append(new_name)
    return results


def _allowed_name(name: str) -> str:
    new_name = "".join(c if c.isalnum() or c in "_-./ " else "_" for c in name)[:MOST_LETTERS]
    is_path = posixpath.normpath(new_name) == new_name and not new_name.startswith(("/", ".."))
    return new_name if is_path and new_name != "." else new_name.replace("/", "_").replace(".", "_")


def _params(values: dict[str, Any]) -> list:
    """Return nested values as flat parameters `a.b.c`, of at most 500 characters each."""
    from mlflow.entities import Param

    flat = dict(_flat(values))
    names = _allowed_names(list(flat))
    return [Param(name, str(value)[:500]) for name, value in zip(names, flat.values(), strict=True)]


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
