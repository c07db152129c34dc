"""The recordings that a pre-training reads: of the training cases of one fold, or of another data set."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from auscult.config.systems import Head
from auscult.datasets.base import Manifest
from auscult.plan.names import NetworkName
from auscult.training.job import FrameCache
from auscult.training.slices import fold_slice


@dataclass(frozen=True)
class Recordings:
    """Recordings of one data set to learn from.

    dataset: its name in declarations. cases: `case, role, subject` and the labels that are learnt; recordings: as
    `slices.fold_slice` gives them.
    """

    dataset: str
    cases: pd.DataFrame
    recordings: pd.DataFrame
    frame_cache: FrameCache

    def with_all_labels(self, heads: dict[str, Head]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Cases and recordings with a column for every label of the heads, empty where the data set has none."""
        of_cases = {head.label: "" for head in heads.values() if head.label not in self.cases}
        columns = [head.train_on.column for head in heads.values() if head.train_on]
        of_recordings = {column: "" for column in columns if column not in self.recordings}
        return self.cases.assign(**of_cases), self.recordings.assign(**of_recordings)


def recordings_of(
    dataset: str,
    manifest: Manifest,
    frame_cache: FrameCache,
    name: NetworkName | None,
    folds: pd.DataFrame | None,
    heads: dict[str, Head],
) -> Recordings:
    """The recordings of the training cases of a fold or inner fold, and of no other case.

    folds: the rows of that fold. Without a name, all recordings of a data set. heads: whose labels are learnt, as far
    as the data set has their columns.
    """
    heads = {
        key: head
        for key, head in heads.items()
        if head.label in manifest.cases and (not head.train_on or head.train_on.column in manifest.recordings)
    }
    if name is None:
        name = NetworkName(0, 0)
        folds = pd.DataFrame({"repeat": 0, "fold": 0, "case": manifest.cases["case"], "role": "train"})
    cases, recordings = fold_slice(manifest, folds, name, ["train"], heads)
    subjects = cases["case"].map(manifest.cases.set_index("case")["subject"])
    return Recordings(dataset, cases.assign(subject=subjects), recordings, frame_cache)
