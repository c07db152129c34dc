"""A scoring job: what outputs.h5 holds, which of its groups are kept, and that no label is read."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.metrics import balanced_accuracy_score
from torch.nn.functional import pad

from auscult.config.systems import System
from auscult.inference import outputs
from auscult.networks import WeightsError
from auscult.training.job import FrameCache
from auscult.training.model_folder import DamagedModel
from auscult.training.trained import load_network

VAL, TEST = "c06", "c07"


@pytest.fixture
def job(world, scored, tmp_path):
    """The scored job `present` of fold 0 in a folder of its own."""
    shutil.copytree(scored["present"][0], tmp_path / "model")
    return world.job(tmp_path / "model")


def read(job, role: str) -> dict[str, np.ndarray]:
    """All arrays of a group."""
    arrays = {}
    with h5py.File(job.folder / "outputs.h5", "r") as file:
        file[role].visititems(
            lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return arrays


def text(values: np.ndarray) -> list[str]:
    return [value.decode() for value in values]


def equal(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def changed_hash(world, case: str):
    rows = world.manifest.recordings.copy()
    rows.loc[rows["recording"] == f"{case}_AV", "sha256"] = "changed"
    return replace(world.manifest, recordings=rows)


@pytest.mark.parametrize("role", ["train", "val", "test"])
def test_layout(world, job, role):
    data = read(job, role)
    with h5py.File(job.folder / "outputs.h5", "r") as file:
        assert set(file) == {"train", "val", "test"}
        assert list(file[role].attrs["outputs"]) == ["present"] and list(file[role].attrs["heads"]) == ["present"]
    members = set(world.folds.query("fold == 0 and role == @role")["case"])
    recordings = world.manifest.recordings[world.manifest.recordings["case"].isin(members)].sort_values("recording")
    assert text(data["recordings/recording"]) == recordings["recording"].tolist()
    assert text(data["recordings/case"]) == recordings["case"].tolist()
    assert text(data["recordings/site"]) == recordings["site"].tolist()
    assert text(data["cases/case"]) == sorted(recordings["case"].unique())
    counts = {"recordings": len(recordings), "cases": recordings["case"].nunique()}
    counts["segments"] = int((1 + np.ceil(np.maximum(0, recordings["frames"] - 20) / 10)).sum())
    assert data["segments/recording"].shape == data["segments/start"].shape == (counts["segments"],)
    for level, count in counts.items():
        assert data[f"{level}/passes"].shape == (count, 4, 1)
        for name in ("mean", "variance", "predictive_entropy", "expected_entropy", "mutual_information"):
            assert data[f"{level}/{name}"].shape == (count, 1)
            assert data[f"{level}/{name}"].dtype == np.float32
    assert data["cases/latents"].shape == (counts["cases"], 6) and data["cases/latents"].dtype == np.float16


def test_levels_are_means_of_their_parts(job):
    data = read(job, "test")
    segments, owner = data["segments/passes"], data["segments/recording"]
    cases = text(data["recordings/case"])
    for number, passes in enumerate(data["recordings/passes"]):
        np.testing.assert_allclose(passes, segments[owner == number].mean(axis=0), rtol=1e-5)
    for number, case in enumerate(text(data["cases/case"])):
        mine = [k for k, name in enumerate(cases) if name == case]
        np.testing.assert_allclose(
            data["cases/passes"][number], data["recordings/passes"][mine].mean(axis=0), rtol=1e-5
        )
    for level in ("segments", "recordings", "cases"):
        passes = data[f"{level}/passes"]
        np.testing.assert_allclose(data[f"{level}/mean"], passes.mean(axis=1), rtol=1e-5)
        np.testing.assert_allclose(data[f"{level}/variance"], passes.var(axis=1), atol=1e-6)
    assert data["cases/variance"].max() > 0


def test_second_time_all_is_reused(world, job, monkeypatch):
    before = (job.folder / "outputs.h5").read_bytes()
    monkeypatch.setattr(outputs, "stochastic_passes", lambda *a: pytest.fail("scored"))
    assert world.score(job, ["val", "test"]) == {"val": "reused", "test": "reused"}
    assert (job.folder / "outputs.h5").read_bytes() == before


def test_the_order_of_rows_is_irrelevant(world, job):
    manifest = replace(world.manifest, recordings=world.manifest.recordings.sample(frac=1, random_state=0))
    folds = world.folds.sample(frac=1, random_state=1)
    assert world.score(job, ["val", "test"], manifest=manifest, folds=folds) == {"val": "reused", "test": "reused"}


@pytest.mark.parametrize(("case", "role", "other"), [(VAL, "val", "test"), (TEST, "test", "val")])
def test_only_the_changed_role_is_scored_again(world, job, monkeypatch, case, role, other):
    before, calls = read(job, other), []
    passes = outputs.stochastic_passes
    monkeypatch.setattr(outputs, "stochastic_passes", lambda *a: calls.append(len(a[1].recordings)) or passes(*a))
    with h5py.File(job.folder / "outputs.h5", "a") as file:  # a sign on the groups, to see which are written anew
        for group in file.values():
            group.attrs["sign"] = 1
    manifest = changed_hash(world, case)
    assert world.score(job, ["val", "test"], manifest=manifest) == {role: "scored", other: "reused"}
    assert len(calls) == 1
    assert equal(read(job, other), before)
    with h5py.File(job.folder / "outputs.h5", "r") as file:
        assert "sign" in file[other].attrs and "sign" not in file[role].attrs
    assert world.score(job, ["val", "test"], manifest=manifest) == {role: "reused", other: "reused"}


@pytest.mark.parametrize(
    "changes", [{"code": "another"}, {"cache_config": {"kind": "frames", "of": "another"}}], ids=str
)
def test_code_and_cache_change_all(world, job, changes):
    if "cache_config" in changes:
        changes = {"frame_cache": FrameCache(world.cache, changes["cache_config"])}
        with pytest.raises(Exception, match="expected"):  # it looks at the cache, not at the old outputs
            world.score(job, ["val"], **changes)
    else:
        assert world.score(job, ["val"], **changes) == {"val": "scored"}


def record_weights(folder: Path) -> None:
    """Enter the weights of a folder into its manifest, as if the training had written them."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["weights_sha256"] = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("seed", range(6))
