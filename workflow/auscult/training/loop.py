"""The training loop: epochs over windows, validation on cases, the best epoch kept, every epoch resumable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from auscult.config.systems import Head, Training
from auscult.progress import progress
from auscult.training.augment import augment, mix
from auscult.training.balance import draw_weights
from auscult.training.checkpoint import Checkpoint, resume, save_checkpoint
from auscult.training.data import Frames, random_crops
from auscult.training.device import MemoryFull, autocast
from auscult.training.frozen import encoder_weights, set_training
from auscult.training.optimiser import averaged_step, build_optimiser, learning_rate, set_learning_rate
from auscult.training.role_data import RoleData
from auscult.training.validation import validate

Log = Callable[[dict], None]
EpochHook = Callable[[int, nn.Module], None]
Forward = Callable[..., tuple[torch.Tensor, torch.Tensor]]
"""A network's forward pass, compiled or not: windows to logits (batch, outputs) and latents (batch, any)."""


@dataclass(frozen=True)
class TrainingPlan:
    """What the loop needs besides the data.

    `frames_per_second`, `has_scalars`: of the front end, see `features.FrontEnd`. `frozen`: train the head alone.
    """

    heads: dict[str, Head]
    training: Training
    frames_per_second: float
    seed: int
    has_scalars: bool = False
    frozen: bool = False


def fit(
    network: nn.Module,
    objective: nn.Module,
    train_data: RoleData,
    val_data: RoleData | None,
    plan: TrainingPlan,
    checkpoint: Checkpoint,
    log: Log,
    after_epoch: EpochHook | None = None,
) -> list[dict]:
    """Train `network` in place and leave its best epoch's weights in it; returns the history, a row per epoch.

    objective: called with the network, its forward pass, windows, their rows of `train_data.columns()` and a
    generator, it returns the loss, a scalar, as `loss.LabelLoss` does; its own weights are trained too.

    Without `val_data` the last epoch is taken, and `val_score` is NaN.

    After each epoch `after_epoch` gets its number and the network, the whole state goes to `checkpoint`, and `log`
    gets the epoch's row. A checkpoint with the same digest is continued, another is ignored. The random numbers of an
    epoch depend on the seed and the epoch alone, so that a continued training gives the same weights (on a CPU, or
    with deterministic kernels).

    Raises FloatingPointError when the loss is not finite, and MemoryFull when a GPU cannot hold a batch.
    """
    settings = plan.training
    trainer = _trainer(network, objective, train_data, plan)
    history, best = resume(checkpoint, trainer.parts, trainer.optimiser)
    with progress("epochs", settings.epochs) as report:
        for epoch in range(len(history), settings.epochs):
            if _epochs_since_best(history) >= settings.patience:
                break
            start_s = time.perf_counter()
            loss = _seeded_epoch(trainer, train_data, epoch, report)
            score = validate(network, val_data, plan.heads, settings) if val_data else math.nan
            if not val_data or not best or score > max(row["val_score"] for row in history):
                best = {key: value.detach().clone() for key, value in network.state_dict().items()}
            history.append(
                {
                    "epoch": epoch,
                    "train_loss": loss,
                    "val_score": score,
                    "learning_rate": learning_rate(settings, (epoch + 1) / settings.epochs),
                    "seconds": time.perf_counter() - start_s,
                }
            )
            if after_epoch:
                after_epoch(epoch, network)
            save_checkpoint(checkpoint, trainer.parts, trainer.optimiser, best, history)
            log(history[-1])
    network.load_state_dict(best)
    return history


@dataclass(frozen=True)
class _Trainer:
    """A network in training: `forward` is the network, compiled where the settings say so.

    `parts`: the network and the objective. `encoder`: the weights that a frozen encoder keeps. `targets` (recordings,
    any) lie on the device of `frames`.
    """

    parts: nn.ModuleDict
    forward: Forward
    optimiser: torch.optim.Optimizer
    encoder: list[nn.Parameter]
    frames: Frames
    targets: torch.Tensor
    plan: TrainingPlan


def _trainer(network: nn.Module, objective: nn.Module, train_data: RoleData, plan: TrainingPlan) -> _Trainer:
    settings, device = plan.training, train_data.frames.device
    optimiser = build_optimiser(network, objective, settings)
    network.to(memory_format=torch.channels_last)  # convolutions are faster so, on a CPU as on a GPU
    return _Trainer(
        nn.ModuleDict({"network": network, "objective": objective}),
        torch.compile(network) if settings.compile else network,
        optimiser,
        encoder_weights(network),
        train_data.frames,
        torch.from_numpy(train_data.columns()).to(device),
        plan,
    )


