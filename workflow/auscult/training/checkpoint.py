"""Checkpoints: the whole state of a training in one file, from which a killed job continues."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from auscult.progress import note

HISTORY = ["epoch", "train_loss", "val_score", "learning_rate", "seconds"]
"""Columns of a training's history, a row per epoch."""

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A file for the state of a training, and the digest of what that training depends on."""

    path: Path
    digest: str


def on_cpu(tensors: Tensors) -> Tensors:
    """Copies that can be written to a file: detached, contiguous, in the computer's own memory, none shared."""
    return {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}


def save_checkpoint(
    checkpoint: Checkpoint, network: nn.Module, optimiser: torch.optim.Optimizer, best: Tensors, history: list[dict]
) -> None:
    """Write network, optimiser, the best epoch's weights and the history, to a temporary name first."""
    tensors = {f"network/{key}": value for key, value in network.state_dict().items()}
    tensors |= {f"best/{key}": value for key, value in best.items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{number}/{key}": torch.as_tensor(value) for key, value in state.items()}
    rows = torch.tensor([[float(row[key]) for key in HISTORY] for row in history], dtype=torch.float64)
    tensors = on_cpu(tensors) | {"history": rows}
    temporary = checkpoint.path.with_name(f".{checkpoint.path.name}")
    save_file(tensors, temporary, metadata={"digest": checkpoint.digest})
    temporary.replace(checkpoint.path)


def resume(checkpoint: Checkpoint, network: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[list[dict], Tensors]:
    """Load network and optimiser from a checkpoint; returns the history and the best epoch's weights.

    Both are empty, and nothing is loaded, where there is no file, or a damaged one, or one of another digest.
    """
    tensors = _read(checkpoint)
    if not tensors:
        return [], {}
    history = [dict(zip(HISTORY, row, strict=True)) for row in tensors.pop("history").tolist()]
    for row in history:
        row["epoch"] = int(row["epoch"])
    groups: dict[str, Tensors] = {"network": {}, "best": {}, "optimiser": {}}
    for key, value in tensors.items():
        group, _, name = key.partition("/")
        groups[group][name] = value
    network.load_state_dict(groups["network"])
    state: dict[int, Tensors] = {}
    for key, value in groups["optimiser"].items():
        number, _, name = key.partition("/")
        state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    note(f"continued after epoch {len(history) - 1}")
    device = next(network.parameters()).device
    return history, {key: value.to(device) for key, value in groups["best"].items()}


def _read(checkpoint: Checkpoint) -> Tensors:
    """All tensors of the file; {} where it cannot be used."""
    path = checkpoint.path
    if not path.is_file():
        return {}
    try:
        with safe_open(path, "pt") as file:
            if file.metadata() != {"digest": checkpoint.digest}:
                note(f"{path.name}: of another training: not used")
                return {}
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        note(f"{path.name}: damaged ({error}): not used")
        return {}