def test_weights_that_are_damaged_anywhere_are_named(job, world, seed):
    path, rng = job.folder / "weights.safetensors", np.random.default_rng(seed)
    contents = bytearray(path.read_bytes())
    place = int(rng.integers(len(contents)))
    if seed % 2:
        contents[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(contents)
    else:
        path.write_bytes(contents[:place])
    with pytest.raises(DamagedModel, match=r"weights\.safetensors: damaged.*: delete .* and run again"):
        world.score(job, ["val"])


def test_another_network_changes_all(world, scored, job):
    shutil.copy(scored["unknown"][0] / "weights.safetensors", job.folder)
    record_weights(job.folder)
    before = read(job, "val")
    assert world.score(job, ["val", "test"]) == {"val": "scored", "test": "scored"}
    assert not equal(read(job, "val"), before)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [({"passes": 3}, "scored"), ({"pool": {"present": {"recordings": "max"}}}, "reused")],
    ids=str,
)
def test_settings_of_inference(world, job, change, outcome):
    values = job.system.model_dump()
    values["inference"].update(change)
    assert world.score(replace(job, system=System.model_validate(values)), ["val"]) == {"val": outcome}


def test_the_same_outputs_each_time(world, job):
    before = read(job, "test")
    (job.folder / "outputs.h5").unlink()
    world.score(job, ["test"])
    assert equal(read(job, "test"), before)


def test_no_label_is_read(world, job):
    before = {role: read(job, role) for role in ("val", "test")}
    (job.folder / "outputs.h5").unlink()
    blind = replace(
        world.manifest,
        cases=world.manifest.cases[["case", "subject"]],
        recordings=world.manifest.recordings.drop(columns="murmur_audible"),
    )
    assert world.score(job, ["val", "test"], manifest=blind) == {"val": "scored", "test": "scored"}
    assert all(equal(read(job, role), part) for role, part in before.items())


@pytest.fixture
def leaky(world, tmp_path):
    """A trained job whose epoch the test cases choose."""
    job = world.job(tmp_path / "leaky", select="test", epochs=4)
    assert world.train(job) == "trained"
    return job


