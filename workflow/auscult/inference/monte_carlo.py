"""Stochastic forward passes over all windows of some recordings."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from auscult.config.systems import Head
from auscult.heads.outputs import activate
from auscult.networks.layers.dropout import set_stochastic
from auscult.progress import note, progress
from auscult.training.data import Frames
from auscult.training.device import MemoryFull
from auscult.training.loop import windows


@torch.no_grad()
def stochastic_passes(
    network: nn.Module, frames: Frames, hop: int, heads: dict[str, Head], passes: int, batch: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`passes` forward passes with dropout on over every window, `batch` windows × passes at a time.

    Passes share a batch: each row of the batch draws its own dropout, so they are distributed as passes one after
    another are. Returns recording numbers and starts (windows,), probabilities (windows, passes, outputs) float32, and
    the mean latents of each window (windows, dimensions) float32.

    Where a GPU's memory does not hold the batch, all is done anew with half of it, and the log says so: what comes out
    is what the smaller number gives. Raises MemoryFull where one window is too much.
    """
    while True:
        try:
            return _passes(network, frames, hop, heads, passes, batch, seed)
        except torch.OutOfMemoryError as error:
            if batch <= passes:
                raise MemoryFull(
                    f"the memory of {frames.device} does not hold {passes} passes of one window: lower inference.passes"
                ) from error
        batch //= 2
        torch.cuda.empty_cache()
        note(f"warning: the memory of {frames.device} is full: again with inference.batch {batch}")


def _passes(
    network: nn.Module, frames: Frames, hop: int, heads: dict[str, Head], passes: int, batch: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    network.eval()
    set_stochastic(network, True)
    torch.manual_seed(seed)
    which, start = windows(frames, hop)
    each = max(1, batch // passes)
    probabilities, latents = [], []
    with progress("windows", len(which)) as tell:
        for part in torch.split(torch.arange(len(which)), each):
            x = frames.batch(which[part], start[part])
            logits, hidden = network(x.repeat_interleave(passes, dim=0))
            p = activate(logits.float(), heads)
            probabilities.append(p.view(len(part), passes, -1).cpu().numpy())
            latents.append(hidden.float().view(len(part), passes, -1).mean(dim=1).cpu().numpy())
            tell(int(part[-1]) + 1)
    set_stochastic(network, False)
    return which.numpy(), start.numpy(), np.concatenate(probabilities), np.concatenate(latents)
