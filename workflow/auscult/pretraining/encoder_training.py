"""A pre-training from the first weights to the finished folder: weights, their declaration, history."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from auscult import networks
from auscult.pretraining import PretrainingError
from auscult.pretraining.job import DECLARATION, PretrainingJob
from auscult.progress import note
from auscult.provenance import environment, write_json
from auscult.training.checkpoint import Checkpoint
from auscult.training.data import Windowing, load_frames, window_of
from auscult.training.device import device, precision, seed_everything
from auscult.training.job import FrameCache, Resources
from auscult.training.loop import TrainingPlan, fit
from auscult.training.model_folder import file_digest, write_weights
from auscult.training.role_data import RoleData


def train_encoder(
    job: PretrainingJob,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    frame_cache: FrameCache,
    dataset: str,
    digest: str,
    resources: Resources,
    log: Callable[[dict], None],
) -> None:
    """Pre-train and write the folder.

    tables: `case, role, subject` of the training cases, and their recordings. digest: of this slice; the rest as
    `pretrain.pretrain`. Raises PretrainingError where the method does not fit the network or its windows.
    """
    started = time.time()
    cases, recordings = tables
    cache = frame_cache.open()
    windows = window_of(job.pretraining.segment, job.front_end, *cache.shape)
    job.folder.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(job.folder / "checkpoint.safetensors", digest)
    with device(resources.locks, resources.threads) as torch_device:
        seed_everything(job.seed, job.training.deterministic)
        network, method = _network_and_method(job, windows)
        names = recordings["recording"].tolist()
        if not names:
            raise PretrainingError(f"fold {job.name}: no training recordings; see quality.csv")
        frames = load_frames(cache, names, windows, torch_device, job.training.resident)
        subjects = recordings["case"].map(cases.set_index("case")["subject"])
        numbers = pd.factorize(subjects, sort=True)[0].astype(np.float32)
        data = RoleData(frames, numbers[:, None], np.arange(len(names)), numbers[:, None])
        note(f"{len(names)} recordings of {subjects.nunique()} subjects train on {torch_device}")
        front_end = job.front_end
        plan = TrainingPlan({}, job.training, front_end.frames_per_second, job.seed, front_end.has_scalars)
        network, method = network.to(torch_device), method.to(torch_device)
        history = fit(network, method, data, None, plan, checkpoint, log)
    write_weights(job.folder, network, {**job.config(), "inputs": windows.shape}, history)
    _declare(job, dataset, sorted(set(subjects)))
    facts = {
        "slice_digest": digest,
        "weights_sha256": file_digest(job.folder / "weights.safetensors"),
        "versions": environment(),
        "device": str(torch_device),
        "precision": precision(torch_device, job.training.precision),
        "threads": resources.threads,
        "seed": job.seed,
        "parameters": sum(p.numel() for part in (network, method) for p in part.parameters()),
        "multiply_adds": networks.multiply_adds(network, windows.shape),
        "val_score": None,
        "counts": {"train_cases": len(cases), "train_recordings": len(names)},
        "epochs": len(history),
        "seconds": round(time.time() - started, 2),
    }
    write_json(job.folder / "manifest.json", facts)
    checkpoint.path.unlink(missing_ok=True)


def _network_and_method(job: PretrainingJob, windows: Windowing) -> tuple[nn.Module, nn.Module]:
    """The network with random weights, and the method's own part. Raises PretrainingError where they do not fit."""
    settings = job.pretraining
    network = networks.build(settings.network.name, settings.network.options, windows.shape, 1)
    module = importlib.import_module(f"auscult.pretraining.methods.{settings.method.name}")
    options = module.Options.model_validate(settings.method.options)
    try:
        return network, module.build(options, network, windows.shape)
    except ValueError as error:
        raise PretrainingError(f"method {settings.method.name}, network {settings.network.name}: {error}") from error


def _declare(job: PretrainingJob, dataset: str, subjects: list[str]) -> None:
    """Write what the weights were trained on: the subjects of the recordings that were read."""
    declaration: dict[str, Any] = {
        "source": f"pre-training by {job.pretraining.method.name} on the training cases of {job.name}",
        "heard": [{"dataset": dataset, "subjects": subjects}],
    }
    write_json(job.folder / DECLARATION, declaration)
