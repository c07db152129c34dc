"""One scoring job: a trained network and the cases of some roles in, outputs.h5 out.

outputs.h5 has a group per role (`val`, `test`, …) with an attribute `digest`: what that group depends on. A group
whose digest is still right is kept.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from auscult.cache.store import open_cache, replacing
from auscult.datasets.base import Manifest
from auscult.heads.outputs import output_names
from auscult.heads.pooling import pool
from auscult.heads.uncertainty import measures
from auscult.progress import note
from auscult.training.job import Job
from auscult.training.slices import fold_slice, slice_digest


def score(
    job: Job,
    roles: list[str],
    manifest: Manifest,
    folds: pd.DataFrame,
    cache: Path,
    cache_config: dict[str, Any],
    code: str,
    locks: Path,
    threads: int,
) -> dict[str, str]:
    """Score the cases of `roles` with the network in `job.folder`; returns role → `scored` or `reused`.

    No label is read, but under `training.select: test`. See `training.job.train` for the parameters. Probabilities in
    outputs.h5 are of the head's named class; recordings and cases there are plain means of their windows and recordings
    (`aggregate` pools by rule).
    """
    path = job.folder / "outputs.h5"
    weights = hashlib.sha256((job.folder / "weights.safetensors").read_bytes()).hexdigest()
    inference = job.system.inference.model_dump(exclude={"pool"})
    config = {"network": job.config(), "cache": cache_config, "inference": inference, "weights": weights}
    judged = None
    if job.system.training.select == "test":
        judged = fold_slice(manifest, folds, job.repeat, job.fold, ["test"], job.task.heads)
        config["judged"] = slice_digest(*judged, None, "")
    slices = {role: fold_slice(manifest, folds, job.repeat, job.fold, [role], {}) for role in roles}
    digests = {role: slice_digest(*part, config, code) for role, part in slices.items()}
    kept = _kept(path, digests)
    todo = [role for role in roles if role not in kept]
    if todo:
        with replacing(path) as file:
            if kept:
                with h5py.File(path, "r") as old:
                    for role in kept:
                        old.copy(role, file)
            wanted = {role: slices[role] for role in todo}
            _score(job, wanted, digests, judged, file, cache, cache_config, locks, threads)
    else:
        path.touch()
    return {role: "scored" if role in todo else "reused" for role in roles}


def _kept(path: Path, digests: dict[str, str]) -> list[str]:
    try:
        with h5py.File(path, "r") as file:
            return [role for role, digest in digests.items() if role in file and file[role].attrs["digest"] == digest]
    except (OSError, KeyError):
        return []


def load_network(job: Job, where) -> tuple[Any, tuple[Any, Any], int, tuple[int, int, int]]:
    """A trained network on a device, its front end (module, settings), the windows' hop in frames, and their shape."""
    import torch
    from safetensors.torch import load_file

    from auscult import features, networks
    from auscult.cache.segments import window_frames

    built = json.loads((job.folder / "config.json").read_text(encoding="utf-8"))
    module, _ = features.front_end(job.system.front_end.name)
    settings = module.Settings.model_validate(job.system.front_end.settings)
    _, hop = window_frames(job.system.segment, module.frames_per_second(settings))
    shape = tuple(built["inputs"])
    network = networks.build(job.system.network.name, job.system.network.options, shape, len(built["outputs"]))
    network.load_state_dict(load_file(job.folder / "weights.safetensors"))
    return network.to(where, memory_format=torch.channels_last), (module, settings), hop, shape


def _score(
    job: Job,
    slices: dict,
    digests: dict,
    judged: tuple[pd.DataFrame, pd.DataFrame] | None,
    file: h5py.File,
    cache: Path,
    cache_config: dict,
    locks: Path,
    threads: int,
) -> None:
    from auscult.inference.judged_epoch import load_judged_epoch
    from auscult.inference.monte_carlo import stochastic_passes
    from auscult.training.data import load_frames
    from auscult.training.device import device, seed_everything

    store = open_cache(cache, cache_config)
    outputs = output_names(job.task.heads)
    with device(locks, threads) as where:
        seed_everything(job.seed, job.system.training.deterministic)
        network, (module, front), hop, shape = load_network(job, where)
        if judged:
            load_judged_epoch(job, network, judged, store, shape, module.pad_value(front), hop, where)
        for role, (cases, recordings) in slices.items():
            names = recordings["recording"].tolist()
            group = file.create_group(role)
            group.attrs.update({"digest": digests[role], "outputs": outputs, "heads": list(job.task.heads)})
            note(f"{role}: {len(names)} recordings of {len(cases)} cases")
            if not names:
                continue
            frames = load_frames(store, names, shape, module.pad_value(front), where, job.system.training.resident)
            settings = job.system.inference
            which, start, passes, latents = stochastic_passes(
                network, frames, hop, job.task.heads, settings.passes, settings.batch, job.seed
            )
            _write(group, job, recordings, which, start, passes, latents)


def _write(group: h5py.Group, job: Job, recordings: pd.DataFrame, which, start, passes, latents) -> None:
    names = recordings["recording"].to_numpy(dtype=object)
    cases, owner = np.unique(recordings["case"].to_numpy(dtype=object), return_inverse=True)
    by_recording = pool(passes, which, len(names), "mean", 1)
    by_case = pool(by_recording, owner, len(cases), "mean", 1)
    text = h5py.string_dtype()
    levels = {"segments": passes, "recordings": by_recording, "cases": by_case}
    for level, values in levels.items():
        part = group.create_group(level)
        for name, array in measures(values, job.task.heads).items():
            part.create_dataset(name, data=array.astype(np.float32))
        part.create_dataset("passes", data=values.astype(np.float32))
    group.create_dataset("segments/recording", data=which)
    group.create_dataset("segments/start", data=start)
    group.create_dataset("recordings/recording", data=names, dtype=text)
    group.create_dataset("recordings/case", data=recordings["case"].to_numpy(dtype=object), dtype=text)
    group.create_dataset("recordings/site", data=recordings["site"].to_numpy(dtype=object), dtype=text)
    group.create_dataset("cases/case", data=cases, dtype=text)
    hidden = pool(pool(latents, which, len(names), "mean", 1), owner, len(cases), "mean", 1)
    group.create_dataset("cases/latents", data=hidden.astype(np.float16))
