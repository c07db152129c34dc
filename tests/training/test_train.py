"""A training job: what it writes, when it is reused untouched, and exactly what makes it train again."""

import json
from dataclasses import replace
from functools import partial
from importlib import metadata

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from auscult.cache.store import write_cache
from auscult.config.systems import System, Task
from auscult.folds.planned import FoldError
from auscult.plan.names import NetworkName
from auscult.training import model_folder, network_training
from auscult.training.job import FrameCache, Job
from auscult.training.model_folder import FILES
from auscult.training.slices import fold_slice

TRAIN, VAL, TEST = "c04", "c06", "c07"  # cases of fold 0
AUDIBLE = {
    "heads": {
        "present": {
            "label": "murmur",
            "positive": ["Present"],
            "train_on": {"column": "murmur_audible", "positive": ["audible"]},
        }
    }
}


PRECISIONS = [("bfloat16", True, "bfloat16"), ("bfloat16", False, "float32"), ("float32", True, "float32")]


@pytest.fixture
def folder(world, tmp_path):
    """A trained model folder."""
    assert world.train(world.job(tmp_path / "model")) == "trained"
    return tmp_path / "model"


def loud(row, signals):
    return 2 * signals[row.recording]


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def edited(world, table: str, key: str, name: str, column: str, value: str):
    """The manifest with one cell changed."""
    rows = getattr(world.manifest, table).copy()
    assert (rows[key] == name).any()
    rows.loc[rows[key] == name, column] = value
    return replace(world.manifest, **{table: rows})


def role_of(world, case: str) -> str:
    return world.folds.query("fold == 0 and case == @case")["role"].item()


def test_the_cases_that_these_tests_change(world):
    assert [role_of(world, case) for case in (TRAIN, VAL, TEST)] == ["train", "val", "test"]


def test_a_model_folder(world, folder):
    assert {path.name for path in folder.iterdir()} == set(FILES)
    facts = json.loads((folder / "manifest.json").read_text())
    config = json.loads((folder / "config.json").read_text())
    history = pd.read_csv(folder / "history.csv")
    assert config["inputs"] == [1, 20, 3] and config["outputs"] == ["present"]
    assert list(history) == ["epoch", "train_loss", "val_score", "learning_rate", "seconds"] and len(history) == 2
    train = world.folds.query("fold == 0 and role == 'train'")["case"]
    recordings = world.manifest.recordings[world.manifest.recordings["case"].isin(train)]
    assert facts["counts"]["train_cases"] == len(train) == 24
    assert facts["counts"]["train_recordings"] == len(recordings)
    assert facts["counts"]["short_recordings"] == (recordings["frames"] < 20).sum() > 0
    labels = world.manifest.cases.set_index("case").loc[train, "murmur"]
    assert facts["priors"] == pytest.approx([(labels == "Present").sum() / (labels != "").sum()])
    assert facts["val_score"] == pytest.approx(history["val_score"].max())
    assert facts["best_epoch"] == history["val_score"].argmax()
    assert facts["versions"]["torch"] and facts["device"] == "cpu" and facts["seed"] == world.job(folder).seed
    weights = load_file(folder / "weights.safetensors")
    assert facts["parameters"] == sum(
        t.numel() for key, t in weights.items() if not key.split(".")[-1].startswith(("run", "num"))
    )


def test_second_time_it_is_reused_untouched(world, folder):
    before, old = contents(folder), (folder / "manifest.json").stat().st_mtime_ns
    assert world.train(world.job(folder), log=lambda row: pytest.fail("trained")) == "reused"
    assert contents(folder) == before
    assert (folder / "manifest.json").stat().st_mtime_ns > old  # newer than its inputs, for Snakemake


@pytest.mark.parametrize(("asked", "able", "recorded"), PRECISIONS)
def test_the_precision_on_record_is_the_one_that_acted(world, tmp_path, monkeypatch, asked, able, recorded):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able)
    assert world.train(world.job(tmp_path / "model", precision=asked)) == "trained"
    assert json.loads((tmp_path / "model" / "manifest.json").read_text())["precision"] == recorded


def test_the_largest_seed_trains(world, tmp_path):
    assert world.train(world.job(tmp_path / "model", seed=2**31 - 1)) == "trained"


