"""A plain transformer encoder with layer normalisation before each part, which can return its attention.

There is no normalisation after the last layer.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout


def feed_forward(width: int, ratio: int, act: type[nn.Module] = nn.GELU) -> nn.Sequential:
    """Return layer normalisation and two linear layers with `ratio` times the width between them."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, ratio * width), act(), nn.Linear(ratio * width, width))


class Attention(nn.Module):
    """Self-attention of all tokens: (batch, tokens, width) keeps its shape.

    attended: (batch, tokens), true for the tokens that are attended to, at least one in each row; None: all.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor, attended: torch.Tensor | None = None) -> torch.Tensor:
        mask = None if attended is None else attended[:, None, None]
        return self._joined(functional.scaled_dot_product_attention(*self._parts(x), attn_mask=mask))

    def attend(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the same, and the weights (batch, heads, tokens, tokens) of each token's keys, with the sum 1."""
        q, k, v = self._parts(x)
        weights = torch.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, dim=-1)
        return self._joined(weights @ v), weights

    def _parts(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return queries, keys and values, each (batch, heads, tokens, width / heads)."""
        return self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)

    def _joined(self, heads: torch.Tensor) -> torch.Tensor:
        return self.proj(heads.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Attention and a feed-forward part, each with layer normalisation and a residual sum."""

    def __init__(self, width: int, heads: int, ratio: int, dropout: float = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward = feed_forward(width, ratio)
        self.drop = StochasticDropout(dropout)

    def forward(self, x: torch.Tensor, attended: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, tokens, width) keeps its shape. attended: see `Attention`."""
        x = x + self.drop(self.attention(self.norm(x), attended))
        return x + self.drop(self.feed_forward(x))

    def attend(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the same, and the weights (batch, heads, tokens, tokens) of the attention."""
        change, weights = self.attention.attend(self.norm(x))
        x = x + self.drop(change)
        return x + self.drop(self.feed_forward(x)), weights


class Encoder(nn.Module):
    """Layers one after another: (batch, tokens, width) keeps its shape. attended: see `Attention`."""

    def __init__(self, width: int, depth: int, heads: int, ratio: int, dropout: float = 0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, heads, ratio, dropout) for _ in range(depth))

    def forward(self, x: torch.Tensor, attended: torch.Tensor | None = None) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x, attended)
        return x

    def attend(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the same, and the weights (batch, heads, tokens, tokens) of every layer."""
        weights_of_layers = []
        for layer in self.layers:
            x, weights = layer.attend(x)
            weights_of_layers.append(weights)
        return x, weights_of_layers


def rollout(weights_of_layers: list[torch.Tensor]) -> torch.Tensor:
    """Return what each token takes from each token of the input: (batch, tokens, tokens), rows with the sum 1.

    Attention rollout (Abnar and Zuidema 2020): the mean weights of the heads are multiplied over the layers, with half
    of the weight of each token on itself.
    """
    first = weights_of_layers[0]
    shares = torch.eye(first.shape[-1], device=first.device, dtype=first.dtype)
    for weights in weights_of_layers:
        shares = 0.5 * (weights.mean(dim=1) @ shares + shares)
    return shares


def sine_positions(count: int, width: int, device: torch.device | None = None) -> torch.Tensor:
    """Return fixed positions (count, width) after Vaswani et al. 2017: half sines, half cosines; `width` is even."""
    places = torch.arange(count, device=device, dtype=torch.float32)
    rates = 10000 ** (-torch.arange(width // 2, device=device, dtype=torch.float32) / (width // 2))
    angles = places[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
