"""Patch-Mix: patches of a window replaced by those of another, for the labels or for a contrast (Bae et al. 2023)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

TEMPERATURE = 0.06


class Mixing(NamedTuple):
    """`order` (batch,): each window's partner; `mask` (patches,): true where a patch is the partner's; `share`: the
    share of the window's own patches, λ."""

    order: torch.Tensor
    mask: torch.Tensor
    share: float


def draw(batch: int, patches: int, generator: torch.Generator, device: torch.device) -> Mixing:
    """One mixing for a whole batch: λ ~ Beta(1, 1), then the share that whole patches give."""
    count = int(patches * (1 - float(torch.rand((), generator=generator))))
    mask = torch.zeros(patches, dtype=torch.bool)
    mask[torch.randperm(patches, generator=generator)[:count]] = True
    order = torch.randperm(batch, generator=generator)
    return Mixing(order.to(device), mask.to(device), 1 - count / patches)


def mixed_targets(y: torch.Tensor, mixing: Mixing) -> torch.Tensor:
    """Targets (batch, outputs) by the shares of both windows; a target missing on either side stays missing."""
    return mixing.share * y + (1 - mixing.share) * y[mixing.order]


def contrast(of_mixed: torch.Tensor, latents: torch.Tensor, mixing: Mixing) -> torch.Tensor:
    """Mean loss of recognising the two clean windows that each mixed window consists of, with their shares; a scalar.

    of_mixed (batch, width): of the mixed windows; latents (batch, width): of the clean ones, which get no gradient.
    """
    clean = functional.normalize(latents.detach().float(), dim=1)
    logits = functional.normalize(of_mixed.float(), dim=1) @ clean.T / TEMPERATURE
    own = torch.eye(len(logits), device=logits.device)
    target = mixing.share * own + (1 - mixing.share) * own[mixing.order]
    return -(target * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()
