"""A trained network, read from its folder."""

from __future__ import annotations

import json

import torch
from safetensors.torch import load_file
from torch import nn

from auscult import networks
from auscult.training.data import Windowing, added_values, windowing
from auscult.training.job import Job


def load_network(job: Job, device: torch.device) -> tuple[nn.Module, Windowing]:
    """The network in `job.folder` on a device, and the windows that it reads."""
    config = json.loads((job.folder / "config.json").read_text(encoding="utf-8"))
    channels, _, values = config["inputs"]
    sites = config["sites"]
    windows = windowing(job, channels, values - added_values(sites), sites)
    options = job.system.network.options
    network = networks.build(job.system.network.name, options, windows.shape, len(config["outputs"]), windows.added)
    network.load_state_dict(load_file(job.folder / "weights.safetensors"))
    return network.to(device, memory_format=torch.channels_last), windows
