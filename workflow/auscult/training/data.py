"""Segments to batches: windows are gathered from the cached frames by index, never stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from auscult.cache.store import Cache


@dataclass(frozen=True)
class Frames:
    """Feature frames of some recordings, ready to be cut into windows.

    `values`: (frames + 1, channels × bands) in memory, the last row being the padding; or None, when windows
    are read from the cache one by one. `offset` and `length`: (recordings,) in frames.
    """

    recordings: list[str]
    shape: tuple[int, int, int]
    offset: torch.Tensor
    length: torch.Tensor
    values: torch.Tensor | None
    cache: Cache
    pad: float
    device: torch.device

    def batch(self, which: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Windows (batch, channels, window, bands) float32 of recordings `which` from frames `start` on."""
        channels, window, bands = self.shape
        if self.values is None:
            rows = torch.full((len(which), window, channels * bands), float(np.float16(self.pad)))  # as in memory
            for i, (number, first) in enumerate(zip(which.tolist(), start.tolist(), strict=True)):
                part = self.cache.read(self.recordings[number])[first : first + window]
                rows[i, : len(part)] = torch.from_numpy(part.reshape(len(part), -1).astype(np.float32))
            rows = rows.to(self.device)
        else:
            which, start = which.to(self.device), start.to(self.device)
            place = start[:, None] + torch.arange(window, device=self.device)
            inside = place < self.length[which][:, None]
            place = torch.where(inside, place + self.offset[which][:, None], len(self.values) - 1)
            rows = self.values[place].float()
        return rows.view(len(which), window, channels, bands).transpose(1, 2).contiguous()


def load_frames(
    cache: Cache,
    recordings: list[str],
    shape: tuple[int, int, int],
    pad: float,
    device: torch.device,
    resident: bool,
) -> Frames:
    """Frames of `recordings` for windows of `shape` (channels, frames, bands); `resident` copies them to `device`."""
    lengths = cache.lengths(recordings)
    offsets = np.cumsum(lengths) - lengths
    values = None
    if resident:
        rows = np.full((int(lengths.sum()) + 1, shape[0] * shape[2]), pad, dtype=np.float16)
        for name, first, count in zip(recordings, offsets, lengths, strict=True):
            rows[first : first + count] = cache.read(name).reshape(count, -1)
        values = torch.from_numpy(rows).to(device)
    return Frames(
        recordings,
        shape,
        torch.tensor(offsets, device=device),
        torch.tensor(lengths, device=device),
        values,
        cache,
        pad,
        device,
    )


def random_crops(
    lengths: torch.Tensor, window: int, crops: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """`crops` random windows of each recording: (which, start), both (recordings × crops,)."""
    which = torch.arange(len(lengths)).repeat_interleave(crops)
    room = (lengths.cpu()[which] - window).clamp(min=0) + 1
    start = torch.floor(torch.rand(len(which), generator=generator, dtype=torch.float64) * room).long()
    return which, start
