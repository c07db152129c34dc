"""The recordings that a pre-training reads: of the training cases of one fold, or of another data set."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from auscult.datasets.base import Manifest
from auscult.plan.names import NetworkName
from auscult.training.job import FrameCache
from auscult.training.slices import fold_slice


@dataclass(frozen=True)
class Recordings:
    """Recordings of one data set to learn from, without any label.

    dataset: its name in declarations. cases: `case, role, subject`; recordings: as `slices.fold_slice` gives them.
    """

    dataset: str
    cases: pd.DataFrame
    recordings: pd.DataFrame
    frame_cache: FrameCache


def recordings_of(
    dataset: str, manifest: Manifest, frame_cache: FrameCache, name: NetworkName | None, folds: pd.DataFrame | None
) -> Recordings:
    """The recordings of the training cases of a fold or inner fold, and of no other case.

    folds: the rows of that fold. Without a name, all recordings of a data set.
    """
    if name is None:
        name = NetworkName(0, 0)
        folds = pd.DataFrame({"repeat": 0, "fold": 0, "case": manifest.cases["case"], "role": "train"})
    cases, recordings = fold_slice(manifest, folds, name, ["train"], {})
    subjects = cases["case"].map(manifest.cases.set_index("case")["subject"])
    return Recordings(dataset, cases.assign(subject=subjects), recordings, frame_cache)
