"""A teacher: a trained network of the same fold, and what it says of the recordings that a student trains on.

The teacher sees each recording in its own windows, with all of its own channels, once before the student's training.
So it may have another front end, other windows or more leads than the student, and it cannot change.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from auscult.plan.names import NetworkName
from auscult.provenance import digest
from auscult.training.job import FrameCache, Job
from auscult.training.model_folder import checked_weights

if TYPE_CHECKING:
    import numpy as np
    import torch


class TeacherError(Exception):
    """A teacher was trained on other cases than its student."""


@dataclass(frozen=True)
class TeacherNetwork:
    """A trained network as a teacher: its job, and the frames that it reads."""

    job: Job
    frame_cache: FrameCache

    def digest(self, student: NetworkName, folds: pd.DataFrame) -> list[str]:
        """What a student depends on. folds: the table of folds, or of inner folds, that the student's is in.

        Raises TeacherError where the teacher's training and validation cases are not those of this fold, and
        DamagedModel for weights that its training did not write.
        """
        weights = checked_weights(self.job.folder)
        facts = json.loads((self.job.folder / "manifest.json").read_text(encoding="utf-8"))
        if facts.get("cases_sha256") != cases_digest(student, folds):
            raise TeacherError(
                f"{self.job.folder}: this teacher was trained on other cases than those of its student's fold: it may "
                f"know the cases that judge the student; delete the folder and run again"
            )
        return [weights, digest(self.job.config()), digest(self.frame_cache.config)]

    def answers(self, recordings: list[str], device: torch.device) -> tuple[np.ndarray, np.ndarray]:
        """Logits (recordings, outputs) and latents (recordings, any), float32, means over a recording's windows."""
        # torch takes seconds to load, and jobs import this file that may find nothing to do
        import torch

        from auscult.training.data import load_frames
        from auscult.training.trained import load_network

        network, windows = load_network(self.job, device)
        network.eval()
        settings = self.job.system.training
        frames = load_frames(self.frame_cache.open(), recordings, windows, device, settings.resident)
        recording, start = frames.windows()
        count = torch.bincount(recording, minlength=len(recordings))
        sums: list[torch.Tensor] = []
        with torch.no_grad():
            for batch in torch.split(torch.arange(len(recording)), 4 * settings.batch):
                parts = [part.float().cpu() for part in network(frames.batch(recording[batch], start[batch]))]
                sums = sums or [torch.zeros(len(recordings), part.shape[1]) for part in parts]
                for total, part in zip(sums, parts, strict=True):
                    total.index_add_(0, recording[batch], part)
        logits, latents = ((total / count[:, None]).numpy() for total in sums)
        return logits, latents


def cases_digest(name: NetworkName, folds: pd.DataFrame) -> str:
    """Digest of which cases train and which validate in a network's fold."""
    is_of_fold = (folds["repeat"] == name.repeat) & (folds["fold"] == name.fold) & folds["role"].isin(["train", "val"])
    rows = folds.loc[is_of_fold, ["case", "role"]].sort_values("case")
    return digest(rows.to_dict("split", index=False))
