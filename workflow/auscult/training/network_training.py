"""A training from the first weights to the finished model folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from auscult import networks
from auscult.config.systems import System
from auscult.folds.planned import FoldError
from auscult.heads.outputs import columns, output_names
from auscult.progress import note
from auscult.provenance import environment, file_digest, write_json
from auscult.training.case_frames import sites_of
from auscult.training.checkpoint import Checkpoint
from auscult.training.data import Windowing, windowing
from auscult.training.device import device, precision, seed_everything
from auscult.training.distillation import softened
from auscult.training.epoch_by_test import weights_writer
from auscult.training.extra_cases import ExtraCases, read_extra
from auscult.training.job import FrameCache, Job, Resources
from auscult.training.loop import TrainingPlan, fit
from auscult.training.loss import LabelLoss
from auscult.training.model_folder import write_weights
from auscult.training.role_data import RoleData, Source, read_role_data, together
from auscult.training.teacher import TeacherNetwork
from auscult.training.transfer import Transfer


def train_network(
    job: Job,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    frame_cache: FrameCache,
    digest: str,
    resources: Resources,
    log: Callable[[dict], None],
    teacher: TeacherNetwork | None,
    cases_sha256: str,
    extras: Sequence[ExtraCases] = (),
) -> None:
    """Train a network and write its folder. `tables`, `digest`: of its slice, see `slices`; the rest as `train.train`.

    cases_sha256: which cases train and validate, see `teacher.cases_digest`.
    """
    start_s = time.time()
    cache = frame_cache.open()
    settings, (cases, recordings) = job.system.training, tables
    trains = recordings["case"].isin(cases.loc[cases["role"].isin(_training_roles(job)), "case"])
    sites = sites_of(recordings[trains]) if job.system.segment.of == "case" else None
    windows = windowing(job, *cache.shape, sites)
    job.folder.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(job.folder / "checkpoint.safetensors", digest)
    with device(resources) as torch_device:
        seed_everything(job.seed, settings.deterministic)
        network = _first_network(job, windows).to(torch_device)
        own_data, val_data = _read_data(job, Source(*tables, cache, windows, torch_device))
        heads, resident = job.task.heads, settings.resident
        others = [read_extra(extra, heads, windows, torch_device, resident) for extra in extras]
        train_data = together([own_data, *others])
        _require_labels(job, train_data.targets)
        front_end = job.front_end
        plan = TrainingPlan(
            job.task.heads,
            settings,
            front_end.frames_per_second,
            job.seed,
            front_end.has_scalars,
            job.system.network.frozen,
        )
        objective, train_data = _objective(job, network, train_data, teacher, torch_device)
        setup_s = time.time() - start_s
        history = fit(network, objective, train_data, val_data, plan, checkpoint, log, weights_writer(job))
    config = {
        **job.config(),
        "inputs": windows.shape,
        "outputs": output_names(job.task.heads),
        "sites": windows.sites,
    }
    write_weights(job.folder, network, config, history)
    facts = {
        "slice_digest": digest,
        "cases_sha256": cases_sha256,
        "weights_sha256": file_digest(job.folder / "weights.safetensors"),
        "versions": environment(),
        "device": str(torch_device),
        "precision": precision(torch_device, settings.precision),
        "threads": resources.threads,
        "seed": job.seed,
        "started_from": str(job.weights) if job.weights else None,
        "teacher": str(teacher.job.folder) if teacher else None,
        "parameters": sum(p.numel() for p in network.parameters()),
        "multiply_adds": networks.multiply_adds(network, windows.shape),
        **_data_facts(own_data, val_data, others),
        **_history_facts(history, val_data is not None),
        # epochs that a killed job has trained count too
        "seconds": round(setup_s + sum(row["seconds"] for row in history), 2),
    }
    write_json(job.folder / "manifest.json", facts)
    checkpoint.path.unlink(missing_ok=True)


def _first_network(job: Job, windows: Windowing) -> nn.Module:
    """The network as the training starts: with random weights, or with those of a file.

    Raises WeightsError for a file that does not fit, and ValueError where the training cannot mix its patches.
    """
    name, weights = job.system.network.name, job.weights
    outputs = len(output_names(job.task.heads))
    network = networks.build(name, job.system.network.options, windows.shape, outputs, windows.added)
    if job.system.network.pretraining:
        networks.load_encoder(network, weights)
    elif weights:
        networks.load_pretrained(name, network, weights)
    _check_patch_mix(job.system, network)
    note(f"starts from {weights}" if weights else "starts from random weights")
    return network


def _objective(
    job: Job, network: nn.Module, data: RoleData, teacher: TeacherNetwork | None, torch_device: torch.device
) -> tuple[LabelLoss, RoleData]:
    """What the training minimises, and its data with what the teacher says of each recording."""
    settings, heads = job.system.training, job.task.heads
    transfer = None
    if teacher:
        logits, latents = teacher.answers(data.frames.recordings, torch_device)
        columns = [softened(torch.from_numpy(logits), heads, settings.teacher).numpy()]
        if settings.teacher.contrast:
            transfer = Transfer(
                _latents_of(network, data),
                torch.from_numpy(latents),
                torch.from_numpy(data.targets),
                settings.teacher.negatives,
            ).to(torch_device)
            columns.append(np.arange(len(logits), dtype=np.float32)[:, None])
        data = replace(data, from_teacher=np.hstack(columns))
        note(f"learns from {teacher.job.folder}")
    return LabelLoss(settings, heads, data.targets, torch_device, transfer), data


def _latents_of(network: nn.Module, data: RoleData) -> int:
    """Width of a network's latents."""
    was_training = network.training
    network.eval()
    with torch.no_grad():
        _, latents = network(data.frames.batch(torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)))
    network.train(was_training)
    return latents.shape[1]


