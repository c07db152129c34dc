"""The optimiser: its learning rate over the training, and a step with a moving average of the weights."""

from __future__ import annotations

import math

import torch
from torch import nn

from auscult.config.systems import Training
from auscult.networks import is_encoder


def build_optimiser(network: nn.Module, objective: nn.Module, settings: Training) -> torch.optim.Optimizer:
    """The optimiser of the settings for all weights of a network and of what it is trained by."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimiser]
    encoder = [weight for key, weight in network.named_parameters() if is_encoder(key)]
    head = [weight for key, weight in network.named_parameters() if not is_encoder(key)]
    groups = [
        {"params": encoder, "share": settings.encoder_rate},
        {"params": [*head, *objective.parameters()], "share": 1.0},
    ]
    return kind(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)


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


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of all weights for the next step; a group of weights has its share of it."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]


def averaged_step(network: nn.Module, optimiser: torch.optim.Optimizer, decay: float) -> None:
    """One step, after which every weight is `decay` × its old value + (1 - `decay`) × the stepped one."""
    if not decay:
        optimiser.step()
        return
    weights = [p for p in network.parameters() if p.requires_grad]
    old = [p.detach().clone() for p in weights]
    optimiser.step()
    with torch.no_grad():
        torch._foreach_lerp_(weights, old, decay)
