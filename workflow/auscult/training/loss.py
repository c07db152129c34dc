"""The loss of a batch: weighted cross-entropy over the heads, with mixed patches where the settings ask for them.

The loop calls `batch_loss` alone, so that a new loss is a change of this file (and of `config.systems.Training`, for
its key).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from auscult.config.systems import Head, Training
from auscult.heads.outputs import columns
from auscult.training.balance import class_weights
from auscult.training.patch_mix import contrast, draw, mixed_targets

Forward = Callable[..., tuple[torch.Tensor, torch.Tensor]]
"""A network's forward pass, compiled or not: windows to logits (batch, outputs) and latents (batch, any)."""


@dataclass(frozen=True)
class Loss:
    """The loss of a training. weights: (2, outputs) on the network's device, see `balance.class_weights`."""

    training: Training
    heads: dict[str, Head]
    weights: torch.Tensor

    def __call__(self, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Loss of logits and targets (batch, outputs), a scalar."""
        return weighted_loss(logits.float(), y, self.weights, self.heads)


def build_loss(training: Training, heads: dict[str, Head], targets: np.ndarray, device: torch.device) -> Loss:
    """The loss that the settings choose. targets: (recordings, outputs) of the training cases, for class weights."""
    weights = class_weights(heads, targets, training.balance == "loss")
    return Loss(training, heads, torch.from_numpy(weights).to(device))


def batch_loss(
    loss: Loss, network: nn.Module, forward: Forward, x: torch.Tensor, y: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Loss of a batch of windows and targets, a scalar. forward: the network's forward pass.

    A network's `extra_loss` of the latents is added, see `networks`.
    """
    if loss.training.patch_mix == "none":
        logits, latents = forward(x)
        own_term = network.extra_loss(latents.float()) if hasattr(network, "extra_loss") else 0.0
        return loss(logits, y) + own_term
    return patch_mix_loss(network, forward, x, y, loss, loss.training.patch_mix, generator)


def weighted_loss(logits: torch.Tensor, y: torch.Tensor, weights: torch.Tensor, heads: dict[str, Head]) -> torch.Tensor:
    """Mean over the heads of the weighted cross-entropy, a scalar.

    logits, y: (batch, outputs), targets may be soft; rows where a head's target is NaN do not count for it.
    weights: (2, outputs), of negatives and of positives (see `balance.class_weights`).
    """
    losses = []
    for name, span in columns(heads).items():
        z, t = logits[:, span], y[:, span]
        has_target = ~torch.isnan(t[:, :1])
        t = torch.nan_to_num(t)
        if heads[name].kind == "multiclass":
            loss = -(weights[1, span] * t * functional.log_softmax(z, dim=1)).sum(dim=1, keepdim=True)
        else:
            positive, negative = functional.logsigmoid(z), functional.logsigmoid(-z)
            loss = -(weights[1, span] * t * positive + weights[0, span] * (1 - t) * negative).mean(dim=1, keepdim=True)
        losses.append((loss * has_target).sum() / has_target.sum().clamp(min=1))
    return torch.stack(losses).mean()


def patch_mix_loss(
    network: nn.Module,
    forward: Forward,
    x: torch.Tensor,
    y: torch.Tensor,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    kind: str,
    generator: torch.Generator,
) -> torch.Tensor:
    """Loss of a batch whose patches are mixed (see `patch_mix`), a scalar.

    network: has `patches`, and a `projector` for the contrast. forward: its forward pass. loss: of logits and targets.
    kind: `labels` for mixed targets, `contrast` for the loss of the unmixed windows plus a contrast.
    """
    mixing = draw(len(x), network.patches, generator, x.device)
    logits, latents = forward(x, mixing.order, mixing.mask)
    if kind == "labels":
        return loss(logits, mixed_targets(y, mixing))
    clean_logits, clean_latents = forward(x)
    return loss(clean_logits, y) + contrast(network.projector(latents), clean_latents, mixing)
