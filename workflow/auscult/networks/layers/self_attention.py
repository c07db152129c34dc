"""Kinds of self-attention along time; all keep the shape (batch, frames, width).

- `plain`: all frames,
- `reduced`: keys and values averaged over two frames,
- `strided`: keys and values of two frames joined by a convolution and normalised,
- `shunted`: all frames for half of the heads, averages over two for a quarter and over four for a quarter,
- `window`: the frames of the same window, `shifted`: the same with windows shifted by half a window,
- `routed`: the frames of the windows with the most similar means (bi-level routing),
- `hilo`: half of the heads inside short windows, the others on averages over as many frames (Pan et al. 2022).

Any kind can be told the order of the frames: by a bias for each distance, or by a convolution of the values.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

Kind = Literal["plain", "reduced", "strided", "shunted", "window", "shifted", "routed", "hilo"]
FARTHEST = 64  # frames; the bias of larger distances is the same


class DistanceBias(nn.Module):
    """A number for each head and distance from query to key, near 0 before training."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(heads, 2 * FARTHEST + 1))
        nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, queries: torch.Tensor, keys: torch.Tensor, heads: slice) -> torch.Tensor:
        """Places (..., queries) and (..., keys), in frames, to (heads, ..., queries, keys)."""
        distance = (keys[..., None, :] - queries[..., :, None]).round().long().clamp(-FARTHEST, FARTHEST)
        return self.table[heads][:, distance + FARTHEST]


class SelfAttention(nn.Module):
    """Multi-head attention; the kinds differ in the keys that a query attends to, not (but `strided`) in parameters.

    windows: number of windows for `window`, `shifted` and `routed`; routes: number of windows that a window attends
    to. length: frames of a window, and of an average, for `hilo`. position: `relative` adds a bias for the distance to
    the scores, `value` adds a depth-wise convolution of the values to the result (not for `strided`, whose values are
    fewer than the frames).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        kind: Kind,
        windows: int = 25,
        routes: int = 10,
        length: int = 5,
        position: Literal["none", "relative", "value"] = "none",
    ) -> None:
        super().__init__()
        self.heads, self.kind, self.windows, self.routes, self.length = heads, kind, windows, routes, length
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        half, quarter = heads - heads // 2, heads // 4
        # heads, and over how many frames their keys are averaged; 0: they stay inside windows
        groups = {
            "plain": [(slice(0, heads), 1)],
            "reduced": [(slice(0, heads), 2)],
            "strided": [(slice(0, heads), 1)],
            "shunted": [(slice(0, half), 1), (slice(half, heads - quarter), 2), (slice(heads - quarter, heads), 4)],
            "hilo": [(slice(0, half), 0), (slice(half, heads), length)],
        }.get(kind, [(slice(0, heads), 0)])
        self.groups = [(part, factor) for part, factor in groups if part.stop > part.start]
        if kind == "strided":
            self.join, self.norm = nn.Conv1d(width, width, 2, 2), nn.LayerNorm(width)
        self.bias = DistanceBias(heads) if position == "relative" else None
        self.local = nn.Conv1d(width, width, 3, padding=1, groups=width) if position == "value" else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, frames, width) keeps its shape."""
        batch, frames, width = x.shape
        q, k, v = self._strided(x) if self.kind == "strided" else self._by_head(self.qkv(x))
        local = 0 if self.local is None else self.local(v.transpose(2, 3).flatten(1, 2)).transpose(1, 2)
        place = torch.arange(frames, device=x.device, dtype=torch.float32)
        key_place = _pooled_places(place, 2) if self.kind == "strided" else place
        outputs = []
        for heads, factor in self.groups:
            if factor:
                keys, values = _pooled(k[:, heads], factor), _pooled(v[:, heads], factor)
                bias = None
                if self.bias is not None:
                    bias = self.bias(place, _pooled_places(key_place, factor), heads).to(q.dtype)
                outputs.append(functional.scaled_dot_product_attention(q[:, heads], keys, values, attn_mask=bias))
            else:
                outputs.append(self._in_windows(q[:, heads], k[:, heads], v[:, heads], place, heads))
        return self.proj(torch.cat(outputs, dim=1).transpose(1, 2).reshape(batch, frames, width) + local)

    def _by_head(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, frames, n width), such as queries, keys and values, to (n, batch, heads, frames, size)."""
        width = self.proj.in_features
        return x.unflatten(2, (x.shape[2] // width, self.heads, width // self.heads)).permute(2, 0, 3, 1, 4)

    def _strided(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries of the frames, and keys and values of joined pairs of frames; a last single one is padded."""
        width = x.shape[2]
        pairs = functional.pad(x, (0, 0, 0, x.shape[1] % 2)).transpose(1, 2)
        values_of_pairs = self.norm(self.join(pairs).transpose(1, 2))
        weight, bias = self.qkv.weight, self.qkv.bias
        queries = functional.linear(x, weight[:width], bias[:width])
        k, v = self._by_head(functional.linear(values_of_pairs, weight[width:], bias[width:]))
        return self._by_head(queries)[0], k, v

    def _in_windows(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, place: torch.Tensor, numbers: slice
    ) -> torch.Tensor:
        """Return the attention of (batch, heads, frames, size) inside windows; padding is masked.

        place: (frames,). numbers: which of all heads these are.
        """
        batch, heads, frames, _ = q.shape
        length = self.length if self.kind == "hilo" else -(-frames // self.windows)
        before = length // 2 if self.kind == "shifted" else 0
        count = -(-(before + frames) // length)
        after = count * length - before - frames
        is_frame = functional.pad(torch.ones(frames, dtype=torch.bool, device=q.device), (before, after))
        q, k, v = (functional.pad(x, (0, 0, before, after)).unflatten(2, (count, length)) for x in (q, k, v))
        is_frame = is_frame.view(count, length)
        place = functional.pad(place, (before, after)).view(count, length)
        key_place = place
        if self.kind == "routed":
            k, v, is_frame, key_place = self._routed(q, k, v, is_frame, place)
        else:
            is_frame = is_frame[None, None, :, None].expand(batch, heads, count, 1, length)
        is_frame = is_frame | ~is_frame.any(dim=-1, keepdim=True)  # a window of padding alone needs an unmasked key
        mask = is_frame
        if self.bias is not None:
            bias = self.bias(place, key_place, numbers).to(q.dtype)
            bias = bias.transpose(0, 1) if self.kind == "routed" else bias  # keys differ between windows of a batch
            mask = bias.masked_fill(~is_frame, -torch.inf)
        heads_output = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).flatten(2, 3)
        return heads_output[:, :, before : before + frames]

    def _routed(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_frame: torch.Tensor, place: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return keys, values, mask and places of the windows with the most similar means, for each window."""
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
        return k, v, is_frame, place[window_numbers].flatten(2)


def _pooled(x: torch.Tensor, factor: int) -> torch.Tensor:
    """Return means over `factor` neighbouring frames of (batch, heads, frames, size)."""
    if factor == 1 or x.shape[2] < factor:
        return x
    return functional.avg_pool2d(x, (factor, 1), ceil_mode=True)


def _pooled_places(place: torch.Tensor, factor: int) -> torch.Tensor:
    """Return the middles, in frames, of what `_pooled` averages."""
    return _pooled(place.view(1, 1, -1, 1), factor).flatten()


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
