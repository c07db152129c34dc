"""The training loop: epochs over windows, validation on cases, the best epoch kept, every epoch resumable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from auscult.cache.segments import segments
from auscult.config.systems import Head, Training
from auscult.heads.outputs import activate, columns
from auscult.heads.pooling import pool
from auscult.progress import note, progress
from auscult.training.augment import augment, mix
from auscult.training.balance import class_weights, draw_weights
from auscult.training.data import Frames, random_crops
from auscult.training.device import MemoryFull
from auscult.training.parts import Part
from auscult.training.patch_mix import contrast, draw, mixed_targets
from auscult.training.scoring import validation_score


@dataclass(frozen=True)
class Plan:
    """What the loop needs besides the data."""

    heads: dict[str, Head]
    training: Training
    hop: int
    frames_per_second: float
    seed: int


Log = Callable[[dict], None]


def fit(
    network: nn.Module,
    train: Part,
    val: Part | None,
    plan: Plan,
    checkpoint: Path,
    digest: str,
    log: Log,
    epochs: Path | None = None,
) -> list[dict]:
    """Train `network` in place and leave its best epoch's weights in it; returns the history, a row per epoch.

    Without `val` the last epoch is taken, and `val_score` is NaN. `epochs`: a folder that gets each epoch's weights
    (see `epoch_file`).

    After each epoch the whole state goes to `checkpoint`; a checkpoint with the same `digest` is continued, another
    is ignored. `log` gets each row. The random numbers of an epoch depend on the seed and the epoch alone, so that a
    continued training gives the same weights (on a CPU, or with deterministic kernels).
    """
    settings, device = plan.training, train.frames.device
    optimiser = _optimiser(network, settings)
    balanced = settings.balance == "loss"
    weights = torch.from_numpy(class_weights(plan.heads, train.targets, balanced)).to(device)
    targets = torch.from_numpy(train.targets).to(device)
    network.to(memory_format=torch.channels_last)  # convolutions are faster so, on a CPU as on a GPU
    forward = torch.compile(network) if settings.compile else network
    history, best = _resume(network, optimiser, checkpoint, digest)
    stopped = _stale(history) >= settings.patience
    with progress("epochs", settings.epochs) as tell:
        for epoch in range(len(history), settings.epochs):
            if stopped:
                break
            started = time.perf_counter()
            seed = (plan.seed * 100_003 + epoch) % 2**63  # what torch takes
            torch.manual_seed(seed)
            generator = torch.Generator().manual_seed(seed)
            batches = (train.frames, targets, weights, *_epoch_windows(train, plan, generator))
            try:
                loss = _one_epoch(network, forward, optimiser, *batches, plan, epoch, generator, tell)
            except torch.OutOfMemoryError as error:
                raise MemoryFull(
                    f"the memory of {device} does not hold a batch of {settings.batch} windows: lower training.batch, "
                    "or set training.resident: false where the recordings fill it"
                ) from error
            if not math.isfinite(loss):
                raise FloatingPointError(f"epoch {epoch}: the loss is {loss}; lower training.learning_rate")
            score = validate(network, val, plan) if val else math.nan
            better = not val or not history or not best or score > max(row["val_score"] for row in history)
            history.append(
                {
                    "epoch": epoch,
                    "train_loss": loss,
                    "val_score": score,
                    "learning_rate": learning_rate(settings, (epoch + 1) / settings.epochs),
                    "seconds": time.perf_counter() - started,
                }
            )
            if better:
                best = {key: value.detach().clone() for key, value in network.state_dict().items()}
            if epochs:
                save_file(_on_cpu(network.state_dict()), epoch_file(epochs, epoch))
            _save(network, optimiser, best, history, checkpoint, digest)
            log(history[-1])
            stopped = _stale(history) >= settings.patience
    network.load_state_dict(best)
    return history


def _epoch_windows(train: Part, plan: Plan, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of one epoch in random order: (recording, start)."""
    frames, settings = train.frames, plan.training
    if settings.sampling == "crops":
        which, start = random_crops(frames.length, frames.shape[1], settings.crops, generator)
    else:
        which, start = windows(frames, plan.hop)
    known = torch.from_numpy(~np.isnan(train.targets).all(axis=1))
    which, start = which[known[which]], start[known[which]]
    if settings.balance == "sampler":
        chances = torch.from_numpy(draw_weights(plan.heads, train.targets))[which]
        order = torch.multinomial(chances, len(which), replacement=True, generator=generator)
    else:
        order = torch.randperm(len(which), generator=generator)
    return which[order], start[order]


