"""Training and stochastic passes on one core, against the plain ways of doing the same, each in a process of its own.

python -m benchmarks.networks HOME SUBJECTS SIDE NETWORK prints the processor seconds of one epoch, or of all passes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from auscult import networks
from auscult.config.systems import Head, NetworkConfig, Segment, System, Task, Training
from auscult.features.frames import frames_config
from auscult.features.front_ends.logmel import PRESETS, pad_value
from auscult.inference.monte_carlo import stochastic_passes
from auscult.networks.layers.dropout import set_stochastic
from auscult.plan.names import NetworkName
from auscult.training import loop
from auscult.training.checkpoint import Checkpoint
from auscult.training.data import Frames, Windowing, load_frames
from auscult.training.job import FrameCache, Job, Resources
from auscult.training.loop import TrainingPlan, fit
from auscult.training.loss import LabelLoss
from auscult.training.role_data import RoleData
from auscult.training.train import train
from benchmarks.data import CODE, FRONT_END, Data, cache_frames, make
from benchmarks.timing import Row, row

TITLE = "Training and stochastic passes"
NOTES = """
- **Training.** Both sides run the same layers, so that time can only be saved between and around them. The plain
  loop keeps every overlapping window as a copy in memory. The rows of `compile: true` do not count the compilation, a
  minute or two.
- The Challenge's fastest entry took 0.40 s per patient, the reference 117 s (official run, on its machine). "passes of
  a patient" is the time of auscult's network alone on one core.
"""
SHAPE = (1, 250, 40)
HOP = 188  # frames: 3 s
WINDOWING = Windowing(SHAPE, HOP, pad_value(PRESETS["band1k"]))
BATCH = 64
HEADS = {"present": Head(label="murmur", positive=["Present"]), "unknown": Head(label="murmur", positive=["Unknown"])}
SMALL = {"block": "basic", "depths": [1, 1, 1], "widths": [16, 32, 64], "stem_kernel": 5, "drop": "channels"}
NETWORKS = {"compact": {}, "dynse_bdresnet": {**SMALL, "dropout_mean": 0.1}}
PASSES = 30
PER_PATIENT = 3.3  # recordings, as in CirCor
MALLOC = {name: str(4 * 2**30 - 1) for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")}  # as the rules set


def rows(data: Data, subjects: int, repetitions: int) -> list[Row]:
    """All rows of this part."""
    found = machine(repetitions)
    best = found[0].median
    for name, options in NETWORKS.items():
        work = networks.multiply_adds(built(name, options), SHAPE)
        what = f"training, {name} ({work / 1e6:.0f} M multiply-adds), windows a second of one core"
        rates = sides(data, subjects, name, ("auscult", "plain"), repetitions)
        found += [
            row(what, "auscult", rates["auscult"], "1/s"),
            row(what, "plain loop over stored windows", rates["plain"], "1/s"),
            row(what, "auscult / plain", rates["auscult"] / rates["plain"], "×", "≥ 1.5", lambda x: x >= 1.5),
            row(what, "share of the matrix rate", 100 * rates["auscult"] * 6 * work / 1e9 / best, "%"),
        ]
        rates = sides(data, subjects, name, ("auscult", "compiled"), 1)
        found.append(
            row(what, "with `compile: true` / without, once compiled", rates["compiled"] / rates["auscult"], "×")
        )
        what = f"{PASSES} stochastic passes, {name}, window-passes a second of one core"
        rates = sides(data, subjects, name, ("passes", "sequential"), repetitions)
        each = PASSES * PER_PATIENT * windows_each(data) / rates["passes"]
        found += [
            row(what, "auscult", rates["passes"], "1/s"),
            row(what, "one pass after another", rates["sequential"], "1/s"),
            row(what, "auscult / sequential", rates["passes"] / rates["sequential"], "×", "≥ 1.5", lambda x: x >= 1.5),
            row(f"{PASSES} passes of a patient, {name}", "auscult, one core", each, "s"),
        ]
    return [
        *found,
        row(
            "from a training job's call to its first step, imports apart",
            "auscult",
            first_step(data),
            "s",
            "≤ 1",
            lambda x: x <= 1,
        ),
        row("imports of a training job", "auscult", imports(repetitions), "s"),
    ]


def machine(repetitions: int) -> list[Row]:
    """What one core can do: products of matrices, and copying memory."""
    torch.set_num_threads(1)
    a, big = torch.randn(1024, 1024), np.zeros(2**26, np.float32)
    products, copies = [], []
    for _ in range(5 * repetitions):
        started = time.process_time()
        for _ in range(10):
            a @ a
        products.append(10 * 2 * 1024**3 / (time.process_time() - started) / 1e9)
        started = time.process_time()
        big.copy()
        copies.append(2 * big.nbytes / (time.process_time() - started) / 1e9)
    return [
        row("the machine: products of float32 matrices, one core", "torch", np.array(products), "GFLOP/s"),
        row("the machine: copying memory, one core", "numpy", np.array(copies), "GB/s"),
    ]


def sides(data: Data, subjects: int, name: str, both: tuple[str, str], repetitions: int) -> dict[str, np.ndarray]:
    """Windows (× passes) a second of two sides, which take turns."""
    found: dict[str, list[float]] = {side: [] for side in both}
    for _ in range(repetitions):
        for side in both:
            words = [sys.executable, "-m", "benchmarks.networks", str(data.home), str(subjects), side, name]
            mine = os.environ | (MALLOC if side in ("auscult", "compiled", "passes") else {})
            done = subprocess.run(words, env=mine, check=True, capture_output=True, text=True)
            found[side].append(float(done.stdout.splitlines()[-1]))
    return {side: np.array(rates) for side, rates in found.items()}


def main(home: Path, subjects: int, side: str, name: str) -> None:
    """Windows (× passes) a second of one side, after a run that is not counted."""
    torch.set_num_threads(1)
    data = make(home, subjects)
    names = data.manifest.recordings["recording"].tolist()
    frames = load_frames(cache_frames(data), names, WINDOWING, torch.device("cpu"), True)
    run, count = {"auscult": ours, "compiled": compiled, "plain": plain, "passes": passes, "sequential": sequential}[
        side
    ](data, frames, name)
    run()
    started = time.process_time()
    run()
    print(count / (time.process_time() - started))


def built(name: str, options: dict) -> torch.nn.Module:
    """A network with the same weights each time."""
    torch.manual_seed(0)
    return networks.build(name, options, SHAPE, 2)


def labels(frames: Frames) -> np.ndarray:
    """Random ones (recordings, 2)."""
    return np.random.default_rng(0).integers(0, 2, (len(frames.recordings), 2)).astype(np.float32)


def stored(frames: Frames) -> torch.Tensor:
    """Every window as a copy of its own, as the published code stores them."""
    return frames.batch(*frames.windows())


def windows_each(data: Data) -> float:
    """Mean number of windows of a recording."""
    lengths = data.manifest.recordings["frames"] / data.manifest.recordings["rate_hz"]
    return float(np.ceil((lengths * 62.5 - SHAPE[1]).clip(lower=0) / HOP + 1).mean())


def ours(data: Data, frames: Frames, name: str):
    """One epoch of auscult's loop, as it ends: with a checkpoint, without validation cases."""
    return epoch(data, frames, lambda: built(name, NETWORKS[name])), len(frames.windows()[0])


