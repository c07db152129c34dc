"""A pre-training on a tiny data set: what it reads and declares, what trains it again, how a killed one continues."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from auscult import networks
from auscult.cache.store import write_cache
from auscult.config.systems import FrontEndConfig, Pretraining
from auscult.networks import WeightsError, load_encoder
from auscult.plan.names import NetworkName
from auscult.pretraining import PretrainingError
from auscult.pretraining.job import DECLARATION, PretrainingJob
from auscult.pretraining.pretrain import pretrain
from auscult.pretraining.recordings import recordings_of
from auscult.training.job import FrameCache, Resources
from tests.conftest import _pick

ENCODER = {"channels": "joint", "widths": [4, 4, 4], "places": 2, "embedding": 6}
NAME = NetworkName(0, 0)


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def job(world, tmp_path):
    """A function that makes the job of a fold in a folder of its own; keywords change its training."""

    def make(name: NetworkName | None = NAME, place: str = "encoder", **training) -> PretrainingJob:
        values = {
            "method": {"name": "clocs", "options": {"views": "cmsc"}},
            "front_end": FrontEndConfig.model_validate(world.study.systems["small"].front_end.model_dump()),
            "segment": world.study.systems["small"].segment,
            "network": {"name": "clocs", "options": ENCODER},
            "training": {"epochs": 3, "batch": 16, "crops": 1, **training},
        }
        return PretrainingJob(tmp_path / place / str(name), Pretraining.model_validate(values), name)

    return make


def run(world, job, manifest=None, sources=None, log=lambda row: None) -> str:
    cache = FrameCache(world.cache, world.cache_config)
    own = recordings_of("made", manifest or world.manifest, cache, job.name, world.folds, job.heads)
    return pretrain(job, sources or [own], "code", Resources(world.root / "locks", 1), log)


def subjects(world, role: str) -> set[str]:
    rows = world.folds[(world.folds["fold"] == 0) & (world.folds["role"] == role)]
    return set(world.manifest.cases.set_index("case").loc[rows["case"], "subject"])


def with_sample(world, recording: str):
    """The manifest with other samples of a recording."""
    recordings = world.manifest.recordings.copy()
    recordings.loc[recordings["recording"] == recording, "sha256"] = "f" * 64
    return replace(world.manifest, recordings=recordings)


def test_only_training_subjects_are_read_and_declared(world, job):
    first = job()
    assert run(world, first) == "trained"
    (entry,) = json.loads((first.folder / DECLARATION).read_text())["heard"]
    assert entry["dataset"] == "made" and set(entry["subjects"]) <= subjects(world, "train")
    with_recording = set(world.manifest.recordings["subject"])
    assert set(entry["subjects"]) == subjects(world, "train") & with_recording
    facts = json.loads((first.folder / "manifest.json").read_text())
    history = pd.read_csv(first.folder / "history.csv")
    assert facts["epochs"] == len(history) == 3 and history["val_score"].isna().all()
    assert np.isfinite(history["train_loss"]).all()


@pytest.mark.parametrize("attempt", range(6))
def test_a_changed_recording_trains_again_only_where_it_is_a_training_recording(world, job, attempt):
    run(world, job())
    rng = np.random.default_rng(attempt)
    recording = world.manifest.recordings.iloc[int(rng.integers(len(world.manifest.recordings)))]
    role = world.folds[(world.folds["fold"] == 0) & (world.folds["case"] == recording["case"])]["role"].item()
    outcome = run(world, job(), with_sample(world, recording["recording"]))
    assert outcome == ("trained" if role == "train" else "reused")


def test_no_label_is_read(world, job):
    run(world, job())
    cases = world.manifest.cases.assign(murmur="Present", outcome="Normal", age_months=0.0)
    assert run(world, job(), replace(world.manifest, cases=cases)) == "reused"


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_killed_one_continues_to_the_same_weights(world, job, epoch):
    whole, killed = job(place="whole"), job(place="killed")
    run(world, whole)
    rows: list[dict] = []

    def log(row: dict) -> None:
        rows.append(row)
        if len(rows) == epoch:
            raise Killed

    with pytest.raises(Killed):
        run(world, killed, log=log)
    assert not (killed.folder / "manifest.json").exists()
    assert run(world, killed, log=rows.append) == "trained" and [row["epoch"] for row in rows] == [0, 1, 2]
    a, b = (load_file(each.folder / "weights.safetensors") for each in (whole, killed))
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("damage", ["weights.safetensors", DECLARATION, "history.csv"])
def test_a_folder_that_lacks_a_file_or_is_damaged_trains_again(world, job, damage):
    run(world, job())
    path = job().folder / damage
    if damage == "weights.safetensors":
        data = bytearray(path.read_bytes())
        data[int(np.random.default_rng(1).integers(len(data)))] ^= 4
        path.write_bytes(bytes(data))
    else:
        path.unlink()
    assert run(world, job()) == "trained" and path.is_file()


def test_two_data_sets_are_read_as_one(world, job, tmp_path):
    """The same recordings under another data set's name: each subject counts twice."""
    cache = FrameCache(world.cache, world.cache_config)
    signals = {name: values[::-1].copy() for name, values in world.signals.items()}
    table = world.manifest.recordings.assign(sha256="0" * 64)
    write_cache(
        tmp_path / "other", table[["recording", "sha256"]], partial(_pick, signals=signals), {"of": "x"}, "c", 2
    )
    manifest = replace(world.manifest, recordings=table)
    sources = [
        recordings_of("made", world.manifest, cache, None, None, {}),
        recordings_of("other", manifest, FrameCache(tmp_path / "other", {"of": "x"}), None, None, {}),
    ]
    first = job(None)
    assert run(world, first, sources=sources) == "trained"
    heard = json.loads((first.folder / DECLARATION).read_text())["heard"]
    assert [entry["dataset"] for entry in heard] == ["made", "other"]
    assert heard[0]["subjects"] == heard[1]["subjects"] == sorted(set(world.manifest.recordings["subject"]))
    counts = json.loads((first.folder / "manifest.json").read_text())["counts"]
    assert counts["train_recordings"] == 2 * len(world.manifest.recordings)
    assert run(world, first, sources=sources[:1]) == "trained"


def test_a_method_that_does_not_fit_says_so(world, job):
    wrong = job()
    values = wrong.pretraining.model_dump()
    values["method"] = {"name": "cpc", "options": {}}
    with pytest.raises(PretrainingError, match="method cpc, network clocs: has no codes"):
        run(world, replace(wrong, pretraining=Pretraining.model_validate(values)))


def test_an_encoder_is_loaded_by_name_and_the_head_keeps_its_weights(world, job):
    run(world, job())
    file = job().folder / "weights.safetensors"
    torch.manual_seed(5)
    network = networks.build("clocs", ENCODER, (1, 20, 3), 4)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    load_encoder(network, file)
    saved = load_file(file)
    for key, value in network.state_dict().items():
        assert torch.equal(value, saved[key] if networks.is_encoder(key) else before[key])
    other = networks.build("clocs", {**ENCODER, "embedding": 7}, (1, 20, 3), 4)
    with pytest.raises(WeightsError, match=r"encoder\.embed\.bias has shape \(6,\), not \(7,\)"):
        load_encoder(other, file)
