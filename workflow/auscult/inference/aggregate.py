"""Aggregation ("DBRes outputs"): segments to recordings to cases by each head's rule, heads to classes."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from scipy.special import softmax

from auscult.config.study import Study
from auscult.config.systems import Head, Pool, System
from auscult.config.targets import Target
from auscult.inference.uncertainty import measures
from auscult.training.scoring import pool
from auscult.training.targets import columns, output_names


def pool_heads(
    values: np.ndarray,
    owner: np.ndarray,
    owners: int,
    heads: dict[str, Head],
    pools: dict[str, Pool],
    level: str,
) -> np.ndarray:
    """`pool` with each head's own rule; `level` is `segments` or `recordings`. Last axis of `values`: outputs."""
    parts = []
    for name, span in columns(heads).items():
        rule = pools.get(name, Pool())
        pooled = pool(values[..., span], owner, owners, getattr(rule, level), rule.k)
        if heads[name].kind == "multiclass":
            pooled = np.maximum(pooled, 1e-12)  # the least of every class may be 0
            pooled /= pooled.sum(axis=-1, keepdims=True)
        parts.append(pooled)
    return np.concatenate(parts, axis=-1)


def class_probabilities(target: Target, heads: dict[str, Head], p: np.ndarray) -> np.ndarray:
    """Probabilities of the heads (n, outputs) to those of the target's classes (n, classes).

    A multiclass or multilabel head gives its own. Binary heads are asked in order: the first class has p₁, the second
    (1 − p₁) p₂, …, the last what is left (Walker et al. 2022).
    """
    spans = columns(heads)
    if heads[target.heads[0]].kind != "binary":
        return p[:, spans[target.heads[0]]]
    left, parts = np.ones(len(p)), []
    for name in target.heads:
        q = p[:, spans[name].start]
        parts.append(left * q)
        left = left * (1 - q)
    return np.stack([*parts, left], axis=1)


def aggregate(
    study: Study,
    system: System,
    folders: dict[str, list[Path]],
    roles: list[str],
    members: pd.DataFrame,
    weighed: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of one system and fold: (cases, recordings).

    Parameters
    ----------
    folders : model folders of each task, one per member of the ensemble; passes of members stand side by side.
    roles : groups of outputs.h5 to read.
    members : `case, role` of the fold.
    weighed : whether networks of a task count by the softmax of their validation scores, not alike.

    `cases`: role, case, per output `p_<output>` and `variance_<output>`, per head `entropy_<head>` and
    `information_<head>` (nats), and per target `<target>:<class>`. A case without recordings has the
    training priors and no variance. `recordings`: role, recording, case, site, and the same columns.
    """
    heads = study.heads_of(system)
    names = output_names(heads)
    pools = system.inference.pool
    case_tables, recording_tables = [], []
    priors = np.concatenate([np.mean(_made(folders[task], "priors"), axis=0) for task in system.tasks])
    weights = {task: softmax(_made(folders[task], "val_score")) if weighed else None for task in system.tasks}
    for role in roles:
        ids = sorted(members.loc[members["role"] == role, "case"])
        parts = {task: _read(folders[task], role, study.tasks[task].heads, pools) for task in system.tasks}
        heard = next(iter(parts.values()))[0].assign(role=role)
        place = pd.Series(range(len(ids)), index=ids)
        owner = place[heard["case"]].to_numpy()
        by_recording = {task: values for task, (_, values) in parts.items()}
        by_case = {
            task: pool_heads(values, owner, len(ids), study.tasks[task].heads, pools, "recordings")
            for task, values in by_recording.items()
        }
        table = pd.DataFrame({"role": role, "case": ids}).join(_summary(study, by_case, weights))
        heard = heard.join(_summary(study, by_recording, weights))
        silent = table[[f"p_{name}" for name in names]].isna().any(axis=1)
        table.loc[silent, [f"p_{name}" for name in names]] = priors
        for level in (table, heard):
            p = level[[f"p_{name}" for name in names]].to_numpy()
            for key, target in study.targets_of(system).items():
                level[[f"{key}:{c}" for c in target.classes]] = class_probabilities(target, heads, p)
        case_tables.append(table)
        recording_tables.append(heard[["role", *[c for c in heard if c != "role"]]])
    return pd.concat(case_tables), pd.concat(recording_tables)


def _summary(study: Study, passes: dict[str, np.ndarray], weights: dict[str, np.ndarray | None]) -> pd.DataFrame:
    """Columns `p_, variance_<output>` and `entropy_, information_<head>` of passes (n, passes, outputs) by task.

    weights: by task, of each network, whose passes stand side by side; None where all count alike.
    """
    columns = {}
    for task, values in passes.items():
        heads = study.tasks[task].heads
        each = weights[task] if len(values) else None
        found = measures(values, heads, None if each is None else np.repeat(each, values.shape[1] // len(each)))
        for number, name in enumerate(output_names(heads)):
            columns[f"p_{name}"] = found["mean"][:, number]
            columns[f"variance_{name}"] = found["variance"][:, number]
        for number, name in enumerate(heads):
            columns[f"entropy_{name}"] = found["predictive_entropy"][:, number]
            columns[f"information_{name}"] = found["mutual_information"][:, number]
    return pd.DataFrame(columns)


def read_latents(folders: list[Path], role: str) -> pd.DataFrame:
    """MC-mean latents of one network's cases: a row per case (one member: latents of networks share no axes)."""
    with h5py.File(folders[0] / "outputs.h5", "r") as file:
        if "cases" not in file[role]:
            return pd.DataFrame()
        names = file[f"{role}/cases/case"].asstr()[:]
        return pd.DataFrame(file[f"{role}/cases/latents"][:].astype(np.float32), index=names)


def _read(
    folders: list[Path], role: str, heads: dict[str, Head], pools: dict[str, Pool]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Recordings of a role, and their probabilities (recordings, passes of all members, outputs)."""
    found, first = [], None
    for folder in folders:
        with h5py.File(folder / "outputs.h5", "r") as file:
            if "segments" not in file[role]:
                return pd.DataFrame({"recording": [], "case": [], "site": []}), np.zeros(
                    (0, 1, sum(h.outputs for h in heads.values()))
                )
            part = file[role]
            table = pd.DataFrame({key: part[f"recordings/{key}"].asstr()[:] for key in ("recording", "case", "site")})
            first = table if first is None else first
            if not table.equals(first):  # members are joined by place
                raise ValueError(f"{folder}: its {role} recordings are not those of {folders[0]}; run snakemake again")
            segments = part["segments/passes"][:]
            found.append(pool_heads(segments, part["segments/recording"][:], len(table), heads, pools, "segments"))
    return table, np.concatenate(found, axis=1)


def _made(folders: list[Path], key: str) -> np.ndarray:
    """A value of every network's manifest.json: (networks, …)."""
    return np.array([json.loads((folder / "manifest.json").read_text(encoding="utf-8"))[key] for folder in folders])