def plain_score(world, job, weights: dict, truth: pd.Series) -> float:
    """Balanced accuracy of a network without dropout for some cases, means over windows and recordings at 0.5."""
    network, windowing = load_network(job, torch.device("cpu"))
    hop, (_, window, _) = windowing.hop, windowing.shape
    network.load_state_dict(weights)
    network.eval()
    table = world.manifest.recordings[world.manifest.recordings["case"].isin(truth.index)]
    means = []
    for name in table["recording"]:
        frames = torch.from_numpy(world.signals[name].astype(np.float32)).transpose(0, 1)  # channels, frames, bands
        starts = range(0, max(1, frames.shape[1] - window + 1), hop)
        windows = [pad(frames[:, s : s + window], (0, 0, 0, max(0, window - frames.shape[1]))) for s in starts]
        with torch.no_grad():
            means.append(float(torch.sigmoid(network(torch.stack(windows))[0]).mean()))
    p = pd.Series(means, table["case"]).groupby(level=0).mean()
    return balanced_accuracy_score(truth[p.index], p >= 0.5)


def test_the_epoch_that_the_test_cases_choose(world, leaky):
    weights = [load_file(leaky.folder / f"epochs/{epoch:04d}.safetensors") for epoch in range(4)]
    last = load_file(leaky.folder / "weights.safetensors")
    assert all(bool((weights[3][key] == last[key]).all()) for key in last)
    # each epoch by itself, as if its weights were the network's
    test = world.folds.query("fold == 0 and role == 'test'")["case"]
    labels = world.manifest.cases.set_index("case")["murmur"].reindex(test)
    truth = (labels[labels != ""] == "Present").astype(int)
    scores, groups = [], []
    for epoch, values in enumerate(weights):
        plain = world.job(leaky.folder.parent / f"plain{epoch}", epochs=4)
        shutil.copytree(leaky.folder, plain.folder)
        save_file(values, plain.folder / "weights.safetensors")
        record_weights(plain.folder)
        world.score(plain, ["test"])
        groups.append(read(plain, "test"))
        scores.append(plain_score(world, plain, values, truth))
    world.score(leaky, ["val", "test"])
    assert equal(read(leaky, "test"), groups[int(np.argmax(scores))])
    assert len(set(scores)) > 1  # else any epoch would do
    assert world.score(leaky, ["val", "test"]) == {"val": "reused", "test": "reused"}


def test_the_labels_of_test_cases_that_choose_matter(world, leaky):
    world.score(leaky, ["val", "test"])
    cases = world.manifest.cases.assign(murmur="Present")
    assert world.score(leaky, ["val", "test"], manifest=replace(world.manifest, cases=cases)) == {
        "val": "scored",
        "test": "scored",
    }


def test_epochs_that_are_gone(world, leaky):
    (leaky.folder / "epochs/0002.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"0002\.safetensors: the weights of this epoch are gone; delete"):
        world.score(leaky, ["test"])


def test_labels_change_nothing(world, job):
    cases = world.manifest.cases.assign(murmur="Present", outcome="")
    recordings = world.manifest.recordings.assign(murmur_audible="")
    manifest = replace(world.manifest, cases=cases, recordings=recordings)
    assert world.score(job, ["val", "test"], manifest=manifest) == {"val": "reused", "test": "reused"}


@pytest.mark.parametrize("harm", ["missing", "empty", "truncated"])
def test_damaged_outputs_are_made_again(world, job, harm):
    before, path = read(job, "val"), job.folder / "outputs.h5"
    raw = path.read_bytes()
    path.unlink() if harm == "missing" else path.write_bytes(raw[: len(raw) // 2 if harm == "truncated" else 0])
    assert world.score(job, ["val"]) == {"val": "scored"}
    assert equal(read(job, "val"), before)


def test_a_killed_job_leaves_the_old_outputs(world, job, monkeypatch):
    before = (job.folder / "outputs.h5").read_bytes()

    def kill(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(outputs, "stochastic_passes", kill)
    with pytest.raises(KeyboardInterrupt):
        world.score(job, ["val", "test"], manifest=changed_hash(world, VAL))
    assert (job.folder / "outputs.h5").read_bytes() == before
    assert not [path for path in job.folder.iterdir() if path.name.startswith(".")]


def test_a_role_without_recordings(world, job):
    test = set(world.folds.query("fold == 0 and role == 'test'")["case"])
    rows = world.manifest.recordings
    manifest = replace(world.manifest, recordings=rows[~rows["case"].isin(test)])
    assert world.score(job, ["val", "test"], manifest=manifest) == {"val": "reused", "test": "scored"}
    assert read(job, "test") == {}


def test_what_a_killed_process_of_the_same_number_left_is_no_trouble(world, job):
    (job.folder / "outputs.h5").unlink()
    (job.folder / f".outputs.h5.{os.getpid()}").write_bytes(b"half a file")
    assert world.score(job, ["val"]) == {"val": "scored"}
