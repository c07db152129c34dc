"""Which devices this machine has, and whether PyTorch can use them: found out before the first job starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


class DeviceError(Exception):
    """A GPU is there that PyTorch cannot use; the message says what to do."""


def usable_gpus(device: str) -> list[str]:
    """Return the names of the GPUs on which jobs of this machine compute; [] for the CPU.

    device: the key of config.yaml. `cpu` hides all GPUs from this process and its jobs. Raises DeviceError where the
    driver shows a GPU and PyTorch cannot open it: a training of hours would otherwise run for days on the CPU.
    """
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or not any_gpu():
        return []
    import torch  # takes seconds, which a run without a GPU does not wait

    if torch.cuda.is_available():
        return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    if names := gpus_of_driver():
        raise DeviceError(
            f"this machine has a GPU ({', '.join(names)}) that PyTorch {torch.__version__} cannot use: "
            f"{_reason(torch)}. Mend that, or compute on the CPU with --config device=cpu"
        )
    return []


def networks_per_gpu(setting: int | None) -> int:
    """Return how many networks compute on a GPU at the same time.

    setting: the key of config.yaml; without it one for each 32 GiB of the smallest GPU's memory, at most 8.
    """
    if setting:
        return setting
    import torch

    numbers = range(torch.cuda.device_count())
    memory = min(torch.cuda.get_device_properties(number).total_memory for number in numbers)
    return max(1, min(8, memory // 2**35))


def report(gpus: list[str]) -> None:
    """Print the devices on which jobs compute."""
    print(f"devices: {', '.join(gpus) if gpus else f'CPU with {os.cpu_count()} cores'}", file=sys.stderr)


def gpus_of_driver(devices: Path = Path("/dev")) -> list[str]:
    """Return the NVIDIA GPUs that the driver or the device files show; [] without any."""
    try:
        command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        listing = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
        if names := [line.strip() for line in listing.splitlines() if line.strip()]:
            return names
    except (OSError, subprocess.SubprocessError):
        pass
    return [str(path) for path in sorted(devices.glob("nvidia[0-9]*"))]


def any_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether the driver or the device files show a GPU that PyTorch may know: of NVIDIA, AMD, a Jetson, or in WSL."""
    patterns = ("nvidia[0-9]*", "kfd", "nvhost-gpu*", "nvgpu*", "dxg")
    return any(any(devices.glob(pattern)) for pattern in patterns) or bool(gpus_of_driver(devices))


def _reason(torch) -> str:
    if not torch.version.cuda:
        return "this build of PyTorch is for CPUs only; install one for CUDA"
    try:
        torch.cuda.init()
    except Exception as error:  # whatever CUDA raises is what the user must know
        return " ".join(str(error).split())
    return "no device can be opened; are its device files readable for this user?"