def test_the_order_of_rows_is_irrelevant(world, folder, tmp_path):
    shuffled = replace(
        world.manifest,
        cases=world.manifest.cases.sample(frac=1, random_state=1),
        recordings=world.manifest.recordings.sample(frac=1, random_state=2),
    )
    changes = {"manifest": shuffled, "folds": world.folds.sample(frac=1, random_state=3)}
    assert world.train(world.job(folder), **changes) == "reused"
    assert world.train(world.job(tmp_path / "again"), **changes) == "trained"
    assert (tmp_path / "again/weights.safetensors").read_bytes() == (folder / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("resident", [True, False])
def test_reading_from_the_cache_or_memory_gives_the_same_weights(world, folder, tmp_path, resident):
    world.train(world.job(tmp_path / "again", resident=resident))
    assert (tmp_path / "again/weights.safetensors").read_bytes() == (folder / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("case", "outcome"), [(TRAIN, "trained"), (VAL, "trained"), (TEST, "reused")], ids=["train", "val", "test"]
)
def test_changed_samples(world, folder, case, outcome):
    manifest = edited(world, "recordings", "recording", f"{case}_AV", "sha256", "changed")
    assert world.train(world.job(folder), manifest=manifest) == outcome


@pytest.mark.parametrize(
    ("case", "outcome"), [(TRAIN, "trained"), (VAL, "trained"), (TEST, "reused")], ids=["train", "val", "test"]
)
@pytest.mark.parametrize(("column", "value"), [("rate_hz", 2000), ("channels", 2)])
def test_a_header_changed_over_the_same_samples(world, folder, case, outcome, column, value):
    manifest = edited(world, "recordings", "recording", f"{case}_AV", column, value)
    assert world.train(world.job(folder), manifest=manifest) == outcome


@pytest.mark.parametrize(
    ("case", "outcome"), [(TRAIN, "trained"), (VAL, "trained"), (TEST, "reused")], ids=["train", "val", "test"]
)
@pytest.mark.parametrize("label", ["Unknown", ""])
def test_changed_label(world, folder, case, outcome, label):
    manifest = edited(world, "cases", "case", case, "murmur", label)
    assert world.train(world.job(folder), manifest=manifest) == outcome


def test_what_the_network_does_not_read_is_irrelevant(world, folder):
    for table, key, name, column in [
        ("cases", "case", TRAIN, "outcome"),
        ("cases", "case", TRAIN, "age_months"),
        ("recordings", "recording", f"{TRAIN}_AV", "murmur_audible"),
        ("recordings", "recording", f"{TRAIN}_AV", "path"),
    ]:
        value = 7.0 if column == "age_months" else "changed"
        assert world.train(world.job(folder), manifest=edited(world, table, key, name, column, value)) == "reused"


@pytest.mark.parametrize(
    ("case", "outcome"), [(TRAIN, "trained"), (TEST, "reused")], ids=["train", "test"]
)  # fmt: skip
def test_changed_label_of_a_recording(world, tmp_path, case, outcome):
    job = replace(world.job(tmp_path / "model"), task=Task.model_validate(AUDIBLE))
    world.train(job)
    manifest = edited(world, "recordings", "recording", f"{case}_AV", "murmur_audible", "")
    assert world.train(job, manifest=manifest) == outcome


@pytest.mark.parametrize(
    ("case", "outcome"), [(TRAIN, "trained"), (VAL, "trained"), (TEST, "reused")], ids=["train", "val", "test"]
)
def test_a_recording_taken_away(world, folder, case, outcome):
    rows = world.manifest.recordings
    manifest = replace(world.manifest, recordings=rows[rows["recording"] != f"{case}_AV"])
    assert world.train(world.job(folder, patience=5), manifest=manifest) == outcome


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"training": {"learning_rate": 0.01}}, "trained"),
        ({"training": {"augment": {"mixup": 0.4}}}, "trained"),
        ({"training": {"seed": 1}}, "trained"),
        ({"network": {"options": {"dropout": 0.5}}}, "trained"),
        ({"segment": {"hop_s": 0.25}}, "trained"),
        ({"front_end": {"settings": {"rate_hz": 40}}}, "trained"),
        ({"training": {"seeds": 3}}, "reused"),
        ({"inference": {"passes": 9}}, "reused"),
        ({"inference": {"pool": {"present": {"recordings": "max"}}}}, "reused"),
    ],
    ids=str,
)
def test_changed_configuration(world, folder, change, outcome):
    job = world.job(folder)
    values = job.system.model_dump()
    for part, keys in change.items():
        for key, value in keys.items():
            values[part][key] = {**values[part][key], **value} if isinstance(value, dict) else value
    job = replace(job, system=System.model_validate(values))
    assert world.train(job) == outcome
    assert world.train(job) == "reused"


def test_changed_code(world, folder):
    assert world.train(world.job(folder), code="another") == "trained"


def test_changed_making_of_the_cache(world, folder, tmp_path):
    """As when the data set's rate is changed: other frames of the same recordings, in the same words of the system."""
    config = {**world.cache_config, "rate_hz": 2000}
    make = partial(loud, signals=world.signals)
    write_cache(tmp_path / "cache", world.manifest.recordings[["recording", "sha256"]], make, config, "code", shards=1)
    assert world.train(world.job(folder), frame_cache=FrameCache(tmp_path / "cache", config)) == "trained"


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_made_again(world, folder, name):
    before = contents(folder)
    (folder / name).unlink()
    assert world.train(world.job(folder)) == "trained"
    assert contents(folder)["weights.safetensors"] == before["weights.safetensors"]


