"""Aggregation ("DBRes outputs"): segments to recordings to cases by each head's rule, heads to classes."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

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


def aggregate(study: Study, system: System, folders: dict[str, list[Path]], roles: list[str], members: pd.DataFrame):
    """Tables of one system and fold: (cases, recordings).

    Parameters
    ----------
    folders : model folders of each task, one per member of the ensemble; passes of members stand side by side.
    roles : groups of outputs.h5 to read.
    members : `case, role` of the fold.

    `cases`: role, case, per output `p_<output>` and `variance_<output>`, per head `entropy_<head>` and
    `information_<head>` (nats), and per target `<target>:<class>`. A case without recordings has the
    training priors and no variance. `recordings`: role, recording, case, site, `p_<output>` and `<target>:<class>`.
    """
    heads = study.heads_of(system)
    names = output_names(heads)
    pools = system.inference.pool
    case_tables, recording_tables = [], []
    priors = np.concatenate([_priors(folders[task]) for task in system.tasks])
    for role in roles:
        ids = sorted(members.loc[members["role"] == role, "case"])
        parts = [_read(folders[task], role, study.tasks[task].heads, pools) for task in system.tasks]
        first = parts[0][0]
        by_recording = np.concatenate([_mean(values) for _, values in parts], axis=1)
        place = pd.Series(range(len(ids)), index=ids)
        owner = place[first["case"]].to_numpy()
        summaries = [
            measures(
                pool_heads(values, owner, len(ids), study.tasks[task].heads, pools, "recordings"),
                study.tasks[task].heads,
            )
            for task, (_, values) in zip(system.tasks, parts, strict=True)
        ]
        joined = {key: np.concatenate([summary[key] for summary in summaries], axis=1) for key in summaries[0]}
        silent = np.isnan(joined["mean"]).any(axis=1)
        joined["mean"][silent] = priors
        table = pd.DataFrame({"role": role, "case": ids})
        for number, name in enumerate(names):
            table[f"p_{name}"] = joined["mean"][:, number]
            table[f"variance_{name}"] = joined["variance"][:, number]
        for number, name in enumerate(heads):
            table[f"entropy_{name}"] = joined["predictive_entropy"][:, number]
            table[f"information_{name}"] = joined["mutual_information"][:, number]
        heard = first.assign(role=role)
        for number, name in enumerate(names):
            heard[f"p_{name}"] = by_recording[:, number]
        for key, target in study.targets_of(system).items():
            p = class_probabilities(target, heads, joined["mean"])
            table[[f"{key}:{c}" for c in target.classes]] = p
            heard[[f"{key}:{c}" for c in target.classes]] = class_probabilities(target, heads, by_recording)
        case_tables.append(table)
        recording_tables.append(heard[["role", *[c for c in heard if c != "role"]]])
    return pd.concat(case_tables), pd.concat(recording_tables)


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
    found = []
    for folder in folders:
        with h5py.File(folder / "outputs.h5", "r") as file:
            if "segments" not in file[role]:
                return pd.DataFrame({"recording": [], "case": [], "site": []}), np.zeros(
                    (0, 1, sum(h.outputs for h in heads.values()))
                )
            part = file[role]
            table = pd.DataFrame({key: part[f"recordings/{key}"].asstr()[:] for key in ("recording", "case", "site")})
            segments = part["segments/passes"][:]
            found.append(pool_heads(segments, part["segments/recording"][:], len(table), heads, pools, "segments"))
    return table, np.concatenate(found, axis=1)


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=1) if len(values) else values[:, 0]


def _priors(folders: list[Path]) -> np.ndarray:
    found = [json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["priors"] for folder in folders]
    return np.mean(found, axis=0)
