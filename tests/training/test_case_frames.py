"""Windows of cases: all recordings of a case one after another with their sites, from training to the outputs."""

import json
from dataclasses import replace
from functools import partial

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from auscult.cache.store import open_cache, write_cache
from auscult.config.dataset import ExtraTraining
from auscult.config.systems import System
from auscult.inference.aggregate import each_alone
from auscult.inference.monte_carlo import Passes, of_recordings
from auscult.training import network_training
from auscult.training.case_frames import network_frames, sites_of
from auscult.training.data import Windowing
from auscult.training.extra_cases import extra_cases
from auscult.training.job import FrameCache
from auscult.training.model_folder import copy_model
from tests.parts import aggregate

CPU = torch.device("cpu")
CHANNELS, BANDS = 2, 3


def made(row, lengths: dict[str, int]) -> np.ndarray:
    rng = np.random.default_rng([3, int(row.recording[1:])])
    return rng.standard_normal((lengths[row.recording], CHANNELS, BANDS)).astype(np.float16)


@pytest.mark.parametrize("seed", range(6))
def test_a_window_has_the_frames_of_all_recordings_with_their_sites(tmp_path, seed):
    """Against a loop over the frames, for random cases, sites, lengths and orders."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 12))
    table = pd.DataFrame(
        {
            "recording": [f"r{n}" for n in range(count)],
            "case": [f"c{n}" for n in rng.integers(0, 4, count)],
            "site": rng.choice(["AV", "MV", "PV", ""], count),
        }
    )
    lengths = {name: int(rng.integers(1, 9)) for name in table["recording"]}
    write_cache(tmp_path, table.assign(sha256="x")[["recording", "sha256"]], partial(made, lengths=lengths), {}, "c", 2)
    cache, sites = open_cache(tmp_path, {}), ("AV", "PV")  # MV is a site that no training case had
    longest = table["recording"].map(lengths).groupby(table["case"]).sum().max()
    windowing = Windowing((CHANNELS, int(longest), BANDS + 3), 1, -4.6, sites)
    shuffled = table.sample(frac=1, random_state=seed)
    frames = network_frames(cache, shuffled, windowing, CPU, True)
    assert frames.recordings == sorted(set(table["case"]))
    x = frames.batch(torch.arange(len(frames.recordings)), torch.zeros(len(frames.recordings), dtype=torch.int64))
    for window, case in zip(x.numpy(), frames.recordings, strict=True):
        expected = []
        for row in table[table["case"] == case].sort_values(["site", "recording"]).itertuples():
            marks = [float(row.site == "AV"), float(row.site == "PV"), 1.0]
            expected += [[[*channel, *marks] for channel in frame] for frame in cache.read(row.recording)]
        expected = np.array(expected, dtype=np.float32).transpose(1, 0, 2)
        assert (window[:, : expected.shape[1]] == expected).all()
        padding = window[:, expected.shape[1] :]
        assert (padding[..., BANDS:] == 0).all() and (padding[..., :BANDS] == np.float16(-4.6)).all()


def test_sites_are_named_once_and_no_site_is_none():
    assert sites_of(pd.DataFrame({"site": ["MV", "", "AV", "MV"]})) == ("AV", "MV")


def test_each_recording_has_the_passes_of_its_case():
    passes = Passes(np.array([0, 0, 1]), np.array([0, 5, 0]), np.arange(6.0).reshape(3, 2, 1), np.arange(3.0)[:, None])
    shared = of_recordings(passes, ["a", "b"], ["b", "a", "b"])
    assert shared.recording.tolist() == [0, 1, 1, 2] and shared.start.tolist() == [0, 0, 5, 0]
    assert shared.probabilities[:, 0, 0].tolist() == [4, 0, 2, 4] and shared.latents[:, 0].tolist() == [2, 0, 1, 2]


NETWORK = {"name": "case_attention", "options": {"width": 8, "attention_heads": 2}}


@pytest.fixture(scope="module")
def of_cases(world, tmp_path_factory):
    """A trained and scored job whose network reads cases of the world."""
    job = world.job(tmp_path_factory.mktemp("cases") / "r0f0", epochs=12, learning_rate=0.03, crops=1)
    system = {**job.system.model_dump(), "network": NETWORK, "segment": {"of": "case", "seconds": 5.0}}
    job = replace(job, system=System.model_validate(system))
    assert world.train(job) == "trained"
    assert world.score(job, ["val", "test"]) == {"val": "scored", "test": "scored"}
    return job


def test_training_and_scoring_of_cases(world, of_cases):
    facts = json.loads((of_cases.folder / "manifest.json").read_text())
    config = json.loads((of_cases.folder / "config.json").read_text())
    assert config["sites"] == ["AV", "MV"] and config["inputs"] == [1, 100, 3 + 3]
    folds = world.folds.query("fold == 0")
    train = set(folds.query("role == 'train'")["case"]) & set(world.manifest.recordings["case"])
    assert facts["counts"]["train_cases_with_recordings"] == len(train)
    assert facts["val_score"] > 0.9  # a band says who is Present
    with h5py.File(of_cases.folder / "outputs.h5") as file:
        cases = file["test/recordings/case"].asstr()[:]
        passes = file["test/recordings/passes"][:]
        by_case = dict(zip(file["test/cases/case"].asstr()[:], file["test/cases/passes"][:], strict=True))
    assert len(cases) == world.manifest.recordings["case"].isin(folds.query("role == 'test'")["case"]).sum()
    assert len(by_case) < len(cases)  # some have two recordings
    for case, values in zip(cases, passes, strict=True):
        np.testing.assert_allclose(values, by_case[case], atol=1e-6)
    assert world.train(of_cases) == "reused"


def test_sites_are_those_of_the_cases_that_train(world, of_cases, tmp_path):
    """A site of validation cases alone has no mark: nothing would train it."""
    validation = world.folds.query("fold == 0 and role == 'val'")["case"]
    recordings = world.manifest.recordings.copy()
    recordings.loc[recordings["case"].isin(validation), "site"] = "PV"
    manifest = replace(world.manifest, recordings=recordings)
    for select, sites in (("auroc", ["AV", "MV"]), ("last", ["AV", "MV", "PV"])):
        training = of_cases.system.training.model_copy(update={"select": select, "epochs": 1})
        system = of_cases.system.model_copy(update={"training": training})
        job = replace(of_cases, folder=tmp_path / select / "r0f0", system=system)
        assert world.train(job, manifest=manifest) == "trained"
        assert json.loads((job.folder / "config.json").read_text())["sites"] == sites


def test_a_case_is_scored_alike_whatever_others_are(world, of_cases, tmp_path):
    test = world.folds.query("fold == 0 and role == 'test'")["case"].tolist()
    copy_model(of_cases.folder, tmp_path / "r0f0")
    job = replace(of_cases, folder=tmp_path / "r0f0")
    few = world.folds[~world.folds["case"].isin(test[1:])]
    world.score(job, ["test"], folds=few)
    with h5py.File(job.folder / "outputs.h5") as alone, h5py.File(of_cases.folder / "outputs.h5") as all_cases:
        case = alone["test/cases/case"].asstr()[0]
        row = all_cases["test/cases/case"].asstr()[:].tolist().index(case)
        assert (alone["test/cases/passes"][0] == all_cases["test/cases/passes"][row]).all()


def test_cases_get_one_probability_whatever_the_pooling(world, of_cases):
    system = of_cases.system.model_copy(update={"tasks": ["present"]})
    study = world.study.model_copy(update={"systems": {"small": system}, "targets": {}})
    cases, _ = aggregate(
        study, system, each_alone({"present": [of_cases.folder]}, ["test"]), world.folds.query("fold == 0")
    )
    with_recordings = cases[cases["max|present"].notna()]
    np.testing.assert_allclose(with_recordings["max|present"], with_recordings["p_present"], atol=1e-6)


def test_extra_cases_are_read_as_cases(world, of_cases, monkeypatch, tmp_path):
    words = {"present": {"column": "murmur", "words": {"Present": "Present", "Absent": "Absent"}}}
    dataset = {"name": "other", "adapter": "folder", "root": "x", "options": {"labels": {}}}
    extra = ExtraTraining.model_validate({"dataset": dataset, "heads": words})
    cache = FrameCache(world.cache, world.cache_config)
    found = extra_cases(extra, world.manifest, cache, world.study.tasks["present"].heads)
    read = []
    original = network_training.read_extra
    monkeypatch.setattr(network_training, "read_extra", lambda *a: read.append(original(*a)) or read[-1])
    job = replace(of_cases, folder=tmp_path / "r0f0")
    assert world.train(job, extras=[found]) == "trained"
    (data,) = read
    assert data.frames.recordings == sorted(set(found.recordings["case"]))
    labels = found.cases["present"]
    assert [labels[case] == "Present" for case in data.frames.recordings] == (data.targets[:, 0] == 1).tolist()
