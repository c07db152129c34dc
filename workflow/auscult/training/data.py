"""Frames to batches: windows are gathered from the cached frames by index, never stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from auscult.cache.segments import segments, window_frames
from auscult.cache.store import Cache, CacheError
from auscult.config.systems import Segment
from auscult.features import FrontEnd
from auscult.training.job import Job


@dataclass(frozen=True)
class Windowing:
    """How recordings are cut into windows.

    `shape`: of a window, (channels, frames, bands). `hop`: frames from one window to the next. `pad`: the value that
    stands after the end of a recording. `sites`: None; of windows of cases the sites that frames are marked with, see
    `case_frames`.
    """

    shape: tuple[int, int, int]
    hop: int
    pad: float
    sites: tuple[str, ...] | None = None

    @property
    def added(self) -> int:
        """Values of a frame that do not come from the front end."""
        return added_values(self.sites)


def added_values(sites: Sequence[str] | None) -> int:
    """How many values frames of cases with these sites have after those of the front end; None: of recordings."""
    return 0 if sites is None else len(sites) + 1


def windowing(job: Job, channels: int, bands: int, sites: Sequence[str] | None = None) -> Windowing:
    """The windows that a network reads of frames with so many channels and bands. sites: see `Windowing`."""
    windows = window_of(job.system.segment, job.front_end, channels, bands + added_values(sites))
    return windows if sites is None else replace(windows, sites=tuple(sites))


def window_of(segment: Segment, front_end: FrontEnd, channels: int, bands: int) -> Windowing:
    """The windows of a length and step in frames of a front end."""
    window, hop = window_frames(segment, front_end.frames_per_second)
    return Windowing((channels, window, bands), hop, front_end.pad_value)


@dataclass(frozen=True)
class Frames:
    """Feature frames of some recordings, ready to be cut into windows.

    `values`: (frames + 1, channels × bands) in memory, the last row being the padding; or None, when windows
    are read from the cache one by one. `offset` and `length`: (recordings,) in frames.
    """

    recordings: list[str]
    windowing: Windowing
    offset: torch.Tensor
    length: torch.Tensor
    values: torch.Tensor | None
    cache: Cache
    device: torch.device

    def batch(self, recording: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Windows (batch, channels, frames, bands) float32.

        recording (batch,): numbers of the windows' recordings; start (batch,): the first frame of each in it.
        """
        channels, window, bands = self.windowing.shape
        if self.values is None:
            # rounded as the padding in memory is
            rows = torch.full((len(recording), window, channels * bands), float(np.float16(self.windowing.pad)))
            for i, (number, first) in enumerate(zip(recording.tolist(), start.tolist(), strict=True)):
                frames = self.cache.read(self.recordings[number])[first : first + window]
                rows[i, : len(frames)] = torch.from_numpy(frames.reshape(len(frames), -1).astype(np.float32))
            rows = rows.to(self.device)
        else:
            recording, start = recording.to(self.device), start.to(self.device)
            position = start[:, None] + torch.arange(window, device=self.device)
            is_frame = position < self.length[recording][:, None]
            index = torch.where(is_frame, position + self.offset[recording][:, None], len(self.values) - 1)
            rows = self.values[index].float()
        return rows.view(len(recording), window, channels, bands).transpose(1, 2).contiguous()

    def windows(self, to_the_end: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        """All windows, see `segments`: numbers of their recordings and their first frames, both (windows,)."""
        _, window, _ = self.windowing.shape
        numbers = list(range(len(self.recordings)))
        table = segments(numbers, self.length.cpu().numpy(), window, self.windowing.hop, to_the_end)
        return torch.tensor(table["recording"].to_numpy(dtype=np.int64)), torch.tensor(table["start"].to_numpy())


def load_frames(
    cache: Cache, recordings: list[str], windowing: Windowing, device: torch.device, resident: bool
) -> Frames:
    """Frames of `recordings`; `resident` copies them to `device`, else each window is read when it is needed.

    Raises CacheError if the cached frames do not have the channels and bands of the windows.
    """
    channels, _, bands = windowing.shape
    if recordings and cache.shape != (channels, bands):  # numpy would copy one channel into all
        raise CacheError(
            f"the cached frames have {cache.shape[0]} channels and {cache.shape[-1]} bands, the network reads "
            f"{channels} and {bands}"
        )
    lengths = cache.lengths(recordings)
    offsets = np.cumsum(lengths) - lengths
    values = None
    if resident:
        rows = np.full((int(lengths.sum()) + 1, channels * bands), windowing.pad, dtype=np.float16)
        for name, first, count in zip(recordings, offsets, lengths, strict=True):
            rows[first : first + count] = cache.read(name).reshape(count, -1)
        values = torch.from_numpy(rows).to(device)
    return Frames(
        recordings,
        windowing,
        torch.tensor(offsets, device=device),
        torch.tensor(lengths, device=device),
        values,
        cache,
        device,
    )


def joined(parts: list[Frames]) -> Frames:
    """Frames of several caches as one. Raises CacheError where there are several and one is not in memory."""
    if len(parts) == 1:
        return parts[0]
    if any(part.values is None for part in parts):
        raise CacheError("frames of several data sets are only read from memory: set training.resident: true")
    starts = np.cumsum([0, *(len(part.values) - 1 for part in parts)])  # without the padding of each
    return replace(
        parts[0],
        recordings=[name for part in parts for name in part.recordings],
        offset=torch.cat([part.offset + int(start) for part, start in zip(parts, starts, strict=False)]),
        length=torch.cat([part.length for part in parts]),
        values=torch.cat([*(part.values[:-1] for part in parts), parts[0].values[-1:]]),
    )


def random_crops(
    lengths: torch.Tensor, window: int, crops: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """`crops` random windows of each recording: recording numbers and first frames, both (recordings × crops,)."""
    recording = torch.arange(len(lengths)).repeat_interleave(crops)
    starts = (lengths.cpu()[recording] - window).clamp(min=0) + 1  # number of possible ones
    start = torch.floor(torch.rand(len(recording), generator=generator, dtype=torch.float64) * starts).long()
    return recording, start