@pytest.mark.parametrize("seed", range(6))
def test_weights_that_are_damaged_anywhere_are_trained_again(world, folder, seed, capfd):
    path, rng = folder / "weights.safetensors", np.random.default_rng(seed)
    original = path.read_bytes()
    contents, place = bytearray(original), int(rng.integers(len(original)))
    contents[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(contents if seed % 2 else contents[:place])
    assert world.train(world.job(folder)) == "trained"
    assert path.read_bytes() == original and "weights.safetensors: damaged" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "outcome"),
    [
        *((name, "0.0.2", "trained") for name in ("torch", "numpy", "soxr", "librosa")),
        ("torch", "+patch", "reused"),
        ("soxr", "+patch", "reused"),
    ],
)
def test_another_minor_version_trains_again_and_another_patch_does_not(
    world, folder, monkeypatch, name, value, outcome
):
    installed = metadata.version
    version = installed(name)
    other = ".".join([*version.split(".")[:2], "99"]) if value == "+patch" else value
    monkeypatch.setattr(metadata, "version", lambda key: other if key == name else installed(key))
    assert world.train(world.job(folder)) == outcome


def test_a_damaged_manifest_is_not_believed(world, folder):
    (folder / "manifest.json").write_text("{")
    assert world.train(world.job(folder)) == "trained"


class Killed(BaseException):
    """As a signal: nothing may catch it."""


def kill(*arguments, **named):
    raise Killed


def test_killed_in_training_it_continues(world, folder, tmp_path):
    job = world.job(tmp_path / "other")
    with pytest.raises(Killed):
        world.train(job, log=kill)
    assert not (job.folder / "manifest.json").exists()
    rows = []
    assert world.train(job, log=rows.append) == "trained"
    assert [row["epoch"] for row in rows] == [1]
    assert contents(job.folder)["weights.safetensors"] == contents(folder)["weights.safetensors"]
    assert set(contents(job.folder)) == set(FILES)


@pytest.mark.parametrize("module", [model_folder, network_training])
def test_killed_while_writing_it_leaves_nothing_that_looks_finished(world, folder, monkeypatch, module):
    """The folder then holds new weights: neither the old nor the new configuration may take them for finished."""
    before = contents(folder)
    monkeypatch.setattr(module, "write_json", kill)
    with pytest.raises(Killed):
        world.train(world.job(folder, learning_rate=0.5))
    monkeypatch.undo()
    assert world.train(world.job(folder)) == "trained"
    assert contents(folder)["weights.safetensors"] == before["weights.safetensors"]
    assert world.train(world.job(folder, learning_rate=0.5)) == "trained"
    assert contents(folder)["weights.safetensors"] != before["weights.safetensors"]


def test_folds_and_members_have_seeds_of_their_own(world, tmp_path):
    jobs = [
        world.job(tmp_path, fold=fold, index=index, seed=seed)
        for fold in range(4)
        for index in (0, 1)
        for seed in (0, 1)
    ]
    assert len({job.seed for job in jobs}) == len(jobs)
    assert isinstance(jobs[0], Job)


def test_a_fold_without_recordings_to_validate_on_says_so(world, tmp_path):
    val = set(world.folds.query("fold == 0 and role == 'val'")["case"])
    rows = world.manifest.recordings
    manifest = replace(world.manifest, recordings=rows[~rows["case"].isin(val)])
    with pytest.raises(FoldError, match=r"fold 0 of repeat 0: no val recordings; see quality\.csv"):
        world.train(world.job(tmp_path / "model"), manifest=manifest)


@pytest.mark.parametrize(
    ("network", "mix", "words"),
    [
        ({"name": "compact", "options": {"widths": [4]}}, "labels", "the network compact has no patches to mix"),
        (
            {"name": "ast", "options": {"patch": 4, "stride": 4, "width": 8, "depth": 1, "attention_heads": 2}},
            "contrast",
            r"needs network\.options\.projector",
        ),
    ],
)
def test_patches_that_cannot_be_mixed_are_refused(world, tmp_path, network, mix, words):
    job = world.job(tmp_path / "model")
    values = job.system.model_dump() | {"network": network}
    values["training"]["patch_mix"] = mix
    with pytest.raises(ValueError, match=words):
        world.train(replace(job, system=System.model_validate(values)))


def test_a_slice_holds_its_own_rows_only(world):
    heads = world.study.tasks["present"].heads
    cases, recordings = fold_slice(world.manifest, world.folds, NetworkName(0, 0), ["val"], heads)
    assert list(cases) == ["case", "role", "murmur"] and set(cases["role"]) == {"val"}
    assert set(recordings["case"]) <= set(cases["case"])
    assert np.all(cases["case"].to_numpy() == np.sort(cases["case"].to_numpy()))
    blind, recordings = fold_slice(world.manifest, world.folds, NetworkName(0, 0), ["val"], {})
    assert list(blind) == ["case", "role"] and "murmur_audible" not in recordings
