"""A pre-training from the first weights to the finished folder: weights, their declaration, history."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import nn

from auscult import networks
from auscult.heads.outputs import output_names
from auscult.pretraining import PretrainingError, methods
from auscult.pretraining.job import DECLARATION, PretrainingJob
from auscult.pretraining.recordings import Recordings
from auscult.progress import note
from auscult.provenance import environment, file_digest, write_json
from auscult.training.checkpoint import Checkpoint
from auscult.training.data import Windowing, joined, load_frames, window_of
from auscult.training.device import device, precision, seed_everything
from auscult.training.job import Resources
from auscult.training.loop import TrainingPlan, fit
from auscult.training.loss import LabelLoss
from auscult.training.model_folder import write_weights
from auscult.training.role_data import RoleData
from auscult.training.targets import recording_targets


def train_encoder(
    job: PretrainingJob, sources: list[Recordings], digest: str, resources: Resources, log: Callable[[dict], None]
) -> None:
    """Pre-train and write the folder. digest: of what it depends on; the rest as `pretrain.pretrain`.

    Raises PretrainingError where the method does not fit the network or its windows.
    """
    start_s = time.time()
    windows = window_of(job.pretraining.segment, job.front_end, *sources[0].frame_cache.open().shape)
    job.folder.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(job.folder / "checkpoint.safetensors", digest)
    with device(resources) as torch_device:
        seed_everything(job.seed, job.training.deterministic)
        data, subjects = _read_data(job, sources, windows, torch_device)
        network, method = _network_and_method(job, windows, data.targets, torch_device)
        front_end = job.front_end
        plan = TrainingPlan({}, job.training, front_end.frames_per_second, job.seed, front_end.has_scalars)
        network, method = network.to(torch_device), method.to(torch_device)
        setup_s = time.time() - start_s
        history = fit(network, method, data, None, plan, checkpoint, log)
    write_weights(job.folder, network, {**job.config(), "inputs": windows.shape}, history)
    _declare(job, subjects)
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
        "counts": {
            "train_cases": sum(len(source.cases) for source in sources),
            "train_recordings": len(data.frames.recordings),
        },
        "epochs": len(history),
        # epochs that a killed job has trained count too
        "seconds": round(setup_s + sum(row["seconds"] for row in history), 2),
    }
    write_json(job.folder / "manifest.json", facts)
    checkpoint.path.unlink(missing_ok=True)


def _network_and_method(
    job: PretrainingJob, windows: Windowing, targets: np.ndarray, torch_device: torch.device
) -> tuple[nn.Module, nn.Module]:
    """The network with random weights, and what it minimises. Raises PretrainingError where they do not fit."""
    settings = job.pretraining
    outputs = len(output_names(job.heads)) or 1
    network = networks.build(settings.network.name, settings.network.options, windows.shape, outputs)
    module = methods.module(settings.method.name)
    options = module.Options.model_validate(settings.method.options)
    try:
        if hasattr(module, "check"):
            module.check(job.heads, targets)
        if job.heads:
            return network, LabelLoss(job.training, job.heads, targets, torch_device)
        return network, module.build(options, network, windows.shape)
    except ValueError as error:
        raise PretrainingError(f"method {settings.method.name}, network {settings.network.name}: {error}") from error


def _read_data(
    job: PretrainingJob, sources: list[Recordings], windows: Windowing, torch_device: torch.device
) -> tuple[RoleData, pd.DataFrame]:
    """Frames with their targets, see `methods`; `dataset, subject` of each recording that was read."""
    parts, rows, labels = [], [], []
    for source in sources:
        names = source.recordings["recording"].tolist()
        parts.append(load_frames(source.frame_cache.open(), names, windows, torch_device, job.training.resident))
        subject_of = source.cases.set_index("case")["subject"]
        subjects = source.recordings["case"].map(subject_of).tolist()
        rows.append(pd.DataFrame({"dataset": source.dataset, "subject": subjects}, dtype=str))
        if job.heads:
            labels.append(recording_targets(job.heads, *source.with_all_labels(job.heads)))
    table = pd.concat(rows, ignore_index=True)
    if table.empty:
        raise PretrainingError(f"{job.folder}: there are no recordings to train on; see quality.csv")
    numbers = table.groupby(["dataset", "subject"]).ngroup().to_numpy(dtype=np.float32)[:, None]
    note(f"{len(table)} recordings of {int(numbers.max()) + 1} subjects train on {torch_device}")
    targets = np.concatenate(labels) if labels else numbers
    return RoleData(joined(parts), targets, np.arange(len(table)), targets), table


def _declare(job: PretrainingJob, recordings: pd.DataFrame) -> None:
    """Write what the weights were trained on. recordings: `dataset, subject` of the recordings that were read."""
    entries = [
        {"dataset": dataset, "subjects": sorted(set(rows["subject"]))}
        for dataset, rows in recordings.groupby("dataset")
    ]
    source = f"pre-training by {job.pretraining.method.name}, {job.folder.name}"
    write_json(job.folder / DECLARATION, {"source": source, "heard": entries})
