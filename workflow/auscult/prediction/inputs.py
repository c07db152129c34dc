"""New recordings as a study's networks and second stage read them: manifest, audio, frames and tables of numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ValidationError

from auscult.cache.audio import cache_audio
from auscult.config.dataset import Dataset
from auscult.config.study import Study
from auscult.config.systems import System
from auscult.datasets import adapter
from auscult.datasets.base import Columns, Listing, Manifest
from auscult.datasets.build import build
from auscult.datasets.errors import DatasetError
from auscult.datasets.ids import plain
from auscult.datasets.tables import read_table
from auscult.features.copies import Index, all_landmarks, recognised, scale_of
from auscult.features.frames import extract, folder_name, frames_config, mean_frames
from auscult.features.tables import describe
from auscult.features.tables import read_table as read_numbers
from auscult.progress import note
from auscult.training.job import FrameCache

CODE = "prediction"  # the same process writes these caches and reads them: they are never of other code


@dataclass(frozen=True)
class NewRecordings:
    """New recordings, and the folder `work` with their caches. `dataset`: the study's, with their root."""

    dataset: Dataset
    manifest: Manifest
    work: Path

    def frames(self, system: System) -> FrameCache:
        """The cached frames of a system's front end."""
        return FrameCache(self.work / folder_name(system.front_end), frames_config(self.dataset, system.front_end))

    def embeddings(self, study: Study, unit: str) -> dict[str, pd.DataFrame]:
        """Mean vectors of the encoders that the second stage of a system or ensemble reads, by system."""
        front_ends = {name: study.systems[name].front_end for name in study.fused_encoders(unit)}
        return {
            name: mean_frames(self.work / folder_name(front_end), self.dataset, front_end)
            for name, front_end in front_ends.items()
        }

    def copies_of(self, indexes: list[Index], workers: int) -> set[str]:
        """The recordings that are copies of one in an index of landmarks. workers: number of processes."""
        names = self.manifest.recordings["recording"].tolist()
        marks = all_landmarks(self.work / "audio", names, self.dataset, workers)
        scale = scale_of(self.dataset.rate_hz)
        pairs = zip(names, marks, strict=True)
        return {name for name, mark in pairs if any(recognised(index, mark, scale) for index in indexes)}

    def numbers(self, tables: list[str]) -> dict[str, pd.DataFrame]:
        """Cached tables of numbers by name, see `features.TABLES`."""
        return {name: read_numbers(name, self.work / name, self.dataset) for name in tables}


def ingest(
    dataset: Dataset, form: str, covariates: list[str], channel_count: int, sites: list[str], threads: int
) -> Manifest:
    """The manifest of new recordings in the form of a data set's adapter, or as a `folder` with its two tables.

    covariates: columns of numbers about a case; a column that the files lack is empty. Labels in the files are not
    read. channel_count: of the study's recordings. sites: of the study's recordings, which those of new ones are
    matched with in any writing; without any, new recordings have none either. A bad file, or one with another number of
    channels, is dropped with a row in `quality`. Raises DatasetError as an adapter does.
    """
    module, root = adapter(form), Path(dataset.root)
    listing: Listing = module.ingest(root, _options(dataset, form, covariates))
    if listing.recordings.empty:
        raise DatasetError(f"{root}: no recordings found; are they in the form `{form}`?")
    cases = listing.cases.copy()
    missing = [column for column in covariates if column not in cases]
    cases[missing] = np.nan
    if missing:
        note(f"warning: the cases have no {', '.join(missing)}, which second stages may read: taken as unknown")
    columns = Columns(covariates=covariates, channels=listing.columns.channels)
    listing = Listing(cases, listing.recordings, columns, listing.quality, None, listing.subjects_known)
    manifest = build(
        listing,
        root,
        dataset.channels,
        dataset.short_s,
        threads,
        dataset.sample_format,
        distinct_ids=True,
        channel_count=channel_count,
        stops=False,
    )
    slow = manifest.recordings[manifest.recordings["rate_hz"] < dataset.rate_hz]
    rows = [
        (row.recording, "rate", "kept", f"{int(row.rate_hz)} Hz; the study's networks read {dataset.rate_hz} Hz")
        for row in slow.itertuples()
    ]
    # a study without sites has features of whole cases, which it would not find under the names of sites
    recordings = manifest.recordings.assign(site=_matched(manifest.recordings["site"], sites) if sites else "")
    rows += [
        (row.recording, "site", "kept", f"{row.site!r} is none of the study's sites, {', '.join(sites)}")
        for row in recordings[~recordings["site"].isin(sites)].itertuples()
        if sites
    ]
    quality = pd.concat([manifest.quality, pd.DataFrame(rows, columns=manifest.quality.columns)])
    return replace(manifest, recordings=recordings, quality=quality.reset_index(drop=True))


def _matched(names: pd.Series, sites: list[str]) -> pd.Series:
    """Names of sites, each as the study writes it if it is one of its sites in another writing."""
    site_of_form = {plain(site): site for site in sites}
    return names.map(lambda name: name if name in sites else site_of_form.get(plain(name), name))


def labelled_cases(dataset: Dataset, form: str, labels: list[str]) -> Listing:
    """The cases of recordings in the form of a data set's adapter, with their labels, in any order.

    labels: columns that are read of a `folder`, as far as it has them, as the study's group columns are. Raises
    DatasetError as an adapter does.
    """
    return adapter(form).ingest(Path(dataset.root), _options(dataset, form, [], labels))


def _options(dataset: Dataset, form: str, covariates: list[str], labels: list[str] | None = None) -> BaseModel:
    """The options of an adapter for new recordings. Raises DatasetError where it needs some that are not known."""
    options: dict[str, Any] = dataset.options if form == dataset.adapter else {}
    if form == "folder":
        own = dataset.options if dataset.adapter == "folder" else {}
        cases, recordings = (read_table(Path(dataset.root) / f"{name}.csv", []) for name in ("cases", "recordings"))
        covariates = [name for name in covariates if name in cases]
        names = dict.fromkeys([*(labels or []), *own.get("labels", {})])
        options = {
            "labels": {name: [] for name in names if name in cases and name not in covariates},
            "groups": [name for name in own.get("groups", []) if name in cases],
            "covariates": covariates,
            "recording_labels": [name for name in own.get("recording_labels", []) if name in recordings],
        }
    try:
        return adapter(form).Options.model_validate(options)
    except ValidationError:
        raise DatasetError(f"{dataset.root}: recordings in the form {form} need options; use the form folder") from None


def prepare(
    dataset: Dataset, manifest: Manifest, systems: list[System], tables: list[str], work: Path, threads: int
) -> NewRecordings:
    """Write the caches that some systems and tables of numbers read into the folder `work`."""
    recordings = manifest.recordings
    cache_audio(work / "audio", recordings, dataset, CODE, threads)
    for front_end in {folder_name(system.front_end): system.front_end for system in systems}.values():
        extract(work / folder_name(front_end), work / "audio", recordings, dataset, front_end, CODE, threads)
    for table in tables:
        describe(table, work / table, work / "audio", recordings, dataset, CODE, threads)
    return NewRecordings(dataset, manifest, work)
