"""Growth: time per recording and peak memory of ingest, caches and training, from few recordings to many."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.timing import Row, row, series, take_turns

TITLE = "Growth with the data set"
NOTES = """
Values belong to the sizes in the row, from the smallest on. The target concerns the last value relative to the first.
Every stage runs in a process of its own and reads what the stage before wrote.

**Memory**: jobs of caches hold one recording at a time. What grows are the tables of the data set, and in ingest the
rows that the adapter reads before they become tables.
"""
SECONDS = (5.0, 5.2)
SIZES = (250, 1000, 4000, 16000, 64000)
MOST_TRAINED = 16000
STAGES = ("ingest", "samples", "frames", "training")
MIB = 1024  # of the kilobytes in which Linux gives memory


def rows(home: Path, most: int) -> list[Row]:
    """For every stage: milliseconds per recording and peak memory by size; each in a process of its own."""
    sizes = [size for size in SIZES if size <= most]
    for size in sizes:
        run(home, size, "recordings")
    found = []
    for stage in STAGES:
        of_stage = [size for size in sizes if stage != "training" or size <= MOST_TRAINED]
        table = pd.DataFrame([json.loads(run(home, size, stage)) for size in of_stage])
        what = f"growth, {stage}, {', '.join(map(str, table['recordings']))} recordings of 5 s"
        each, peak = 1000 * table["seconds"] / table["recordings"], table["peak_kb"] / MIB
        found.append(series(what, "time per recording", each.to_numpy(), "ms", "grows ≤ 10 %", lambda x: x <= 1.1))
        if stage == "training":
            found.append(row(what, "largest memory", peak.to_numpy()[-1:], "MiB", "≤ 2048", lambda x: x <= 2048))
        else:
            found.append(series(what, "peak memory", peak.to_numpy(), "MiB", "grows ≤ 10 %", lambda x: x <= 1.1))
        if stage == "frames":
            ratios = (each / log_mels_ms())[table["recordings"] > 1000].to_numpy()
            if len(ratios):
                what = "job that caches log-mels of 1,000 recordings or more, 5 s each / log-mels in memory"
                found.append(row(what, "auscult", ratios, "×", "≤ 1.5", lambda x: x <= 1.5))
    return found


def run(home: Path, size: int, stage: str) -> str:
    """Run one stage on one size in a process of its own; return the last line that it prints."""
    words = [sys.executable, "-m", "benchmarks.growth", str(home / str(size)), str(size), stage]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip().rpartition("\n")[2]


def log_mels_ms() -> float:
    """Milliseconds of this process for the log-mels of a recording of 5 s that is in memory."""
    from auscult.features.front_ends.logmel import PRESETS, compute

    signals = 0.1 * np.random.default_rng(0).standard_normal((50, 1, int(4000 * np.mean(SECONDS))))
    took = take_turns({"auscult": lambda: [compute(each, 4000, PRESETS["band1k"]) for each in signals]}, 5)
    return 1000 * float(np.median(took["auscult"])) / len(signals)


def main(home: Path, size: int, stage: str) -> None:
    """One stage on one size; what the stages before made is found as they left it."""
    from benchmarks import data

    if stage == "recordings":
        data.write_recordings(home, size * 3 // 10, SECONDS)  # about 3.3 recordings a patient
        return
    started = time.perf_counter()
    made = data.ingest(home) if stage == "ingest" else data.read(home)
    if stage == "samples":
        data.cache_samples(made)
    if stage == "frames":
        data.cache_frames(made)
    if stage == "training":
        _train(made)
    spent = time.perf_counter() - started
    peak = max(own_peak_kb(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    print(json.dumps({"seconds": spent, "recordings": len(made.manifest.recordings), "peak_kb": peak}))


def own_peak_kb() -> int:
    """Largest memory of this process; `ru_maxrss` would begin with that of the process which started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _train(made) -> None:
    """One epoch of one crop a recording, windows read from the cache one by one (`resident: false`)."""
    import torch

    from auscult.config.systems import Training
    from auscult.training.checkpoint import Checkpoint
    from auscult.training.data import load_frames
    from auscult.training.loop import TrainingPlan, fit
    from auscult.training.loss import LabelLoss
    from auscult.training.role_data import RoleData
    from benchmarks import data, networks

    torch.set_num_threads(1)
    cache, names = data.cache_frames(made), made.manifest.recordings["recording"].tolist()

    def role_data(some: list[str]) -> RoleData:
        frames = load_frames(cache, some, networks.WINDOWING, torch.device("cpu"), resident=False)
        targets = (np.arange(2 * len(some)) % 2).reshape(-1, 2).astype(np.float32)
        return RoleData(frames, targets, np.arange(len(some)), targets)

    settings = Training(epochs=1, crops=1, balance="none", select="loss", resident=False)
    plan = TrainingPlan(networks.HEADS, settings, 62.5, 0)
    network = networks.built("compact", {})
    checkpoint = Checkpoint(made.home / "checkpoint.safetensors", "")
    train_data = role_data(names)
    objective = LabelLoss(settings, networks.HEADS, train_data.targets, torch.device("cpu"))
    fit(network, objective, train_data, role_data(names[:8]), plan, checkpoint, lambda line: None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
