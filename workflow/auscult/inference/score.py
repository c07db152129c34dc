"""One scoring job: a trained network and the cases of some roles in, outputs.h5 out.

outputs.h5 has a group per role (`val`, `test`, …) with an attribute `digest`: what that group depends on. A group
whose digest is still right is kept.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import pandas as pd

from auscult.cache.store import HDF5Writer
from auscult.datasets.base import Manifest
from auscult.training.computation import computation
from auscult.training.epoch_by_test import epoch_by_test
from auscult.training.job import FrameCache, Job, Resources
from auscult.training.model_folder import checked_weights
from auscult.training.slices import fold_slice, slice_digest


def score(
    job: Job,
    roles: list[str],
    manifest: Manifest,
    folds: pd.DataFrame,
    frame_cache: FrameCache,
    code: str,
    resources: Resources,
) -> dict[str, str]:
    """Score the cases of `roles` with the network in `job.folder`; returns role → `scored` or `reused`.

    No label is read, except under `training.select: test`. See `training.train.train` for the parameters. Probabilities
    in outputs.h5 are of the head's named class; recordings and cases there are plain means of their windows and
    recordings (`aggregate` pools by rule).
    """
    path = job.folder / "outputs.h5"
    weights = checked_weights(job.folder)
    inference = job.system.inference.model_dump(exclude={"pool"})
    config = {"network": job.config(), "cache": frame_cache.config, "inference": inference, "weights": weights}
    config["computation"] = computation("float32")
    epoch_choice = epoch_by_test(job, manifest, folds)
    if epoch_choice:
        config["epoch_choice"] = epoch_choice.digest()
    slices = {role: fold_slice(manifest, folds, job.name, [role], {}) for role in roles}
    digests = {role: slice_digest(*tables, config, code) for role, tables in slices.items()}
    valid = _valid_groups(path, digests)
    to_score = [role for role in roles if role not in valid]
    if to_score:
        # torch takes seconds to load: only where something is to be scored
        from auscult.inference.outputs import write_roles

        with HDF5Writer(path) as file:
            _copy_groups(path, valid, file)
            tables = {role: (*slices[role], digests[role]) for role in to_score}
            write_roles(file, job, tables, frame_cache, resources, epoch_choice)
    else:
        path.touch()
    return {role: "scored" if role in to_score else "reused" for role in roles}


def _valid_groups(path: Path, digests: dict[str, str]) -> list[str]:
    """The roles whose groups in outputs.h5 have these digests; none where the file is missing or damaged."""
    try:
        with h5py.File(path, "r") as file:
            return [role for role, digest in digests.items() if role in file and file[role].attrs["digest"] == digest]
    except (OSError, KeyError):
        return []


def _copy_groups(path: Path, roles: list[str], file: h5py.File) -> None:
    """Copy the groups of some roles from outputs.h5 to a new file."""
    if roles:
        with h5py.File(path, "r") as old:
            for role in roles:
                old.copy(role, file)
