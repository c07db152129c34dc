"""Which device a job computes on: a place on a GPU, taken by lock file, or the CPU."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import torch

from auscult.progress import note
from auscult.training.job import Resources


class MemoryFull(Exception):
    """A GPU's memory is full; the message says which key to lower."""


@contextmanager
def device(resources: Resources, count: int | None = None, wait_s: float = 1.0) -> Iterator[torch.device]:
    """A device for the time of the `with` block.

    With GPUs visible, a place on one of them is taken, waiting when all are busy: all places of a GPU before those of
    the next, so that a run uses as many GPUs as it asked for. A place is a lock file, which the kernel frees when the
    process ends, however it ends. `count` pretends a number of GPUs (for tests). Raises MemoryFull.
    """
    torch.set_num_threads(max(1, resources.threads))
    count = torch.cuda.device_count() if count is None else count
    if not count:
        yield torch.device("cpu")
        return
    locks = resources.locks
    locks.mkdir(parents=True, exist_ok=True)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = visible.split(",") if visible else [str(number) for number in range(count)]
    while True:
        for number, place in product(range(count), range(resources.networks_per_gpu)):
            # named by the physical device, so that jobs that see different ones do not clash
            with (locks / f"gpu-{names[number].replace('/', '_')}-{place}.lock").open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                note(f"device: cuda:{number}")
                try:
                    yield torch.device("cuda", number)
                except torch.OutOfMemoryError as error:
                    hint = "; lower networks_per_gpu in config.yaml" if resources.networks_per_gpu > 1 else ""
                    raise MemoryFull(
                        f"the memory of cuda:{number} is full: lower training.batch, or set training.resident: "
                        f"false{hint}"
                    ) from error
                return
        time.sleep(wait_s)


def seed_everything(seed: int, deterministic: bool) -> None:
    """Seed torch; on a GPU `deterministic` also forbids kernels whose results vary."""
    torch.manual_seed(seed)
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = not deterministic
        torch.backends.cudnn.allow_tf32 = not deterministic
        torch.backends.cudnn.benchmark = not deterministic
        torch.use_deterministic_algorithms(deterministic, warn_only=True)


def precision(device: torch.device, setting: str) -> str:
    """The precision of a training on this device: `setting` (`float32` or `bfloat16`) where the device supports it."""
    is_fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()  # elsewhere it would be slower
    return setting if is_fast else "float32"


def autocast(device: torch.device, setting: str) -> torch.autocast:
    """A context in which products of matrices are computed in that precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision(device, setting) == "bfloat16")
