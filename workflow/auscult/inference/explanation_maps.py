"""Explanations of a network's output over the frames of recordings, and in which heart phases they lie.

A network that pools by attention shows its weights. Of the others a map says which frames and bands speak for an
output: the network's last feature maps times the gradient of the output's logit, summed over the maps and cut at 0.
For a network that averages its maps over all places this is Grad-CAM (Selvaraju et al. 2017); for one that weighs
places the gradient of each place counts by itself (Draelos and Carin 2020), since its mean would point elsewhere. See
`networks` for what a network must have.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from auscult.cache.store import Cache
from auscult.training.data import Frames, load_frames
from auscult.training.job import Job
from auscult.training.trained import load_network


class NotExplainable(Exception):
    """The network neither attends nor has a part `maps`."""


BY_CHANNEL = "Grad-CAM by channel"


def explained_by(network: nn.Module) -> str:
    """What a network is explained by: its `attention`, `Grad-CAM` over bands, or `Grad-CAM by channel`."""
    if hasattr(network, "attended"):
        return "attention"
    return BY_CHANNEL if getattr(network, "maps_have_channels", False) else "Grad-CAM"


@torch.no_grad()
def attention(network: nn.Module, x: torch.Tensor, output: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (batch, frames, bands) ≥ 0 of windows (batch, channels, frames, bands), and logits (batch,) of `output`.

    In evaluation mode. Weights have the window's resolution, interpolated from the network's.
    """
    network.eval()
    return _on_the_window(network.attended(x, output)[:, None], x.shape[2:]), network(x)[0][:, output]


def _on_the_window(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Maps (batch, 1, any, any) at a window's resolution (batch, frames, bands).

    More bands than the window has are averaged; interpolation alone would take the middle ones.
    """
    maps = functional.adaptive_avg_pool2d(maps, (maps.shape[2], min(maps.shape[3], size[1])))
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)[:, 0]


def grad_cam(network: nn.Module, x: torch.Tensor, output: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps (batch, frames, bands) ≥ 0 of windows (batch, channels, frames, bands), and logits (batch,) of `output`.

    In evaluation mode, without dropout. Maps have the window's resolution, interpolated from the network's. If the
    network's maps have channels in place of bands, so have these. Raises
    NotExplainable for a network without `maps`.
    """
    if not hasattr(network, "maps"):
        raise NotExplainable(f"{type(network).__name__} has no part `maps`: it cannot be explained by Grad-CAM")
    network.eval()
    outputs: list[torch.Tensor] = []
    hook = network.maps.register_forward_hook(lambda module, inputs, out: outputs.append(out))
    try:
        with torch.enable_grad():
            logits = network(x.detach().requires_grad_())[0][:, output]
            gradient = torch.autograd.grad(logits.sum(), outputs[0])[0]
    finally:
        hook.remove()
    maps = outputs[0].detach()
    cam = (gradient * maps).sum(dim=1, keepdim=True).relu()
    columns = x.shape[1] if explained_by(network) == BY_CHANNEL else x.shape[3]
    return _on_the_window(cam, (x.shape[2], columns)), logits.detach()


def explain(network: nn.Module, frames: Frames, output: int) -> tuple[list[np.ndarray], np.ndarray]:
    """A map (frames, bands or channels) of every recording, and the mean logit of each (recordings,).

    Where windows overlap, their maps are averaged. Frames that no window covers are 0.
    """
    by = explained_by(network)
    maps_of = attention if by == "attention" else grad_cam
    recording, start = frames.windows()
    channels, window, bands = frames.windowing.shape
    lengths = frames.length.cpu().numpy()
    total = [np.zeros((max(length, window), channels if by == BY_CHANNEL else bands)) for length in lengths]
    counts = [np.zeros((max(length, window), 1)) for length in lengths]
    logits = np.zeros(len(lengths))
    windows_of = np.bincount(recording.numpy(), minlength=len(lengths))
    for batch in torch.split(torch.arange(len(recording)), 64):
        maps, scores = maps_of(network, frames.batch(recording[batch], start[batch]), output)
        for number, first, cam, score in zip(recording[batch], start[batch], maps.cpu().numpy(), scores, strict=True):
            total[number][first : first + window] += cam
            counts[number][first : first + window] += 1
            logits[number] += float(score) / windows_of[number]
    return [(a / np.maximum(b, 1))[:length] for a, b, length in zip(total, counts, lengths, strict=True)], logits


def explain_recordings(
    job: Job, names: list[str], output: int, cache: Cache, device: torch.device
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, str]:
    """`explain` of a trained network for recordings by name.

    Maps, centres of their frames in seconds, logits, and what explains the network (see `explained_by`).
    """
    network, windowing = load_network(job, device)
    maps, logits = explain(network, load_frames(cache, names, windowing, device, True), output)
    front_end = job.front_end
    times = [np.arange(len(cam)) / front_end.frames_per_second + front_end.frame_s / 2 for cam in maps]
    return maps, times, logits, explained_by(network)


def phase_shares(cam: np.ndarray, times: np.ndarray, states: pd.DataFrame) -> pd.DataFrame:
    """Where the energy of a map lies: per state its share of the map's sum, and of the frames (what chance would give).

    cam: (frames, bands). times: (frames,) centres in seconds. states: `onset_s, offset_s, state`. Only frames inside an
    annotated state count. Returns `state, energy, time`; empty where no frame is annotated or the map is 0.
    """
    state_of_frame = np.full(len(times), "", dtype=object)
    for row in states[states["state"] != "unannotated"].itertuples():
        state_of_frame[(times >= row.onset_s) & (times < row.offset_s)] = row.state
    energy = pd.Series(cam.sum(axis=1)).groupby(state_of_frame).sum().drop("", errors="ignore")
    time = pd.Series(1.0, index=range(len(times))).groupby(state_of_frame).sum().drop("", errors="ignore")
    if not energy.sum() > 0:
        return pd.DataFrame(columns=["state", "energy", "time"])
    table = pd.DataFrame({"energy": energy / energy.sum(), "time": time / time.sum()})
    return table.rename_axis("state").reset_index()
