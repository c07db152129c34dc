"""The epoch that the test cases choose, for `training.select: test`: a leak that some publications have.

Beside an epoch chosen on validation cases it shows what such a choice would have claimed. The training keeps the
weights of every epoch (`weights_writer`); the scoring looks for the epoch that is best on the test cases and takes
its weights (`EpochByTest`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from auscult.datasets.base import Manifest
from auscult.networks import WeightsError
from auscult.progress import note
from auscult.training.job import Job
from auscult.training.slices import fold_slice, slice_digest

if TYPE_CHECKING:
    import torch

    from auscult.cache.store import Cache
    from auscult.training.data import Windowing
    from auscult.training.loop import EpochHook

FOLDER = "epochs"  # in the model folder


def weights_writer(job: Job) -> EpochHook | None:
    """A hook for `loop.fit` that writes the weights of every epoch; None where the test cases do not choose."""
    if job.system.training.select != "test":
        return None
    # torch takes seconds to load, and jobs import this file that may find nothing to do
    from safetensors.torch import save_file

    from auscult.training.checkpoint import on_cpu

    (job.folder / FOLDER).mkdir(exist_ok=True)
    return lambda epoch, network: save_file(on_cpu(network.state_dict()), _file(job, epoch))


def epoch_by_test(job: Job, manifest: Manifest, folds: pd.DataFrame) -> EpochByTest | None:
    """The choice of the test cases of a job's fold; None where they do not choose."""
    if job.system.training.select != "test":
        return None
    return EpochByTest(job, *fold_slice(manifest, folds, job.name, ["test"], job.task.heads))


@dataclass(frozen=True)
class EpochByTest:
    """A network whose epoch the test cases choose, and those cases and recordings with labels."""

    job: Job
    cases: pd.DataFrame
    recordings: pd.DataFrame

    def digest(self) -> str:
        """Digest of what the choice depends on besides the network."""
        return slice_digest(self.cases, self.recordings, None, "")

    def load(self, network: torch.nn.Module, cache: Cache, windowing: Windowing, device: torch.device) -> None:
        """Put the weights of the epoch that scores the test cases best into `network`; of several, the first.

        The score is the one that would choose an epoch by validation cases, the balanced accuracy at 0.5. Raises
        WeightsError when an epoch's weights are gone.
        """
        from safetensors.torch import load_file  # late, as above

        from auscult.training.role_data import Source, read_role_data
        from auscult.training.validation import validate

        job = self.job
        files = self._files()
        data = read_role_data(job, ["test"], Source(self.cases, self.recordings, cache, windowing, device))
        settings = job.system.training.model_copy(update={"select": "balanced_accuracy"})
        scores = []
        for file in files:
            network.load_state_dict(load_file(file))
            scores.append(validate(network, data, job.task.heads, settings))
        best = int(np.argmax(scores))
        network.load_state_dict(load_file(files[best]))
        note(f"epoch {best} of {len(files)} is best on the test cases: {scores[best]:.3f}; a leak, marked in tables")

    def _files(self) -> list[Path]:
        """The weights of all epochs, in order."""
        count = json.loads((self.job.folder / "manifest.json").read_text(encoding="utf-8"))["epochs"]
        files = [_file(self.job, epoch) for epoch in range(count)]
        if missing := [file for file in files if not file.is_file()]:
            raise WeightsError(
                f"{missing[0]}: the weights of this epoch are gone; delete {self.job.folder} and run again"
            )
        return files


def _file(job: Job, epoch: int) -> Path:
    return job.folder / FOLDER / f"{epoch:04d}.safetensors"
