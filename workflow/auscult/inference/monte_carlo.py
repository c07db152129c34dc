"""Stochastic forward passes over all windows of some recordings."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from auscult.config.systems import Head
from auscult.heads.outputs import activate
from auscult.networks.layers.dropout import set_stochastic
from auscult.progress import note, progress
from auscult.training.data import Frames
from auscult.training.device import MemoryFull


class Passes(NamedTuple):
    """Stochastic passes over windows.

    `recording`, `start`: (windows,) numbers of their recordings and first frames. `probabilities`: (windows, passes,
    outputs) float32. `latents`: (windows, dimensions) float32, the mean over the passes.
    """

    recording: np.ndarray
    start: np.ndarray
    probabilities: np.ndarray
    latents: np.ndarray


def stochastic_passes(
    network: nn.Module, frames: Frames, heads: dict[str, Head], passes: int, batch: int, seed: int
) -> Passes:
    """`passes` forward passes with dropout on over every window, at most `batch` windows × passes at a time.

    Passes share a batch: each row of the batch draws its own dropout, so they are distributed as passes one after
    another are. A batch has windows of one recording, and the random numbers of a recording depend on `seed` and its
    name alone: its result is the same whatever other recordings are scored (to the byte on a CPU).

    Where a GPU's memory does not hold the batch, all recordings are scored again with half of it, and the log says so.
    Raises MemoryFull where one window is too much.
    """
    while True:
        try:
            return _passes(network, frames, heads, passes, batch, seed)
        except torch.OutOfMemoryError as error:
            if batch <= passes:
                raise MemoryFull(
                    f"the memory of {frames.device} does not hold {passes} passes of one window: lower inference.passes"
                ) from error
        batch //= 2
        torch.cuda.empty_cache()
        note(f"warning: the memory of {frames.device} is full: again with inference.batch {batch}")


def of_recordings(passes: Passes, cases: list[str], case_of: list[str]) -> Passes:
    """Passes over windows of cases as those of recordings: each recording has the windows of its case.

    cases: whose windows they are, by number. case_of: the case of each recording.
    """
    number = {case: number for number, case in enumerate(cases)}
    windows = [np.flatnonzero(passes.recording == number[case]) for case in case_of]
    order = np.concatenate(windows)
    recording = np.repeat(np.arange(len(case_of)), [len(of_recording) for of_recording in windows])
    return Passes(recording, passes.start[order], passes.probabilities[order], passes.latents[order])


def recording_seed(seed: int, recording: str) -> int:
    """Seed of the dropout of one recording: a hash of the network's seed and the recording's name."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{recording}".encode()).digest()[:8], "little")


@torch.no_grad()
def _passes(network: nn.Module, frames: Frames, heads: dict[str, Head], passes: int, batch: int, seed: int) -> Passes:
    network.eval()
    set_stochastic(network, True)
    recording, start = frames.windows()
    windows_at_a_time = max(1, batch // passes)
    probabilities, latents = [], []
    with progress("windows", len(recording)) as report:
        for number, name in enumerate(frames.recordings):
            torch.manual_seed(recording_seed(seed, name))
            for windows in torch.split(torch.nonzero(recording == number)[:, 0], windows_at_a_time):
                x = frames.batch(recording[windows], start[windows])
                logits, hidden = network(x.repeat_interleave(passes, dim=0))
                p = activate(logits.float(), heads)
                probabilities.append(p.view(len(windows), passes, -1).cpu().numpy())
                latents.append(hidden.float().view(len(windows), passes, -1).mean(dim=1).cpu().numpy())
                report(int(windows[-1]) + 1)
    set_stochastic(network, False)
    return Passes(recording.numpy(), start.numpy(), np.concatenate(probabilities), np.concatenate(latents))