def compiled(data: Data, frames: Frames, name: str):
    """The same of a compiled network; the same network again in the run that counts, which does not compile again."""
    network = built(name, NETWORKS[name])
    return epoch(data, frames, lambda: network, compile=True), len(frames.windows()[0])


def epoch(data: Data, frames: Frames, network: Callable[[], torch.nn.Module], **more):
    """A function that trains a network for one epoch, with more settings."""
    targets, cases = labels(frames), np.arange(len(frames.recordings))
    settings = Training(epochs=1, batch=BATCH, sampling="windows", balance="none", select="last", **more)
    plan = TrainingPlan(HEADS, settings, 62.5, 0)
    checkpoint = Path(data.home, "checkpoint.safetensors")

    def run() -> None:
        checkpoint.unlink(missing_ok=True)
        train_data = RoleData(frames, targets, cases, targets)
        objective = LabelLoss(settings, HEADS, targets, frames.device)
        fit(network(), objective, train_data, None, plan, Checkpoint(checkpoint, ""), lambda line: None)

    return run


def plain(data: Data, frames: Frames, name: str):
    """One epoch of an eager loop with a DataLoader over stored windows."""
    x, targets = stored(frames), torch.from_numpy(labels(frames))[frames.windows()[0]]

    def run() -> None:
        network = built(name, NETWORKS[name]).train()
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
        for batch, wanted in DataLoader(TensorDataset(x, targets), batch_size=BATCH, shuffle=True):
            loss = functional.binary_cross_entropy_with_logits(network(batch)[0], wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return run, len(x)


def passes(data: Data, frames: Frames, name: str):
    """Stochastic passes of auscult."""
    few = load_frames(frames.cache, frames.recordings[:16], WINDOWING, frames.device, True)
    network = built(name, NETWORKS[name]).to(memory_format=torch.channels_last)
    count = PASSES * len(few.windows()[0])
    return lambda: stochastic_passes(network, few, HEADS, PASSES, 256, 0), count


def sequential(data: Data, frames: Frames, name: str):
    """One pass after another over all windows."""
    few = load_frames(frames.cache, frames.recordings[:16], WINDOWING, frames.device, True)
    network, x = built(name, NETWORKS[name]).eval(), stored(few)
    set_stochastic(network, True)

    def run() -> None:
        with torch.no_grad():
            for _ in range(PASSES):
                for batch in torch.split(x, BATCH):
                    network(batch)

    return run, PASSES * len(x)


class Started(Exception):
    """The first epoch begins."""


def first_step(data: Data) -> np.ndarray:
    """Seconds from the call of a training job to the start of its first step, by the clock."""

    def stop(*_) -> None:
        raise Started

    cases = data.manifest.cases["case"]
    roles = np.where(np.arange(len(cases)) % 4 == 0, "val", "train")
    folds = pd.DataFrame({"repeat": 0, "fold": 0, "case": cases, "role": roles})
    system = System(tasks=["murmur"], front_end=FRONT_END, segment=Segment(), network=NetworkConfig(name="compact"))
    job = Job(data.home / "model", system, Task(heads=HEADS), NetworkName(0, 0))
    cache_frames(data)
    frame_cache = FrameCache(data.home / "frames", frames_config(data.dataset, FRONT_END))
    resources = Resources(data.home / "locks", 1)
    whole, seconds = loop._train_epoch, []
    loop._train_epoch = stop
    for _ in range(6):
        started = time.perf_counter()
        with suppress(Started):
            train(job, data.manifest, folds, frame_cache, CODE, resources, lambda line: None)
        seconds.append(time.perf_counter() - started)
    loop._train_epoch = whole
    return np.array(seconds[1:])


def imports(repetitions: int) -> np.ndarray:
    """Seconds of a process that imports what a training job does, by the clock."""
    words = "import auscult.training.train, auscult.training.network_training, auscult.tracking"
    found = []
    for _ in range(repetitions + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", words], check=True)
        found.append(time.perf_counter() - started)
    return np.array(found[1:])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5])
