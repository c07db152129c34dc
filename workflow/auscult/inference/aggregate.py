"""Aggregation ("DBRes outputs"): segments to recordings to cases by each head's rule, heads to classes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from scipy.special import softmax

from auscult.config.study import Study
from auscult.config.systems import Head, Pool, System
from auscult.heads.outputs import class_columns, class_probabilities, output_names
from auscult.heads.pooling import pool_heads
from auscult.heads.uncertainty import measures


@dataclass(frozen=True)
class Voice:
    """What has scored all cases of a role once: a network, or those of a whole division into inner folds.

    `group` of the outputs.h5 in `folders` holds them. Of several folders, `held` says which cases each holds, those
    without recordings too.
    """

    group: str
    folders: list[Path]
    held: list[list[str]] | None = None


def alone(folders: dict[str, list[Path]], roles: list[str]) -> dict[str, dict[str, list[Voice]]]:
    """Every network of `folders` (by task) as a voice of its own, for every role."""
    return {role: {task: [Voice(role, [one]) for one in found] for task, found in folders.items()} for role in roles}


def aggregate(
    study: Study,
    system: System,
    voices: dict[str, dict[str, list[Voice]]],
    members: pd.DataFrame,
    weighed: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of one system and fold: (cases, recordings).

    Parameters
    ----------
    voices : by role and task; passes of the voices of a task stand side by side.
    members : `case, role` of the fold.
    weighed : whether voices of a task count by the softmax of their networks' validation scores, not alike.

    `cases`: role, case, per output `p_<output>` and `variance_<output>`, per head `entropy_<head>` and
    `information_<head>` (nats), and per target `<target>:<class>`. A case without recordings has the
    training priors and no variance. `recordings`: role, recording, case, site, and the same columns.
    """
    heads = study.heads_of(system)
    names = output_names(heads)
    pools = system.inference.pool
    case_tables, recording_tables = [], []
    for role, by_task in voices.items():
        ids = sorted(members.loc[members["role"] == role, "case"])
        priors = np.concatenate([_made(by_task[task], "priors", ids).mean(axis=0) for task in system.tasks], axis=1)
        weights = {}
        if weighed:
            weights = {task: softmax(_made(by_task[task], "val_score", ids), axis=0).T for task in system.tasks}
        parts = {task: _read(by_task[task], study.tasks[task].heads, pools) for task in system.tasks}
        heard = next(iter(parts.values()))[0].assign(role=role)
        place = pd.Series(range(len(ids)), index=ids)
        owner = place[heard["case"]].to_numpy()
        by_recording = {task: values for task, (_, values) in parts.items()}
        by_case = {
            task: pool_heads(values, owner, len(ids), study.tasks[task].heads, pools, "recordings")
            for task, values in by_recording.items()
        }
        table = pd.DataFrame({"role": role, "case": ids}).join(_summary(study, by_case, weights))
        heard = heard.join(_summary(study, by_recording, {task: of_case[owner] for task, of_case in weights.items()}))
        silent = table[[f"p_{name}" for name in names]].isna().any(axis=1)
        table.loc[silent, [f"p_{name}" for name in names]] = priors[silent]
        for level in (table, heard):
            p = level[[f"p_{name}" for name in names]].to_numpy()
            for key, target in study.targets_of(system).items():
                level[class_columns(target.classes, key)] = class_probabilities(target, heads, p)
        case_tables.append(table)
        recording_tables.append(heard[["role", *[c for c in heard if c != "role"]]])
    return pd.concat(case_tables), pd.concat(recording_tables)


def _summary(study: Study, passes: dict[str, np.ndarray], weights: dict[str, np.ndarray]) -> pd.DataFrame:
    """Columns `p_, variance_<output>` and `entropy_, information_<head>` of passes (n, passes, outputs) by task.

    weights: by task, of each voice (n, voices), whose passes stand side by side; {} where all count alike.
    """
    columns = {}
    for task, values in passes.items():
        heads = study.tasks[task].heads
        each = weights.get(task) if len(values) else None
        if each is not None:
            each = np.repeat(each, values.shape[1] // each.shape[1], axis=1)
        found = measures(values, heads, each)
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


def _read(voices: list[Voice], heads: dict[str, Head], pools: dict[str, Pool]) -> tuple[pd.DataFrame, np.ndarray]:
    """Recordings of a role, and their probabilities (recordings, passes of all voices, outputs)."""
    found, first = [], None
    for voice in voices:
        read = [_read_network(folder, voice.group, heads, pools) for folder in voice.folders]
        table = pd.concat([table for table, _ in read], ignore_index=True).astype(object)
        order = np.argsort(table["recording"].to_numpy(dtype=object), kind="stable")
        table = table.iloc[order].reset_index(drop=True)
        first = table if first is None else first
        if not table.equals(first):  # voices are joined by place
            where = voices[0].folders[0]
            raise ValueError(
                f"{voice.folders[0]}: its {voice.group} recordings are not those of {where}; run snakemake again"
            )
        found.append(np.concatenate([passes for _, passes in read if len(passes)] or [read[0][1]])[order])
    return table, np.concatenate(found, axis=1)


def _read_network(
    folder: Path, group: str, heads: dict[str, Head], pools: dict[str, Pool]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Recordings that one network has scored, and their probabilities (recordings, passes, outputs)."""
    with h5py.File(folder / "outputs.h5", "r") as file:
        part = file[group]
        if "segments" not in part:
            nothing = np.zeros((0, 1, sum(head.outputs for head in heads.values())))
            return pd.DataFrame({"recording": [], "case": [], "site": []}, dtype=object), nothing
        table = pd.DataFrame({key: part[f"recordings/{key}"].asstr()[:] for key in ("recording", "case", "site")})
        segments = part["segments/passes"][:]
        return table, pool_heads(segments, part["segments/recording"][:], len(table), heads, pools, "segments")


def _made(voices: list[Voice], key: str, ids: list[str]) -> np.ndarray:
    """A value of manifest.json of the network that scored each case: (voices, cases, …)."""
    parts = []
    for voice in voices:
        made = [json.loads((folder / "manifest.json").read_text(encoding="utf-8"))[key] for folder in voice.folders]
        holder = {case: number for number, cases in enumerate(voice.held or [ids]) for case in cases}
        parts.append(np.array(made)[[holder[case] for case in ids]])
    return np.stack(parts)
