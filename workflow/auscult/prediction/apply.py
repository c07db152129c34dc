"""The steps of a study on new recordings, in a folder of their own: manifest, caches, networks, second stage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from auscult.cache.audio import cache_audio
from auscult.config.dataset import Dataset
from auscult.config.study import Study
from auscult.config.systems import System
from auscult.datasets import adapter
from auscult.datasets.base import Columns, DatasetError, Listing, Manifest, build, read_table
from auscult.features import TABLES
from auscult.features.frames import extract, folder_name, frames_config
from auscult.features.tables import describe
from auscult.features.tables import read_table as read_numbers
from auscult.fusion.features import case_features, latent_block, probability_columns, uncertainty_columns
from auscult.fusion.learners import load, predict
from auscult.fusion.stacking import blend
from auscult.heads.outputs import class_columns
from auscult.inference.aggregate import aggregate, each_alone
from auscult.inference.score import score
from auscult.prediction.pack import Model, Packed, place_of
from auscult.training.job import FrameCache, Job, Resources
from auscult.training.model_folder import FILES

CODE = "prediction"  # caches of a prediction are written and read by one process
ROLE = "test"


def ingest(dataset: Dataset, form: str, covariates: list[str], threads: int) -> Manifest:
    """The manifest of new recordings in the form of the data set's adapter, or as a `folder` with its two tables.

    covariates: columns of numbers about a case; those that the files lack are empty. Labels are left out, whatever
    the files say. Raises DatasetError as an adapter does; a bad file is dropped with a row in `quality`.
    """
    module, root = adapter(form), Path(dataset.root)
    listing: Listing = module.ingest(root, module.Options.model_validate(_options(dataset, form, covariates)))
    if listing.recordings.empty:
        raise DatasetError(f"{root}: no recordings found; are they in the form `{form}`?")
    cases = listing.cases.copy()
    for column in covariates:
        if column not in cases:
            cases[column] = np.nan
    blank = Columns(covariates=covariates, channels=listing.columns.channels)
    listing = Listing(cases, listing.recordings, blank, listing.quality, None, listing.subjects_known)
    return build(listing, root, dataset.channels, dataset.short_s, threads)


def _options(dataset: Dataset, form: str, covariates: list[str]) -> dict[str, Any]:
    if form == dataset.adapter and form != "folder":
        return dataset.options
    if form != "folder":
        return {}
    header = read_table(Path(dataset.root) / "cases.csv", [])
    return {"labels": {}, "covariates": [name for name in covariates if name in header]}


def prepare(dataset: Dataset, systems: list[System], tables: list[str], manifest: Manifest, work: Path, threads: int):
    """Write the caches that some systems and tables of numbers read into the folder `work`."""
    recordings = manifest.recordings
    cache_audio(work / "audio", recordings, dataset, CODE, threads)
    for front_end in {folder_name(system.front_end): system.front_end for system in systems}.values():
        extract(work / folder_name(front_end), work / "audio", recordings, dataset, front_end, CODE, threads)
    for table in tables:
        describe(table, work / table, work / "audio", recordings, dataset, CODE, threads)


def outputs(
    packed: Packed, unit: str, models: list[Model], dataset: Dataset, manifest: Manifest, work: Path, threads: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of `aggregate` for all new cases by the networks of one fold of a system or ensemble."""
    study = packed.study
    for model in models:
        system, place = study.systems[model.system], place_of(model, work)
        place.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(place_of(model, packed.folder) / name, place / name)
        job = Job(place, system, study.tasks[model.task], model.repeat, model.fold, model.index, model.inner)
        everyone = _everyone(manifest, model.repeat, model.fold)
        cache = FrameCache(work / folder_name(system.front_end), frames_config(dataset, system.front_end))
        score(job, [ROLE], manifest, everyone, cache, CODE, Resources(work / "locks", threads))
    stand_in, members = study.systems[models[0].system], _everyone(manifest, models[0].repeat, models[0].fold)
    return aggregate(
        {task: study.tasks[task] for task in stand_in.tasks},
        study.targets_of(stand_in),
        stand_in.inference.pool,
        each_alone(by_task(models, work), [ROLE]),
        members,
        study.weighed(unit),
    )


def by_task(models: list[Model], folder: Path) -> dict[str, list[Path]]:
    """Folders of networks in `folder`, by task."""
    return {
        task: [place_of(model, folder) for model in models if model.task == task]
        for task in dict.fromkeys(model.task for model in models)
    }


def _everyone(manifest: Manifest, repeat: int, fold: int) -> pd.DataFrame:
    return pd.DataFrame({"repeat": repeat, "fold": fold, "case": manifest.cases["case"], "role": ROLE})


def fused(
    study: Study,
    unit: System,
    target: str,
    stage: str,
    model: Path,
    folders: dict[str, list[Path]],
    cases: pd.DataFrame,
    recordings: pd.DataFrame,
    manifest: Manifest,
    dataset: Dataset,
    work: Path,
) -> np.ndarray:
    """Probabilities (cases, classes) of a second `stage`, saved in `model`, for the new cases of the table `cases`.

    cases, recordings: as `outputs` gives them. folders: of the networks by task, as `outputs` scored them.
    """
    tables = {name: read_numbers(name, work / name, dataset) for name in TABLES if (work / name).is_dir()}
    blocks = case_features(
        study.fusion,
        manifest,
        cases,
        recordings,
        probability_columns(study.heads_of(unit)),
        uncertainty_columns(study.heads_of(unit)),
        tables,
    )
    components = model.with_name(f"{model.stem}-latents.json")
    if components.is_file():
        latents = latent_block(json.loads(components.read_text(encoding="utf-8")), folders, ROLE)
        blocks["latents"] = latents.reindex(cases["case"])
    fitted = load(model)
    x = pd.concat(blocks.values(), axis=1).reindex(columns=fitted.columns)
    # a site that none of the new cases has
    names = list(tables.get("statistics", [])) if study.fusion.missing_site == "zero" else ["present"]
    filled = [name for name in x if name.startswith(("site_", *(f"{one}@" for one in names)))]
    x[filled] = x[filled].fillna(0.0)
    p = predict(fitted, x, study.targets[target])
    if stage == "blend":
        p = blend(cases[class_columns(study.targets[target].classes, target)].to_numpy(), p)
    return p