def _seeded_epoch(trainer: _Trainer, train_data: RoleData, epoch: int, report: Callable[[float], None]) -> float:
    """One epoch with random numbers of its own; returns the mean loss. Raises as `fit` does."""
    plan, settings = trainer.plan, trainer.plan.training
    seed = (plan.seed * 100_003 + epoch) % 2**63  # what torch takes
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    recording, start = _epoch_windows(train_data, plan, generator)
    try:
        loss = _train_epoch(trainer, recording, start, epoch, generator, report)
    except torch.OutOfMemoryError as error:
        of_cases = trainer.frames.windowing.sites is not None
        instead = "segment.seconds" if of_cases else "set training.resident: false where the recordings fill it"
        raise MemoryFull(
            f"the memory of {trainer.frames.device} does not hold a batch of {settings.batch} windows: lower "
            f"training.batch, or {instead}"
        ) from error
    if not math.isfinite(loss):
        raise FloatingPointError(f"epoch {epoch}: the loss is {loss}; lower training.learning_rate")
    return loss


def _epoch_windows(
    train_data: RoleData, plan: TrainingPlan, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of one epoch in random order: recording numbers and first frames, both (windows,)."""
    frames, settings = train_data.frames, plan.training
    if settings.sampling == "crops":
        recording, start = random_crops(frames.length, frames.windowing.shape[1], settings.crops, generator)
    else:
        recording, start = frames.windows(to_the_end=False)  # as published
    has_label = torch.from_numpy(~np.isnan(train_data.targets).all(axis=1))
    recording, start = recording[has_label[recording]], start[has_label[recording]]
    if settings.balance == "sampler":
        chances = torch.from_numpy(draw_weights(plan.heads, train_data.targets))[recording]
        order = torch.multinomial(chances, len(recording), replacement=True, generator=generator)
    else:
        order = torch.randperm(len(recording), generator=generator)
    return recording[order], start[order]


def _train_epoch(
    trainer: _Trainer,
    recording: torch.Tensor,
    start: torch.Tensor,
    epoch: int,
    generator: torch.Generator,
    report: Callable[[float], None],
) -> float:
    """One pass over the windows (see `_epoch_windows`); returns the mean loss. `report` gets the epochs done."""
    settings = trainer.plan.training
    set_training(trainer.parts["network"], trainer.encoder, trainer.plan.frozen or epoch < settings.head_epochs)
    batches = torch.split(torch.arange(len(recording)), settings.batch)
    if len(batches) > 1 and len(batches[-1]) == 1:  # batch statistics need two
        batches = batches[:-1]
    total = torch.zeros((), device=trainer.frames.device)
    for number, batch in enumerate(batches):
        epochs_done = epoch + number / len(batches)
        report(epochs_done)
        x, y = _augmented_batch(trainer, recording[batch], start[batch], epoch, generator)
        set_learning_rate(trainer.optimiser, learning_rate(settings, epochs_done / settings.epochs))
        total += _step(trainer, x, y, generator)
    return float(total) / max(1, len(batches))


def _augmented_batch(
    trainer: _Trainer, recording: torch.Tensor, start: torch.Tensor, epoch: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Augmented windows (batch, channels, frames, bands) and their targets (batch, outputs)."""
    plan, settings = trainer.plan, trainer.plan.training.augment
    x, y = trainer.frames.batch(recording, start), trainer.targets[recording.to(trainer.targets.device)]
    x = augment(x, settings, plan.frames_per_second, generator, plan.has_scalars)
    if epoch >= settings.mix_from:
        x, y = mix(x, y, settings, generator, plan.has_scalars)
    return x, y


def _step(trainer: _Trainer, x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One step of the optimiser on a batch; returns its loss, a scalar without gradient."""
    settings, parts = trainer.plan.training, trainer.parts
    with autocast(trainer.frames.device, settings.precision):
        loss = parts["objective"](parts["network"], trainer.forward, x, y, generator)
    trainer.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(parts.parameters(), settings.gradient_norm)
    averaged_step(parts, trainer.optimiser, settings.moving_average)
    return loss.detach()


def _epochs_since_best(history: list[dict]) -> int:
    """Epochs since the best one; 0 where nothing scores them."""
    scores = [row["val_score"] for row in history]
    if not scores or math.isnan(scores[-1]):
        return 0
    return len(scores) - 1 - int(np.argmax(scores))
