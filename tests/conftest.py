"""Shared by the tests: one CPU thread, and a tiny murmur world with a cache on disk and two trained networks."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the libraries that read it
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# two processes that compile one function for different types break numba's cache: each worker has its own, and so not
# the one that it would inherit
os.environ["NUMBA_CACHE_DIR"] = (
    f"{tempfile.gettempdir()}/auscult-numba-{os.getuid()}-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
)

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # a busy one takes long for an example that is right
settings.load_profile("any machine")

LONGEST = ["tests/workflow/test_reruns.py", "tests/workflow/test_inner_folds.py", "tests/workflow/test_shapes.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: each is one worker's, and the short ones fill what is left."""
    place = {file: number for number, file in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.location[0], len(place)))


CLASSES = ["Present", "Unknown", "Absent"]
BANDS, RATE, WINDOW = 3, 20, 20
NETWORK = {
    "name": "dbresnet",
    "options": {"block": "basic", "depths": [1], "widths": [6], "stem_kernel": 3, "stem_stride": 1, "stem_pool": False},
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    import torch

    torch.set_num_threads(1)


def _murmur_study(**changes: Any):
    from auscult.config.study import Study

    heads = {c.lower(): {"label": "murmur", "positive": [c]} for c in CLASSES[:2]}
    system = {
        "tasks": ["present", "unknown"],
        "front_end": {"name": "samples", "settings": {"rate_hz": RATE}},
        "segment": {"seconds": WINDOW / RATE, "hop_s": 0.5},
        "network": NETWORK,
        "training": {"epochs": 2, "batch": 16, "crops": 2, "learning_rate": 0.02, "patience": 5},
        "inference": {"passes": 4, "batch": 16},
    }
    values = {
        "description": "made",
        "dataset": {"name": "made", "adapter": "folder", "root": "nowhere"},
        "targets": {
            "murmur": {
                "label": "murmur",
                "classes": CLASSES,
                "weights": [5, 3, 1],
                "heads": ["present", "unknown"],
                "decisions": ["reference", "any_recording", "cost"],
                "referral": {"classes": CLASSES[:2], "label": "outcome", "positive": ["Abnormal"]},
            }
        },
        "protocol": {"name": "group_cv", "folds": 4},
        "tasks": {name: {"heads": {name: head}} for name, head in heads.items()},
        "systems": {"small": system},
        "fusion": {"systems": ["small"], "learners": ["xgboost"], "booster": {"rounds": 5}},
        "evaluation": {"draws": 100},
    }
    return Study.model_validate({**values, **changes})


@pytest.fixture(scope="session")
def murmur_study() -> Callable:
    """Builder of a study of Present, Unknown and Absent; keywords replace its parts."""
    return _murmur_study


def _rhythm_study():
    head = {"rhythm": {"label": "rhythm", "kind": "multilabel", "classes": ["af", "lbbb", "pvc"]}}
    target = {**head["rhythm"], "heads": ["rhythm"], "decisions": ["reference"]}
    system = {**_murmur_study().systems["small"].model_dump(), "tasks": ["rhythm"]}
    return _murmur_study(
        targets={"rhythm": target}, tasks={"rhythm": {"heads": head}}, systems={"small": system}, fusion=None
    )


@pytest.fixture(scope="session")
def rhythm_study():
    """A study of one multilabel target."""
    return _rhythm_study()


def _pick(row: Any, signals: dict[str, np.ndarray]) -> np.ndarray:
    return signals[row.recording]


def _tables() -> tuple[pd.DataFrame, pd.DataFrame, dict[str, np.ndarray]]:
    """48 cases of 40 subjects: bands 0 and 1 say Present and Unknown; cases 0, 2, 3 have no label, 47 no recording."""
    from auscult.provenance import digest

    rng = np.random.default_rng(0)
    cases, recordings, signals = [], [], {}
    for number in range(48):
        subject = number if number < 40 else number - 40
        label = ["Present", "Absent", "Unknown", "Absent"][subject // 4 % 4]
        case = f"c{number:02d}"
        shown = "" if number in (0, 2, 3) else label
        outcome = "Abnormal" if label != "Absent" else "Normal"
        cases.append((case, f"s{subject:02d}", shown, outcome, float(number)))
        for site in ("AV", "MV")[: 0 if number == 47 else 1 + number % 2]:
            frames = 0.5 * rng.standard_normal((int(rng.integers(12, 50)), 1, BANDS))
            frames[..., :2] += 2.0 * np.array([label == "Present", label == "Unknown"])
            name = f"{case}_{site}"
            signals[name] = frames.astype(np.float16)
            audible = "audible" if label == "Present" else "silent"
            sha = digest(signals[name].tolist())
            recordings.append((name, case, f"s{subject:02d}", site, f"{name}.wav", RATE, 1, len(frames), sha, audible))
    columns = ["recording", "case", "subject", "site", "path", "rate_hz", "channels", "frames", "sha256"]
    return (
        pd.DataFrame(cases, columns=["case", "subject", "murmur", "outcome", "age_months"]),
        pd.DataFrame(recordings, columns=[*columns, "murmur_audible"]),
        signals,
    )


def _folds(cases: pd.DataFrame) -> pd.DataFrame:
    """Four folds by the subject's number: half train, a quarter each val and test."""
    roles = ("train", "train", "val", "test")
    rows = [
        (0, fold, case, roles[(int(subject[1:]) + fold) % 4])
        for fold in range(4)
        for case, subject in zip(cases["case"], cases["subject"], strict=True)
    ]
    return pd.DataFrame(rows, columns=["repeat", "fold", "case", "role"])


@dataclass(frozen=True)
class World:
    """A data set with its folds and feature frames, and the two jobs on it."""

    root: Path
    study: Any
    manifest: Any
    folds: pd.DataFrame
    cache: Path
    cache_config: dict[str, Any]
    signals: dict[str, np.ndarray]

    def job(self, folder: Path, task: str = "present", fold: int = 0, index: int = 0, **training: Any):
        """A training job of the study's system; keywords change `training`."""
        from auscult.config.systems import System
        from auscult.plan.names import NetworkName
        from auscult.training.job import Job

        system = self.study.systems["small"].model_dump()
        system["training"].update(training)
        return Job(folder, System.model_validate(system), self.study.tasks[task], NetworkName(0, fold, seed=index))

    def _arguments(self, changes: dict[str, Any]) -> dict[str, Any]:
        from auscult.training.job import FrameCache, Resources

        return {
            "manifest": self.manifest,
            "folds": self.folds,
            "frame_cache": FrameCache(self.cache, self.cache_config),
            "code": "code",
            "resources": Resources(self.root / "locks", 1),
            **changes,
        }

    def train(self, job, **changes: Any) -> str:
        """`training.train.train` on this world; keywords replace its arguments."""
        from auscult.training.train import train

        return train(job, **self._arguments({"log": lambda row: None, **changes}))

    def score(self, job, roles: list[str], **changes: Any) -> dict[str, str]:
        """`inference.score.score` on this world; keywords replace its arguments."""
        from auscult.inference.score import score

        return score(job, roles, **self._arguments(changes))


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> World:
    """The tiny world; nothing in it may be changed."""
    from auscult.cache.store import write_cache
    from auscult.datasets.base import QUALITY_COLUMNS, Columns, Manifest

    root = tmp_path_factory.mktemp("world")
    cases, recordings, signals = _tables()
    columns = Columns([], ["murmur", "outcome"], ["age_months"], ["murmur_audible"])
    manifest = Manifest(cases, recordings, pd.DataFrame(columns=QUALITY_COLUMNS), columns)
    config = {"kind": "frames", "of": "made"}
    make = partial(_pick, signals=signals)
    write_cache(root / "cache", recordings[["recording", "sha256"]], make, config, "code", shards=2)
    return World(root, _murmur_study(), manifest, _folds(cases), root / "cache", config, signals)


@pytest.fixture(scope="session")
def scored(world) -> dict[str, list[Path]]:
    """Model folders of fold 0 by task, trained, and scored on all roles; to be read only."""
    folders = {task: [world.root / "networks" / task / "r0f0"] for task in world.study.tasks}
    for task, (folder,) in folders.items():
        job = world.job(folder, task)
        assert world.train(job) == "trained"
        world.score(job, ["train", "val", "test"])
    return folders
