"""Kinds of self-attention along time; all keep the shape (batch, frames, width).

- `plain`: all frames,
- `reduced`: keys and values averaged over two frames,
- `shunted`: all frames for half of the heads, averages over two for a quarter and over four for a quarter,
- `window`: the frames of the same window, `shifted`: the same with windows shifted by half a window,
- `routed`: the frames of the windows with the most similar means (bi-level routing).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

Kind = Literal["plain", "reduced", "shunted", "window", "shifted", "routed"]


class SelfAttention(nn.Module):
    """Multi-head attention; the kinds differ in the keys that a query attends to, not in their parameters.

    windows: number of windows for `window`, `shifted` and `routed`; routes: number of windows that a window attends
    to.
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
            head_slices = [slice(0, half), slice(half, self.heads - quarter), slice(self.heads - quarter, self.heads)]
            heads_output = torch.cat(
                [
                    functional.scaled_dot_product_attention(
                        q[:, slice_of_heads],
                        _pooled(k[:, slice_of_heads], factor),
                        _pooled(v[:, slice_of_heads], factor),
                    )
                    for slice_of_heads, factor in zip(head_slices, (1, 2, 4), strict=True)
                    if slice_of_heads.stop > slice_of_heads.start
                ],
                dim=1,
            )
        elif self.kind in ("window", "shifted", "routed"):
            heads_output = self._in_windows(q, k, v)
        else:
            factor = 2 if self.kind == "reduced" else 1
            heads_output = functional.scaled_dot_product_attention(q, _pooled(k, factor), _pooled(v, factor))
        return self.proj(heads_output.transpose(1, 2).reshape(batch, frames, width))

    def _in_windows(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Return the attention of (batch, heads, frames, size) inside windows; padding is masked."""
        batch, heads, frames, _ = q.shape
        length = -(-frames // self.windows)
        before = length // 2 if self.kind == "shifted" else 0
        count = -(-(before + frames) // length)
        after = count * length - before - frames
        is_frame = functional.pad(torch.ones(frames, dtype=torch.bool, device=q.device), (before, after))
        q, k, v = (functional.pad(x, (0, 0, before, after)).unflatten(2, (count, length)) for x in (q, k, v))
        is_frame = is_frame.view(count, length)
        if self.kind == "routed":
            k, v, is_frame = self._routed(q, k, v, is_frame)
        else:
            is_frame = is_frame[None, None, :, None].expand(batch, heads, count, 1, length)
        is_frame = is_frame | ~is_frame.any(dim=-1, keepdim=True)  # a window of padding alone needs an unmasked key
        heads_output = functional.scaled_dot_product_attention(q, k, v, attn_mask=is_frame).flatten(2, 3)
        return heads_output[:, :, before : before + frames]

    def _routed(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_frame: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return keys, values and mask of the windows with the most similar means, for each window."""
        batch, heads, count, length, size = k.shape
        similarity = torch.einsum("bhwd,bhvd->bwv", q.mean(dim=3), k.mean(dim=3))
        window_numbers = similarity.topk(min(self.routes, count), dim=-1).indices  # (batch, windows, routes)
        routes = window_numbers.shape[-1]
        index = window_numbers[:, None, :, :, None, None].expand(batch, heads, count, routes, length, size)
        k, v = (
            x[:, :, None].expand(batch, heads, count, count, length, size).gather(3, index).flatten(3, 4)
            for x in (k, v)
        )
        is_frame = is_frame[window_numbers].flatten(2)[:, None, :, None].expand(batch, heads, count, 1, routes * length)
        return k, v, is_frame


def _pooled(x: torch.Tensor, factor: int) -> torch.Tensor:
    """Return means over `factor` neighbouring frames of (batch, heads, frames, size)."""
    if factor == 1 or x.shape[2] < factor:
        return x
    return functional.avg_pool2d(x, (factor, 1), ceil_mode=True)


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
