"""Dropout that can stay on at inference, for stochastic passes."""

import torch
from torch import nn
from torch.nn import functional


class StochasticDropout(nn.Module):
    """Dropout that acts in training and, when `stochastic` is set, also in evaluation mode.

    `channels`: drop entire channels (dimension 1) instead of single elements.
    """

    def __init__(self, p: float, channels: bool = False) -> None:
        super().__init__()
        self.p = p
        self.channels = channels
        self.stochastic = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape as `x`."""
        if not self.p or not (self.training or self.stochastic):
            return x
        if self.channels:
            shape = (*x.shape[:2], *([1] * (x.ndim - 2)))
            return x * functional.dropout(x.new_ones(shape), self.p)
        return functional.dropout(x, self.p)

    def extra_repr(self) -> str:
        """Return the text between the parentheses in print."""
        return f"p={self.p}, channels={self.channels}"


def set_stochastic(network: nn.Module, is_on: bool) -> None:
    """Switch the dropout of all layers of a network on or off for evaluation mode."""
    for module in network.modules():
        if isinstance(module, StochasticDropout):
            module.stochastic = is_on
