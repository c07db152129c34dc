"""Self-attention along time in the forms that networks of signals use; all keep (batch, frames, width).

`plain` attends to every frame; `reduced` to keys and values averaged over two frames; `shunted` gives half the heads
all frames, a quarter an average over two and a quarter over four; `window` stays inside windows, `shifted` inside
windows that are half a window on; `routed` attends to the windows whose mean is most alike (bi-level routing).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

Kind = Literal["plain", "reduced", "shunted", "window", "shifted", "routed"]


class SelfAttention(nn.Module):
    """Attention of several heads; the forms differ in which keys a query sees, not in their parameters.

    windows: how many `window`, `shifted` and `routed` divide the frames into; routes: how many of them a window sees.
    """

    def __init__(self, width: int, heads: int, kind: Kind, windows: int = 25, routes: int = 10) -> None:
        super().__init__()
        self.heads, self.kind, self.windows, self.routes = heads, kind, windows, routes
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, frames, width) keeps its shape."""
        batch, frames, width = x.shape
        q, k, v = self.qkv(x).view(batch, frames, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        if self.kind == "shunted":
            half, quarter = self.heads - self.heads // 2, self.heads // 4
            parts = [slice(0, half), slice(half, self.heads - quarter), slice(self.heads - quarter, self.heads)]
            mixed = torch.cat(
                [
                    functional.scaled_dot_product_attention(
                        q[:, part], _pooled(k[:, part], by), _pooled(v[:, part], by)
                    )
                    for part, by in zip(parts, (1, 2, 4), strict=True)
                    if part.stop > part.start
                ],
                dim=1,
            )
        elif self.kind in ("window", "shifted", "routed"):
            mixed = self._in_windows(q, k, v)
        else:
            by = 2 if self.kind == "reduced" else 1
            mixed = functional.scaled_dot_product_attention(q, _pooled(k, by), _pooled(v, by))
        return self.proj(mixed.transpose(1, 2).reshape(batch, frames, width))

    def _in_windows(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Attention of (batch, heads, frames, size) inside windows; what is padded is never attended to."""
        batch, heads, frames, _ = q.shape
        length = -(-frames // self.windows)
        before = length // 2 if self.kind == "shifted" else 0
        count = -(-(before + frames) // length)
        after = count * length - before - frames
        there = functional.pad(torch.ones(frames, dtype=torch.bool, device=q.device), (before, after))
        q, k, v = (functional.pad(part, (0, 0, before, after)).unflatten(2, (count, length)) for part in (q, k, v))
        there = there.view(count, length)
        if self.kind == "routed":
            k, v, there = self._routed(q, k, v, there)
        else:
            there = there[None, None, :, None].expand(batch, heads, count, 1, length)
        there = there | ~there.any(dim=-1, keepdim=True)  # a window of padding alone must see something
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=there).flatten(2, 3)
        return mixed[:, :, before : before + frames]

    def _routed(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, there: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Keys and values of the windows that each window is sent to, by the likeness of their means."""
        batch, heads, count, length, size = k.shape
        likeness = torch.einsum("bhwd,bhvd->bwv", q.mean(dim=3), k.mean(dim=3))
        chosen = likeness.topk(min(self.routes, count), dim=-1).indices  # (batch, windows, routes)
        routes = chosen.shape[-1]
        index = chosen[:, None, :, :, None, None].expand(batch, heads, count, routes, length, size)
        k, v = (
            part[:, :, None].expand(batch, heads, count, count, length, size).gather(3, index).flatten(3, 4)
            for part in (k, v)
        )
        there = there[chosen].flatten(2)[:, None, :, None].expand(batch, heads, count, 1, routes * length)
        return k, v, there


def _pooled(x: torch.Tensor, by: int) -> torch.Tensor:
    """Means over `by` neighbouring frames of (batch, heads, frames, size)."""
    if by == 1 or x.shape[2] < by:
        return x
    return functional.avg_pool2d(x, (by, 1), ceil_mode=True)


class ConvolutionalModulation(nn.Module):
    """Values times a long depth-wise convolution of the same frames, in place of attention (Hou et al. 2022)."""

    def __init__(self, width: int, kernel: int = 11) -> None:
        super().__init__()
        self.context = nn.Linear(width, width)
        self.conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.value = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, frames, width) keeps its shape."""
        context = self.conv(functional.gelu(self.context(x)).transpose(1, 2)).transpose(1, 2)
        return self.proj(context * self.value(x))
