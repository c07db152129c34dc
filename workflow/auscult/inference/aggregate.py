"""Aggregate networks' outputs: segments to recordings to cases by each head's pooling, heads to classes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from scipy.special import softmax

from auscult.config.systems import Head, Pool, Task, heads_of
from auscult.config.targets import TargetClasses
from auscult.heads.outputs import class_columns, class_probabilities, output_names
from auscult.heads.pooling import pool, pool_heads
from auscult.heads.uncertainty import measures
from auscult.inference.columns import largest_column, network_columns
from auscult.plan.names import NetworkName


@dataclass(frozen=True)
class Scorer:
    """Networks that together have scored every case of a role once: one network, or those of all inner folds.

    `group` of the outputs.h5 in `folders` has their outputs. Of several folders, `cases` says which cases each network
    scores, those without recordings too.
    """

    group: str
    folders: list[Path]
    cases: list[list[str]] | None = None


def scorer_of(group: str, folders: list[str], cases_of_inner: dict[int, list[str]]) -> Scorer:
    """The networks in some model folders as one scorer; cases_of_inner: by inner fold, {} for networks of a fold."""
    paths = [Path(folder) for folder in folders]
    inner = [NetworkName.parse(path.name).inner for path in paths] if cases_of_inner else []
    return Scorer(group, paths, [cases_of_inner[number] for number in inner] or None)


def each_alone(folders: dict[str, list[Path]], roles: list[str]) -> dict[str, dict[str, list[Scorer]]]:
    """Every network of `folders` (by task) as a scorer of its own, for every role."""
    return {
        role: {task: [Scorer(role, [folder]) for folder in task_folders] for task, task_folders in folders.items()}
        for role in roles
    }


def aggregate(
    tasks: dict[str, Task],
    targets: dict[str, TargetClasses],
    pools: dict[str, Pool],
    scorers: dict[str, dict[str, list[Scorer]]],
    roles: pd.DataFrame,
    weigh_by_validation: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of one unit and fold: (cases, recordings).

    Parameters
    ----------
    tasks : of the unit, in its order.
    targets : those that the heads of the tasks serve.
    pools : by head; a head without an entry takes means.
    scorers : by role and task; the passes of the scorers of a task stand side by side.
    roles : `case, role` of the fold.
    weigh_by_validation : scorers of a task count by the softmax of their networks' validation scores, not alike.

    `cases`: role, case, per output `p_<output>`, `variance_<output>` and `max|<output>` (the largest of a
    network over the recordings of a case, then the mean over the networks), per head `entropy_<head>` and
    `information_<head>` (nats), and per target `<target>:<class>`. A case without recordings has the training priors,
    no variance and no `max|`. `recordings`: role, recording, case, site, and the same columns without `max|`;
    of several networks also the class probabilities of each, see `columns.network_columns`.
    """
    heads = heads_of(tasks)
    outputs = [f"p_{name}" for name in output_names(heads)]
    case_tables, recording_tables = [], []
    for role, by_task in scorers.items():
        ids = sorted(roles.loc[roles["role"] == role, "case"])
        priors = np.concatenate([_of_training(by_task[task], "priors", ids).mean(axis=0) for task in tasks], axis=1)
        weights = {}
        if weigh_by_validation:
            weights = {task: _weights(_of_training(by_task[task], "val_score", ids)).T for task in tasks}
        passes = {task: _read(by_task[task], tasks[task].heads, pools) for task in tasks}
        recordings = next(iter(passes.values()))[0].assign(role=role)
        owner = pd.Series(range(len(ids)), index=ids)[recordings["case"]].to_numpy()
        by_recording = {task: values for task, (_, values) in passes.items()}
        by_case = {
            task: pool_heads(values, owner, len(ids), tasks[task].heads, pools, "recordings")
            for task, values in by_recording.items()
        }
        cases = pd.DataFrame({"role": role, "case": ids}).join(_summary(tasks, by_case, weights))
        of_recordings = {task: of_case[owner] for task, of_case in weights.items()}
        recordings = recordings.join(_summary(tasks, by_recording, of_recordings))
        of_networks = {task: _by_network(values, len(by_task[task])) for task, values in by_recording.items()}
        cases = cases.join(_largest(tasks, of_networks, owner, len(ids), weights))
        without_recordings = cases[outputs].isna().any(axis=1)
        cases.loc[without_recordings, outputs] = priors[without_recordings]
        for table in (cases, recordings):
            p = table[outputs].to_numpy()
            for key, target in targets.items():
                table[class_columns(target.classes, key)] = class_probabilities(target, heads, p)
        p = np.concatenate(list(of_networks.values()), axis=2)
        for number in range(p.shape[1] if p.shape[1] > 1 else 0):
            for key, target in targets.items():
                columns = network_columns(target.classes, key, number)
                recordings[columns] = class_probabilities(target, heads, p[:, number])
        case_tables.append(cases)
        recording_tables.append(recordings[["role", *[column for column in recordings if column != "role"]]])
    return pd.concat(case_tables), pd.concat(recording_tables)


