"""Attention pooling: from a sequence of frames to one vector."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn


class AttentionPooling(nn.Module):
    """Logits of a sequence: the attention-weighted mean of the frames' logits, with weights for each output.

    `softmax`: a softmax over the frames. `sigmoid`: a sigmoid for each frame, then the weights are scaled to the sum 1
    (Kong et al. 2020). Both are nearly the plain mean before training.
    """

    def __init__(self, features: int, outputs: int, attention: Literal["softmax", "sigmoid"]) -> None:
        super().__init__()
        self.attention = attention
        self.weigh = nn.Linear(features, outputs)
        self.classify = nn.Linear(features, outputs)
        nn.init.normal_(self.weigh.weight, std=0.01)
        nn.init.zeros_(self.weigh.bias)

    def weights(self, x: torch.Tensor) -> torch.Tensor:
        """Return weights (batch, frames, outputs) of (batch, frames, features), with the sum 1 over the frames."""
        scores = self.weigh(x)
        if self.attention == "softmax":
            return torch.softmax(scores, dim=1)
        weights = torch.sigmoid(scores)
        return weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, frames, features) to (batch, outputs)."""
        return (self.weights(x) * self.classify(x)).sum(dim=1)
