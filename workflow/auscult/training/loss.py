"""What a training on labels minimises: weighted cross-entropy over the heads, a teacher's and the network's own terms.

The loop calls an objective alone, so that a new loss is a change of this file (and of `config.systems.Training`, for
its key).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from auscult.config.systems import Head, Training
from auscult.heads.outputs import columns
from auscult.training.balance import class_weights
from auscult.training.distillation import divergence
from auscult.training.loop import Forward
from auscult.training.patch_mix import contrast, draw, mixed_targets
from auscult.training.transfer import Transfer


class LabelLoss(nn.Module):
    """The objective of a training on labels.

    A row of its targets `y` has a column per output. With a teacher, the teacher's softened probabilities follow, a
    column per output too; with a transfer, the number of the recording is last.
    """

    def __init__(
        self,
        training: Training,
        heads: dict[str, Head],
        targets: np.ndarray,
        device: torch.device,
        transfer: Transfer | None = None,
    ) -> None:
        """targets: (recordings, outputs) of the training cases, for class weights."""
        super().__init__()
        self.training_settings, self.heads = training, heads
        self.weights = torch.from_numpy(class_weights(heads, targets, training.balance == "loss")).to(device)
        self.transfer = transfer

    def of_labels(self, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The labels' loss of logits and targets (batch, outputs), a scalar."""
        return weighted_loss(logits.float(), y, self.weights, self.heads)

    def forward(
        self, network: nn.Module, forward: Forward, x: torch.Tensor, y: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Loss of a batch of windows and targets, a scalar. forward: the network's forward pass.

        A network's `extra_loss` of the latents is added, see `networks`.
        """
        settings = self.training_settings
        if settings.patch_mix != "none":
            return patch_mix_loss(network, forward, x, y, self.of_labels, settings.patch_mix, generator)
        logits, latents = forward(x)
        outputs = logits.shape[1]
        total = self.of_labels(logits, y[:, :outputs])
        if teacher := settings.teacher:
            taught = divergence(logits.float(), y[:, outputs : 2 * outputs], self.heads, teacher)
            total = teacher.label_weight * total + teacher.weight * taught
        if self.transfer:
            total = total + teacher.contrast * self.transfer(latents.float(), y[:, -1].long(), generator)
        if hasattr(network, "extra_loss"):
            total = total + network.extra_loss(latents.float())
        return total


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