def windows(frames: Frames, hop: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All windows, `hop` frames apart: (recording, start)."""
    table = segments(list(range(len(frames.recordings))), frames.length.cpu().numpy(), frames.shape[1], hop)
    return torch.tensor(table["recording"].to_numpy(dtype=np.int64)), torch.tensor(table["start"].to_numpy())


def _one_epoch(
    network, forward, optimiser, frames, targets, weights, which, start, plan, epoch, generator, tell
) -> float:
    """One pass over the windows; returns the mean loss."""
    settings = plan.training
    network.train()
    batches = torch.split(torch.arange(len(which)), settings.batch)
    if len(batches) > 1 and len(batches[-1]) == 1:  # batch statistics need two
        batches = batches[:-1]
    total = torch.zeros((), device=frames.device)
    for number, batch in enumerate(batches):
        tell(epoch + number / len(batches))
        x, y = frames.batch(which[batch], start[batch]), targets[which[batch].to(targets.device)]
        x = augment(x, settings.augment, plan.frames_per_second, generator)
        if epoch >= settings.augment.mix_from:
            x, y = mix(x, y, settings.augment, generator)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(settings, (epoch + number / len(batches)) / settings.epochs)
        with _autocast(frames.device, settings):
            loss = _loss(network, forward, x, y, weights, plan, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm)
        _step(network, optimiser, settings.moving_average)
        total += loss.detach()
    return float(total) / max(1, len(batches))


def _loss(network, forward, x: torch.Tensor, y: torch.Tensor, weights: torch.Tensor, plan: Plan, generator):
    """Loss of one batch, with its patches mixed where the settings say so."""
    if plan.training.patch_mix == "none":
        return weighted_loss(forward(x)[0].float(), y, weights, plan.heads)
    mixing = draw(len(x), network.patches, generator, x.device)
    logits, latents = forward(x, mixing.order, mixing.taken)
    if plan.training.patch_mix == "labels":
        return weighted_loss(logits.float(), mixed_targets(y, mixing), weights, plan.heads)
    clean, own = forward(x)
    return weighted_loss(clean.float(), y, weights, plan.heads) + contrast(network.projector(latents), own, mixing)


def _step(network: nn.Module, optimiser: torch.optim.Optimizer, kept: float) -> None:
    """One step, after which the share `kept` of every weight is its old value."""
    if not kept:
        optimiser.step()
        return
    weights = [p for p in network.parameters() if p.requires_grad]
    old = [p.detach().clone() for p in weights]
    optimiser.step()
    with torch.no_grad():
        torch._foreach_lerp_(weights, old, kept)


def weighted_loss(logits: torch.Tensor, y: torch.Tensor, weights: torch.Tensor, heads: dict[str, Head]) -> torch.Tensor:
    """Mean over the heads of weighted cross-entropy with soft targets; rows without a target do not count."""
    losses = []
    for name, span in columns(heads).items():
        z, t = logits[:, span], y[:, span]
        known = ~torch.isnan(t[:, :1])
        t = torch.nan_to_num(t)
        if heads[name].kind == "multiclass":
            loss = -(weights[1, span] * t * functional.log_softmax(z, dim=1)).sum(dim=1, keepdim=True)
        else:
            positive, negative = functional.logsigmoid(z), functional.logsigmoid(-z)
            loss = -(weights[1, span] * t * positive + weights[0, span] * (1 - t) * negative).mean(dim=1, keepdim=True)
        losses.append((loss * known).sum() / known.sum().clamp(min=1))
    return torch.stack(losses).mean()


@torch.no_grad()
def validate(network: nn.Module, val: Part, plan: Plan) -> float:
    """Score of the validation cases: no dropout, plain means over windows and recordings; -inf when undefined."""
    network.eval()
    which, start = windows(val.frames, plan.hop)
    parts = []
    for batch in torch.split(torch.arange(len(which)), 4 * plan.training.batch):
        with _autocast(val.frames.device, plan.training):
            logits, _ = network(val.frames.batch(which[batch], start[batch]))
        parts.append(activate(logits.float(), plan.heads).cpu().numpy())
    recordings = pool(np.concatenate(parts), which.numpy(), len(val.frames.recordings), "mean", 1)
    cases = pool(recordings, val.case_of, len(val.case_targets), "mean", 1)
    score = validation_score(cases, val.case_targets, plan.heads, plan.training.select)
    return score if math.isfinite(score) else -math.inf


def learning_rate(settings: Training, progress: float) -> float:
    """Rate after a share `progress` of all steps. `one_cycle`: up over 30 %, then down to a ten-thousandth.

    The others rise linearly from 0 over the share `warmup`; `cosine` falls to 0 over the rest.
    """
    peak = settings.learning_rate
    if settings.schedule != "one_cycle" and settings.warmup:
        if progress < settings.warmup:
            return peak * progress / settings.warmup
        progress = (progress - settings.warmup) / (1 - settings.warmup)
    if settings.schedule == "constant":
        return peak
    if settings.schedule == "cosine":
        return peak * 0.5 * (1 + math.cos(math.pi * progress))
    if progress < 0.3:
        return peak * (0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * progress / 0.3)))
    return peak * (1e-4 + (1 - 1e-4) * 0.5 * (1 + math.cos(math.pi * (progress - 0.3) / 0.7)))


def _optimiser(network: nn.Module, settings: Training) -> torch.optim.Optimizer:
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimiser]
    return kind(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)


def precision(device: torch.device, settings: Training) -> str:
    """What the training computes in on this device: `float32` or `bfloat16`."""
    able = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()  # elsewhere it would be slower
    return settings.precision if able else "float32"


def _autocast(device: torch.device, settings: Training) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision(device, settings) == "bfloat16")


def _stale(history: list[dict]) -> int:
    """Epochs since the best one; 0 where nothing scores them."""
    scores = [row["val_score"] for row in history]
    if not scores or math.isnan(scores[-1]):
        return 0
    return len(scores) - 1 - int(np.argmax(scores))


def epoch_file(folder: Path, epoch: int) -> Path:
    """Where the weights after an epoch are kept."""
    return folder / f"{epoch:04d}.safetensors"


def _on_cpu(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in tensors.items()}


HISTORY = ["epoch", "train_loss", "val_score", "learning_rate", "seconds"]


def _save(network, optimiser, best, history, path: Path, digest: str) -> None:
    """The whole state as safetensors, to a temporary name first."""
    tensors = {f"network/{key}": value for key, value in network.state_dict().items()}
    tensors |= {f"best/{key}": value for key, value in best.items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{number}/{key}": torch.as_tensor(value) for key, value in state.items()}
    rows = torch.tensor([[float(row[key]) for key in HISTORY] for row in history], dtype=torch.float64)
    tensors = _on_cpu(tensors) | {"history": rows}
    temporary = path.with_name(f".{path.name}")
    save_file(tensors, temporary, metadata={"digest": digest})
    temporary.replace(path)


def _resume(network, optimiser, path: Path, digest: str) -> tuple[list[dict], dict[str, torch.Tensor]]:
    """Load a checkpoint of the same digest; ([], {}) when there is none."""
    if not path.is_file():
        return [], {}
    try:
        with safe_open(path, "pt") as file:
            if file.metadata() != {"digest": digest}:
                note(f"{path.name}: of another training: not used")
                return [], {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        note(f"{path.name}: damaged ({error}): not used")
        return [], {}
    history = [dict(zip(HISTORY, row, strict=True)) for row in tensors.pop("history").tolist()]
    for row in history:
        row["epoch"] = int(row["epoch"])
    parts: dict[str, dict] = {"network": {}, "best": {}, "optimiser": {}}
    for key, value in tensors.items():
        part, _, name = key.partition("/")
        parts[part][name] = value
    network.load_state_dict(parts["network"])
    state: dict[int, dict] = {}
    for key, value in parts["optimiser"].items():
        number, _, name = key.partition("/")
        state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    note(f"continued after epoch {len(history) - 1}")
    device = next(network.parameters()).device
    return history, {key: value.to(device) for key, value in parts["best"].items()}
