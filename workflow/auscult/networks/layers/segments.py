"""Segments that overlap by half: to cut a sequence, and to add segments up again."""

from __future__ import annotations

import torch
from torch.nn import functional


def cut(x: torch.Tensor, length: int) -> torch.Tensor:
    """Return the segments (batch, channels, segments, length) of (batch, channels, frames); `length` is even.

    A segment begins every half length. Zeros at the end complete the last one, so that every frame is in a segment.
    """
    hop, frames = length // 2, x.shape[2]
    missing = length - frames if frames < length else (length - frames) % hop
    return functional.pad(x, (0, missing)).unfold(2, length, hop)


def overlap_add(segments: torch.Tensor) -> torch.Tensor:
    """Return the sum (batch, channels, frames) of segments (batch, channels, segments, length), each at its place."""
    hop = segments.shape[3] // 2
    first, second = segments[..., :hop].flatten(2), segments[..., hop:].flatten(2)
    return functional.pad(first, (0, hop)) + functional.pad(second, (hop, 0))