def _summary(tasks: dict[str, Task], passes: dict[str, np.ndarray], weights: dict[str, np.ndarray]) -> pd.DataFrame:
    """Columns `p_, variance_<output>` and `entropy_, information_<head>` of passes (n, passes, outputs) by task.

    weights: by task, of each scorer (n, scorers), whose passes stand side by side; {} where all count alike.
    """
    columns = {}
    for task, values in passes.items():
        heads = tasks[task].heads
        pass_weights = weights.get(task) if len(values) else None
        if pass_weights is not None:
            pass_weights = np.repeat(pass_weights, values.shape[1] // pass_weights.shape[1], axis=1)
        statistics = measures(values, heads, pass_weights)
        for number, name in enumerate(output_names(heads)):
            columns[f"p_{name}"] = statistics["mean"][:, number]
            columns[f"variance_{name}"] = statistics["variance"][:, number]
        for number, name in enumerate(heads):
            columns[f"entropy_{name}"] = statistics["predictive_entropy"][:, number]
            columns[f"information_{name}"] = statistics["mutual_information"][:, number]
    return pd.DataFrame(columns)


def _by_network(passes: np.ndarray, networks: int) -> np.ndarray:
    """Mean probabilities of every network (n, networks, outputs) of passes that stand side by side."""
    n, count, outputs = passes.shape
    return passes.reshape(n, networks, count // networks, outputs).mean(axis=2)


def _largest(
    tasks: dict[str, Task],
    of_networks: dict[str, np.ndarray],
    owner: np.ndarray,
    cases: int,
    weights: dict[str, np.ndarray],
) -> pd.DataFrame:
    """Columns `max|<output>` of cases. The largest is taken of each network: of a mean of more it is smaller.

    of_networks: by task (recordings, networks, outputs). owner: see `heads.pooling.pool`. weights: as in `_summary`.
    """
    columns = {}
    for task, values in of_networks.items():
        largest = pool(values, owner, cases, "max", 1)
        shares = np.broadcast_to(weights[task][..., None] if task in weights else 1.0, largest.shape)
        mean = (largest * shares).sum(axis=1) / shares.sum(axis=1)
        columns |= {
            largest_column(name): mean[:, number] for number, name in enumerate(output_names(tasks[task].heads))
        }
    return pd.DataFrame(columns)


def read_latents(folders: list[Path], role: str) -> pd.DataFrame:
    """MC-mean latents of one network's cases: a row per case (one member: latents of networks share no axes)."""
    with h5py.File(folders[0] / "outputs.h5", "r") as file:
        if "cases" not in file[role]:
            return pd.DataFrame()
        names = file[f"{role}/cases/case"].asstr()[:]
        return pd.DataFrame(file[f"{role}/cases/latents"][:].astype(np.float32), index=names)


def _read(scorers: list[Scorer], heads: dict[str, Head], pools: dict[str, Pool]) -> tuple[pd.DataFrame, np.ndarray]:
    """Recordings of a role, and their probabilities (recordings, passes of all scorers, outputs)."""
    passes, first = [], None
    for scorer in scorers:
        outputs = [_read_network(folder, scorer.group, heads, pools) for folder in scorer.folders]
        table = pd.concat([table for table, _ in outputs], ignore_index=True).astype(object)
        order = np.argsort(table["recording"].to_numpy(dtype=object), kind="stable")
        table = table.iloc[order].reset_index(drop=True)
        first = table if first is None else first
        if not table.equals(first):  # scorers are joined by the order of rows
            raise ValueError(
                f"{scorer.folders[0]}: its {scorer.group} recordings are not those of {scorers[0].folders[0]}; run "
                "snakemake again"
            )
        passes.append(np.concatenate([values for _, values in outputs if len(values)] or [outputs[0][1]])[order])
    return table, np.concatenate(passes, axis=1)


def _read_network(
    folder: Path, group: str, heads: dict[str, Head], pools: dict[str, Pool]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Recordings that one network has scored, and their probabilities (recordings, passes, outputs)."""
    with h5py.File(folder / "outputs.h5", "r") as file:
        outputs = file[group]
        if "segments" not in outputs:
            no_passes = np.zeros((0, 1, sum(head.outputs for head in heads.values())))
            return pd.DataFrame({"recording": [], "case": [], "site": []}, dtype=object), no_passes
        table = pd.DataFrame({key: outputs[f"recordings/{key}"].asstr()[:] for key in ("recording", "case", "site")})
        segments = outputs["segments/passes"][:]
        return table, pool_heads(segments, outputs["segments/recording"][:], len(table), heads, pools, "segments")


def _weights(scores: np.ndarray) -> np.ndarray:
    """The softmax of validation scores over the scorers (scorers, cases); alike where none has a score."""
    return softmax(np.where(np.isneginf(scores).all(axis=0), 0, scores), axis=0)


def _of_training(scorers: list[Scorer], key: str, ids: list[str]) -> np.ndarray:
    """A value of manifest.json of the network that scored each case: (scorers, cases, …)."""
    values = []
    for scorer in scorers:
        facts = [json.loads((folder / "manifest.json").read_text(encoding="utf-8")) for folder in scorer.folders]
        network_of = {case: number for number, cases in enumerate(scorer.cases or [ids]) for case in cases}
        values.append(np.array([manifest[key] for manifest in facts])[[network_of[case] for case in ids]])
    return np.stack(values)
