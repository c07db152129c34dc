"""One training job: a fold's recordings in, a model folder out, or the word that it is already right."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from auscult import features, networks
from auscult.cache.segments import window_frames
from auscult.cache.store import open_cache
from auscult.config.systems import System, Task
from auscult.datasets.base import Manifest
from auscult.heads.outputs import output_names
from auscult.progress import note
from auscult.provenance import environment, write_json, write_text
from auscult.training.slices import fold_slice, slice_digest

FILES = ("weights.safetensors", "config.json", "history.csv", "manifest.json")
RECORD = ("parameters", "multiply_adds", "epochs", "val_score", "seconds", "device")  # of it, what tables show
EPOCHS = "epochs"  # folder of every epoch's weights, where the judged cases choose one


@dataclass(frozen=True)
class Job:
    """One network: where it goes, what it learns, on which fold.

    `index` numbers the seed of an ensemble; `inner` the inner fold, where it is one's (None: the fold itself).
    """

    folder: Path
    system: System
    task: Task
    repeat: int
    fold: int
    index: int = 0
    inner: int | None = None

    @property
    def seed(self) -> int:
        """Seed of this network: its own for every fold and member of an ensemble."""
        inside = 0 if self.inner is None else 1_000_000_007 * (self.inner + 1)
        return (self.system.training.seed * 1009 + self.index) * 1009 + self.repeat * 101 + self.fold + inside

    def config(self) -> dict[str, Any]:
        """All of the configuration that the weights depend on."""
        training = self.system.training.model_dump(exclude={"seed", "seeds"})
        return {
            "task": self.task.model_dump(),
            "front_end": self.system.front_end.model_dump(),
            "segment": self.system.segment.model_dump(),
            "network": self.system.network.model_dump(),
            "training": training,
            "seed": self.seed,
        }


def train(
    job: Job,
    manifest: Manifest,
    folds: pd.DataFrame,
    cache: Path,
    cache_config: dict[str, Any],
    code: str,
    locks: Path,
    threads: int,
    log: Callable[[dict], None],
) -> str:
    """Train one network into `job.folder`; returns `trained` or `reused`.

    Parameters
    ----------
    manifest, folds : tables of the data set and of the protocol.
    cache, cache_config : the front end's shards, and what they must have been made with.
    code : digest of the code that the result depends on.
    locks, threads : see `device.device`.
    log : gets a row after every epoch.

    A finished folder whose slice digest is the same is kept as it is (its time stamps are renewed).
    """
    heads = job.task.heads
    cases, recordings = fold_slice(manifest, folds, job.repeat, job.fold, ["train", "val"], heads)
    start = job.system.network.weights
    heard = hashlib.sha256(Path(start).read_bytes()).hexdigest() if start else ""
    digest = slice_digest(cases, recordings, [job.config(), cache_config, heard], code)
    if _finished(job.folder, digest):
        return "reused"
    from safetensors.torch import save_file

    from auscult.training.device import device, seed_everything
    from auscult.training.loop import HISTORY, Plan, fit, precision
    from auscult.training.parts import read_part

    started = time.time()
    store = open_cache(cache, cache_config)
    settings = job.system.training
    module, _ = features.front_end(job.system.front_end.name)
    front = module.Settings.model_validate(job.system.front_end.settings)
    rate = module.frames_per_second(front)
    window, hop = window_frames(job.system.segment, rate)
    channels, bands = store.shape
    shape = (channels, window, bands)

    job.folder.mkdir(parents=True, exist_ok=True)
    checkpoint = job.folder / "checkpoint.safetensors"
    with device(locks, threads) as where:
        seed_everything(job.seed, settings.deterministic)
        network = networks.build(job.system.network.name, job.system.network.options, shape, len(output_names(heads)))
        if start:
            networks.load_pretrained(job.system.network.name, network, Path(start))
        _refuse_patch_mix(job.system, network)
        note(f"starts from {start}" if start else "starts from random weights")
        network.to(where)
        plan = Plan(heads, settings, hop, rate, job.seed)
        given = (cases, recordings, store, shape, module.pad_value(front), where)
        learn = read_part(job, ["train", "val"] if settings.select == "last" else ["train"], *given)
        val = None if settings.select in ("last", "test") else read_part(job, ["val"], *given)
        note(f"{len(learn.frames.recordings)} recordings of {len(learn.case_targets)} cases train on {where}")
        epochs = job.folder / EPOCHS if settings.select == "test" else None
        if epochs:
            epochs.mkdir(exist_ok=True)
        history = fit(network, learn, val, plan, checkpoint, digest, log, epochs)
    weights = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    temporary = job.folder / ".weights.safetensors"
    save_file(weights, temporary)
    (job.folder / "manifest.json").unlink(missing_ok=True)  # of the weights that are replaced now
    temporary.replace(job.folder / "weights.safetensors")
    write_json(job.folder / "config.json", {**job.config(), "inputs": shape, "outputs": output_names(heads)})
    write_text(job.folder / "history.csv", pd.DataFrame(history, columns=HISTORY).to_csv(index=False))
    scores = [row["val_score"] for row in history]
    best = int(np.argmax(scores)) if val else len(history) - 1
    facts = {
        "slice_digest": digest,
        "versions": environment(),
        "device": str(where),
        "precision": precision(where, settings),
        "threads": threads,
        "seed": job.seed,
        "started_from": start,
        "parameters": sum(p.numel() for p in network.parameters()),
        "multiply_adds": networks.multiply_adds(network, shape),
        "counts": {
            "train_cases": len(learn.case_targets),
            "val_cases": len(val.case_targets) if val else 0,
            "train_recordings": len(learn.frames.recordings),
            "val_recordings": len(val.frames.recordings) if val else 0,
            "short_recordings": int((learn.frames.length.cpu() < window).sum()),
        },
        "priors": np.nanmean(learn.case_targets, axis=0).tolist(),
        "epochs": len(history),
        "best_epoch": best,
        "val_score": scores[best] if val else None,
        "seconds": round(time.time() - started, 2),
    }
    write_json(job.folder / "manifest.json", facts)
    checkpoint.unlink(missing_ok=True)
    return "trained"


def _refuse_patch_mix(system: System, network: Any) -> None:
    """Raise ValueError where the network cannot mix patches as the training asks."""
    wanted, name = system.training.patch_mix, system.network.name
    if wanted != "none" and not hasattr(network, "patches"):
        raise ValueError(f"training.patch_mix: the network {name} has no patches to mix; take ast, or none")
    if wanted == "contrast" and network.projector is None:
        raise ValueError(f"training.patch_mix: contrast needs network.options.projector: true of {name}")


def read_trainings(folders: list[Path]) -> pd.DataFrame:
    """What is on record of trainings.

    `system, task, network, parameters, multiply_adds, epochs, val_score, seconds, device`.
    """
    rows = []
    for folder in folders:
        made = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        kept = {key: made[key] for key in RECORD}
        rows.append(dict(zip(("system", "task", "network"), folder.parts[-3:], strict=True)) | kept)
    return pd.DataFrame(rows)


def _finished(folder: Path, digest: str) -> bool:
    """Whether the folder holds a finished model of this digest; its files are then touched, not changed."""
    try:
        same = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["slice_digest"] == digest
    except (OSError, ValueError, KeyError):
        return False
    if same and all((folder / name).is_file() for name in FILES):
        for name in FILES:
            (folder / name).touch()
        return True
    return False
