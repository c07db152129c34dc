"""Cases of other data sets among the training cases: their labels in the study's words, and what trains again."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from auscult.cache.store import write_cache
from auscult.config.dataset import ExtraTraining, OtherLabel
from auscult.config.systems import Head
from auscult.training import network_training
from auscult.training.data import window_of
from auscult.training.extra_cases import ExtraTrainingError, extra_cases, read_extra
from auscult.training.job import FrameCache
from tests.conftest import _pick

WORDS = {"present": {"column": "murmur", "words": {"Present": "Present", "Absent": "Absent"}}}
DATASET = {"name": "other", "adapter": "folder", "root": "x", "options": {"labels": {}}}


def extra(heads: dict = WORDS) -> ExtraTraining:
    return ExtraTraining.model_validate({"dataset": DATASET, "heads": heads})


def cases_of(world, manifest=None, task="present", heads=WORDS):
    cache = FrameCache(world.cache, world.cache_config)
    return extra_cases(extra(heads), manifest or world.manifest, cache, world.study.tasks[task].heads)


def test_cases_without_a_label_for_the_task_are_left_out(world):
    found = cases_of(world)
    labels = world.manifest.cases.set_index("case")["murmur"]
    assert found.cases["present"].to_dict() == {
        case: word for case, word in labels.items() if word in ("Present", "Absent")
    }
    assert set(found.recordings["case"]) <= set(found.cases.index) and len(found.recordings)
    assert cases_of(world, task="unknown").cases.empty


HEADS = {
    "binary": Head(label="x", positive=["Present"], train_on={"column": "z", "positive": ["audible"]}),
    "chosen": Head(label="y", kind="multiclass", classes=["ill", "well"]),
    "silent": Head(label="z", kind="multilabel", classes=["a", "b"]),
}


@pytest.mark.parametrize("seed", range(4))
def test_targets_are_those_of_the_words(world, seed):
    """Against a loop over random words; a head that is not named, or a word that is not, has no target."""
    rng = np.random.default_rng(seed)
    cases = world.manifest.cases.assign(
        one=rng.choice(["bad", "good", "odd", ""], len(world.manifest.cases)),
        two=rng.choice(["ill", "healthy", "?"], len(world.manifest.cases)),
    )
    manifest = replace(world.manifest, cases=cases)
    values = {
        "binary": {"column": "one", "words": {"bad": "Present", "good": "Absent"}},
        "chosen": {"column": "two", "words": {"ill": "ill", "healthy": "well"}},
    }
    found = extra_cases(extra(values), manifest, FrameCache(world.cache, world.cache_config), HEADS)
    system = world.study.systems["small"]
    windows = window_of(system.segment, world.job(world.root).front_end, 1, 3)
    data = read_extra(found, HEADS, windows, torch.device("cpu"), True)
    by_case = cases.set_index("case")
    for name, row in zip(found.recordings["recording"], data.targets, strict=True):
        words = by_case.loc[name.split("_")[0]]
        expected = [{"bad": 1.0, "good": 0.0}.get(words["one"], np.nan)]
        expected += {"ill": [1.0, 0.0], "healthy": [0.0, 1.0]}.get(words["two"], [np.nan, np.nan])
        np.testing.assert_array_equal(row, [*expected, np.nan, np.nan])
    named = cases["one"].isin(["bad", "good"]) | cases["two"].isin(["ill", "healthy"])
    assert found.cases.index.tolist() == sorted(cases.loc[named, "case"])


def test_a_column_or_word_that_is_not_there_is_named(world):
    with pytest.raises(
        ExtraTrainingError, match=r"heads.present.column: cases.csv has no column 'noise'; it has subject, murmur"
    ):
        cases_of(world, heads={"present": {"column": "noise", "words": {"a": "Present"}}})
    words = {"present": {"column": "murmur", "words": {"present": "Present"}}}
    with pytest.raises(ExtraTrainingError, match=r"no case is 'present' in 'murmur'; there are Absent, Present, Unk"):
        cases_of(world, heads=words)


@pytest.fixture
def other(world, tmp_path):
    """The recordings of the world, reversed, under the name of another data set."""
    signals = {name: values[::-1].copy() for name, values in world.signals.items()}
    table = world.manifest.recordings.assign(sha256="0" * 64)
    make = partial(_pick, signals=signals)
    write_cache(tmp_path / "other", table[["recording", "sha256"]], make, {"of": "x"}, "c", 2)
    manifest = replace(world.manifest, recordings=table)
    cache = FrameCache(tmp_path / "other", {"of": "x"})
    return lambda changed=manifest: extra_cases(extra(), changed, cache, world.study.tasks["present"].heads), manifest


def test_they_are_trained_on_and_nothing_else_changes(world, tmp_path, other, monkeypatch):
    make, _ = other
    seen = []
    fit = network_training.fit
    monkeypatch.setattr(network_training, "fit", lambda *parts: seen.append(parts[2:4]) or fit(*parts))
    world.train(world.job(tmp_path / "plain"))
    world.train(world.job(tmp_path / "more"), extras=[make()])
    plain, more = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("plain", "more"))
    count = len(make().recordings)
    assert more["counts"] == {**plain["counts"], "extra_recordings": count} and count > 10
    assert more["priors"] == plain["priors"] and more["cases_sha256"] == plain["cases_sha256"]
    assert more["weights_sha256"] != plain["weights_sha256"]
    (train, val), (train_more, val_more) = seen
    assert val.frames.recordings == val_more.frames.recordings
    own = len(train.frames.recordings)
    assert train_more.frames.recordings == [*train.frames.recordings, *make().recordings["recording"]]
    np.testing.assert_array_equal(train_more.targets[:own], train.targets)
    assert train_more.case_of[own:].min() == len(train.case_targets)
    # the frames are those of the other data set: reversed
    number = own + int(np.random.default_rng(0).integers(count))
    length = int(train_more.frames.length[number])
    window = train_more.frames.batch(torch.tensor([number]), torch.tensor([0]))[0, 0, : min(length, 20)]
    frames = world.signals[train_more.frames.recordings[number]][::-1][: min(length, 20), 0].astype(np.float32)
    np.testing.assert_array_equal(window.numpy(), frames)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("change", ["recording", "label", "other label"])
def test_a_change_of_what_is_learnt_trains_again(world, tmp_path, other, change, seed):
    make, manifest = other
    job = world.job(tmp_path / "model", epochs=1)
    world.train(job, extras=[make()])
    assert world.train(job, extras=[make()]) == "reused"
    rng = np.random.default_rng(seed)
    cases, recordings = manifest.cases.copy(), manifest.recordings.copy()
    if change == "recording":
        case = rng.choice(make().cases.index[:-1])
        recordings.loc[recordings["case"] == case, "sha256"] = "1" * 64
    elif change == "label":
        row = rng.choice(cases.index[cases["murmur"] == "Present"])
        cases.loc[row, "murmur"] = "Absent"
    else:
        cases.loc[rng.choice(cases.index), "outcome"] = "?"
    changed = make(replace(manifest, cases=cases, recordings=recordings))
    assert world.train(job, extras=[changed]) == ("reused" if change == "other label" else "trained")


@pytest.mark.parametrize("seed", range(4))
def test_cells_with_several_words(seed):
    """Against sets: of several words, those that are named count; a head with one class a case takes one word only."""
    rng = np.random.default_rng(seed)
    label = OtherLabel(column="x", words={"AF": "fast", "PVC": "noisy", "VT": "fast", "SR": "none"})
    every = ["AF", "PVC", "VT", "SR", "odd"]
    cells = pd.Series(["|".join(rng.permutation(every)[: rng.integers(0, 4)]) for _ in range(50)])
    several, one = label.read(cells, True), label.read(cells, False)
    for cell, words, word in zip(cells, several, one, strict=True):
        named = {label.words[part] for part in cell.split("|") if part in label.words}
        expected = named - {"none"} or named
        assert set(words.split("|")) - {""} == expected
        assert word == (next(iter(expected)) if len(expected) == 1 else "")
