"""Pre-training on labels of other data sets: what it learns, what it ignores, and what it refuses."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from auscult import networks
from auscult.config.systems import FrontEndConfig, Head, Pretraining
from auscult.networks import load_encoder
from auscult.pretraining import PretrainingError
from auscult.pretraining.job import DECLARATION, PretrainingJob
from auscult.pretraining.methods import supervised
from auscult.pretraining.pretrain import pretrain
from auscult.pretraining.recordings import recordings_of
from auscult.training.job import FrameCache, Resources

NETWORK = {"name": "compact", "options": {}}
HEADS = {"ill": {"label": "murmur", "positive": ["Present"]}, "hard": {"label": "outcome", "positive": ["Abnormal"]}}


def job(world, tmp_path, heads=None, **training) -> PretrainingJob:
    values = {
        "method": {"name": "supervised", "options": {"heads": heads or HEADS}},
        "train_on": {"datasets": [{"name": "other", "adapter": "folder", "root": "x", "options": {"labels": {}}}]},
        "front_end": FrontEndConfig.model_validate(world.study.systems["small"].front_end.model_dump()),
        "segment": world.study.systems["small"].segment,
        "network": NETWORK,
        "training": {"epochs": 2, "batch": 16, "crops": 1, **training},
    }
    return PretrainingJob(tmp_path / "encoder" / "all", Pretraining.model_validate(values), None)


def run(world, job: PretrainingJob, *manifests) -> str:
    cache = FrameCache(world.cache, world.cache_config)
    sources = [
        recordings_of(f"d{number}", manifest, cache, None, None, job.heads) for number, manifest in enumerate(manifests)
    ]
    return pretrain(job, sources, "code", Resources(world.root / "locks", 1), lambda row: None)


def history(job: PretrainingJob) -> list[float]:
    return pd.read_csv(job.folder / "history.csv")["train_loss"].tolist()


def without(manifest, column: str):
    return replace(manifest, cases=manifest.cases.drop(columns=column))


def test_labels_are_learnt_and_the_encoder_starts_a_network_with_other_heads(world, tmp_path):
    first = job(world, tmp_path, epochs=8, learning_rate=0.01)
    assert run(world, first, world.manifest) == "trained"
    losses = history(first)
    assert losses[-1] < losses[0] < 1.2 * np.log(2)  # balanced classes: log 2 by chance
    config = json.loads((first.folder / "config.json").read_text())
    network = networks.build("compact", NETWORK["options"], tuple(config["inputs"]), 5)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    load_encoder(network, first.folder / "weights.safetensors")
    changed = {key.split(".")[0] for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert changed and not changed & set(networks.HEAD)


def test_the_declaration_names_all_subjects_of_every_data_set(world, tmp_path):
    first = job(world, tmp_path)
    run(world, first, world.manifest, without(world.manifest, "outcome"))
    entries = json.loads((first.folder / DECLARATION).read_text())["heard"]
    assert [entry["dataset"] for entry in entries] == ["d0", "d1"]
    assert all(set(entry["subjects"]) == set(world.manifest.recordings["subject"]) for entry in entries)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("column", ["murmur", "outcome", "age_months"])
def test_a_changed_label_that_is_learnt_trains_again_and_another_does_not(world, tmp_path, column, seed):
    first = job(world, tmp_path)
    run(world, first, world.manifest)
    cases = world.manifest.cases.copy()
    with_recording = cases.index[cases["case"].isin(world.manifest.recordings["case"])]
    row = np.random.default_rng(seed).choice(with_recording)
    others = {"murmur": {"Present": "Absent"}, "outcome": {"Abnormal": "Normal"}}.get(column)
    old = cases.loc[row, column]
    cases.loc[row, column] = others.get(old, next(iter(others))) if others else 99.5
    assert cases.loc[row, column] != old
    outcome = run(world, first, replace(world.manifest, cases=cases))
    assert outcome == ("reused" if column == "age_months" else "trained")


def test_a_data_set_without_a_label_teaches_its_head_nothing(world, tmp_path):
    first = job(world, tmp_path)
    run(world, first, world.manifest, without(world.manifest, "murmur"))
    both = json.loads((first.folder / "manifest.json").read_text())["counts"]
    assert both["train_recordings"] == 2 * len(world.manifest.recordings)
    cases, _ = recordings_of(
        "d", without(world.manifest, "murmur"), FrameCache(world.cache, {}), None, None, first.heads
    ).with_all_labels(first.heads)
    assert set(cases["murmur"]) == {""} and set(cases["outcome"]) > {"Normal"}


def refused(world, tmp_path, heads: dict, manifest, message: str) -> None:
    with pytest.raises(PretrainingError, match=message):
        run(world, job(world, tmp_path, heads), manifest)


def test_heads_that_teach_nothing_are_refused(world, tmp_path):
    wrong_word = {"ill": {"label": "murmur", "positive": ["present"]}}
    refused(world, tmp_path, wrong_word, world.manifest, "heads.ill: all .* recordings are of one class; compare the")
    wrong_class = {"ill": {"label": "murmur", "kind": "multiclass", "classes": ["Absent", "x"]}}
    alike = world.manifest.cases.assign(murmur="Absent")
    refused(world, tmp_path, wrong_class, replace(world.manifest, cases=alike), "column 'murmur' with classes here")
    elsewhere = {"ill": {"label": "quality", "positive": ["poor"]}}
    refused(world, tmp_path, elsewhere, world.manifest, "no recording of these data sets has a label in .* 'quality'")
    empty = world.manifest.cases.assign(murmur="")
    refused(world, tmp_path, {"ill": HEADS["ill"]}, replace(world.manifest, cases=empty), "no recording of these data")


@pytest.mark.parametrize("row", [[0, 0, 0], [1, 1, 0]])
def test_a_label_that_is_none_or_several_of_the_classes_of_a_head_is_refused(row):
    heads = {"sound": Head(label="sound", kind="multiclass", classes=["a", "b", "c"])}
    targets = np.array([[1, 0, 0], [0, 1, 0], [np.nan] * 3, [0, 0, 1]], dtype=float)
    supervised.check(heads, targets)
    targets[np.random.default_rng(sum(row)).choice([0, 1, 3])] = row
    with pytest.raises(ValueError, match=r"heads\.sound: the column 'sound' has cells that are not one of"):
        supervised.check(heads, targets)
