"""The groups of outputs.h5: a network's stochastic passes over the cases of a role, and their uncertainty."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd

from auscult.heads.outputs import output_names
from auscult.heads.pooling import pool
from auscult.heads.uncertainty import measures
from auscult.inference.monte_carlo import Passes, of_recordings, stochastic_passes
from auscult.progress import note
from auscult.training.case_frames import network_frames
from auscult.training.device import device, seed_everything
from auscult.training.epoch_by_test import EpochByTest
from auscult.training.job import FrameCache, Job, Resources
from auscult.training.trained import load_network


def write_roles(
    file: h5py.File,
    job: Job,
    tables: dict[str, tuple[pd.DataFrame, pd.DataFrame, str]],
    frame_cache: FrameCache,
    resources: Resources,
    epoch_choice: EpochByTest | None,
) -> None:
    """Score the cases of some roles and write a group for each of them to `file`.

    tables: by role its cases, its recordings and the digest of its group (see `slices`). The rest as `score.score`.
    """
    cache = frame_cache.open()
    training, inference = job.system.training, job.system.inference
    with device(resources) as torch_device:
        seed_everything(job.seed, training.deterministic)
        network, windowing = load_network(job, torch_device)
        if epoch_choice:
            epoch_choice.load(network, cache, windowing, torch_device)
        for role, (cases, recordings, digest) in tables.items():
            names = recordings["recording"].tolist()
            group = file.create_group(role)
            outputs, heads = output_names(job.task.heads), list(job.task.heads)
            group.attrs.update({"digest": digest, "outputs": outputs, "heads": heads})
            note(f"{role}: {len(names)} recordings of {len(cases)} cases")
            if not names:
                continue
            frames = network_frames(cache, recordings, windowing, torch_device, training.resident)
            passes = stochastic_passes(network, frames, job.task.heads, inference.passes, inference.batch, job.seed)
            if windowing.sites is not None:
                passes = of_recordings(passes, frames.recordings, recordings["case"].tolist())
            _write_group(group, job, recordings, passes)


def _write_group(group: h5py.Group, job: Job, recordings: pd.DataFrame, passes: Passes) -> None:
    """Write passes, their measures and latents: of the windows, and as means of recordings and of cases."""
    names = recordings["recording"].to_numpy(dtype=object)
    cases, case_of = np.unique(recordings["case"].to_numpy(dtype=object), return_inverse=True)
    by_recording = pool(passes.probabilities, passes.recording, len(names), "mean", 1)
    by_case = pool(by_recording, case_of, len(cases), "mean", 1)
    text = h5py.string_dtype()
    levels = {"segments": passes.probabilities, "recordings": by_recording, "cases": by_case}
    for level, values in levels.items():
        subgroup = group.create_group(level)
        for name, array in measures(values, job.task.heads).items():
            subgroup.create_dataset(name, data=array.astype(np.float32))
        subgroup.create_dataset("passes", data=values.astype(np.float32))
    group.create_dataset("segments/recording", data=passes.recording)
    group.create_dataset("segments/start", data=passes.start)
    group.create_dataset("recordings/recording", data=names, dtype=text)
    group.create_dataset("recordings/case", data=recordings["case"].to_numpy(dtype=object), dtype=text)
    group.create_dataset("recordings/site", data=recordings["site"].to_numpy(dtype=object), dtype=text)
    group.create_dataset("cases/case", data=cases, dtype=text)
    latents = pool(pool(passes.latents, passes.recording, len(names), "mean", 1), case_of, len(cases), "mean", 1)
    group.create_dataset("cases/latents", data=latents.astype(np.float16))
