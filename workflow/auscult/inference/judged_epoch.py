"""The epoch that the judged cases choose, for `training.select: test`: a leak that some publications have.

Beside an epoch chosen on validation cases it shows what such a choice would have claimed.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from auscult.cache.store import Cache
from auscult.progress import note
from auscult.training.job import EPOCHS, Job
from auscult.training.loop import Plan, epoch_file, validate
from auscult.training.parts import read_part


def load_judged_epoch(
    job: Job,
    network: torch.nn.Module,
    judged: tuple[pd.DataFrame, pd.DataFrame],
    store: Cache,
    shape: tuple[int, int, int],
    pad: float,
    hop: int,
    where: torch.device,
) -> None:
    """Put the weights of the epoch that scores the judged cases best into `network`; the first, where several do.

    judged: cases and recordings with labels (see `slices.fold_slice`). The score is the one that would choose an epoch
    by validation cases, the balanced accuracy at 0.5. Raises FileNotFoundError when the epochs' weights are gone.
    """
    part = read_part(job, ["test"], *judged, store, shape, pad, where)
    by_accuracy = job.system.training.model_copy(update={"select": "balanced_accuracy"})
    plan = Plan(job.task.heads, by_accuracy, hop, 0.0, job.seed)
    count = json.loads((job.folder / "manifest.json").read_text(encoding="utf-8"))["epochs"]
    files = [epoch_file(job.folder / EPOCHS, epoch) for epoch in range(count)]
    if lost := [file for file in files if not file.is_file()]:
        raise FileNotFoundError(f"{lost[0]}: the weights of this epoch are gone; delete {job.folder} and run again")
    scores = []
    for file in files:
        network.load_state_dict(load_file(file))
        scores.append(validate(network, part, plan))
    best = int(np.argmax(scores))
    network.load_state_dict(load_file(files[best]))
    note(f"epoch {best} of {count} is best on the judged cases: {scores[best]:.3f}; a leak, marked in every table")