def _check_patch_mix(system: System, network: nn.Module) -> None:
    """Raise ValueError where the network cannot mix patches as the training asks."""
    patch_mix, name = system.training.patch_mix, system.network.name
    if patch_mix != "none" and not hasattr(network, "patches"):
        raise ValueError(f"training.patch_mix: the network {name} has no patches to mix; take ast, or none")
    if patch_mix == "contrast" and network.projector is None:
        raise ValueError(f"training.patch_mix: contrast needs network.options.projector: true of {name}")


def _require_labels(job: Job, targets: np.ndarray) -> None:
    """Raise FoldError for a head that cannot be learnt. targets: (recordings, outputs), NaN where there is no label."""
    for name, span in columns(job.task.heads).items():
        values = targets[:, span]
        values = values[~np.isnan(values).any(axis=1)]
        if not len(values):
            raise FoldError(
                f"{job.folder}: no training recording has a label of the head {name!r}; label more, or use another "
                "seed of the folds"
            )
        if job.system.training.labels < 1 and (values == values[0]).all():
            raise FoldError(
                f"{job.folder}: all labels that training.labels leaves of the head {name!r} are the same; use a larger "
                "share, or another training.seed"
            )


def _training_roles(job: Job) -> list[str]:
    """The roles of the cases to train on."""
    return ["train", "val"] if job.system.training.select == "last" else ["train"]


def _read_data(job: Job, source: Source) -> tuple[RoleData, RoleData | None]:
    """Training and validation cases; no validation cases where they do not choose the epoch."""
    select, roles = job.system.training.select, _training_roles(job)
    train_data = read_role_data(job, roles, source)
    val_data = None if select in ("last", "test") else read_role_data(job, ["val"], source)
    cases = source.cases.loc[source.cases["role"].isin(roles), "case"]
    note(f"{source.recordings['case'].isin(cases).sum()} recordings of {len(cases)} cases train on {source.device}")
    return train_data, val_data


def _data_facts(train_data: RoleData, val_data: RoleData | None, others: list[RoleData]) -> dict[str, Any]:
    """How much the network was trained on, and the mean of the targets of its own training cases."""
    windows = train_data.frames.windowing
    unit = "recordings" if windows.sites is None else "cases_with_recordings"
    return {
        "counts": {
            "train_cases": len(train_data.case_targets),
            "val_cases": len(val_data.case_targets) if val_data else 0,
            f"train_{unit}": len(train_data.frames.recordings),
            f"val_{unit}": len(val_data.frames.recordings) if val_data else 0,
            f"extra_{unit}": sum(len(other.frames.recordings) for other in others),
            f"short_{unit}": int((train_data.frames.length.cpu() < windows.shape[1]).sum()),
        },
        "priors": np.nanmean(train_data.case_targets, axis=0).tolist(),
    }


def _history_facts(history: list[dict], has_validation: bool) -> dict[str, Any]:
    """How many epochs there were, and which one was taken."""
    scores = [row["val_score"] for row in history]
    best = int(np.argmax(scores)) if has_validation else len(history) - 1
    return {"epochs": len(history), "best_epoch": best, "val_score": scores[best] if has_validation else None}
