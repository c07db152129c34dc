"""Training of the head alone, shares of the labels, and the rate of the encoder."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from auscult import networks
from auscult.config.systems import Training
from auscult.folds.planned import FoldError
from auscult.training.frozen import encoder_weights, set_training
from auscult.training.label_share import drawn
from auscult.training.optimiser import build_optimiser, set_learning_rate
from auscult.training.train import _with_share_of_labels
from tests.networks.test_registry import SMALL


def weights_after(world, folder, frozen=False, **training) -> dict[str, torch.Tensor]:
    job = world.job(folder, **{"epochs": 1, "select": "last", **training})
    values = job.system.model_dump()
    values["network"]["frozen"] = frozen
    world.train(replace(job, system=job.system.__class__.model_validate(values)))
    return load_file(folder / "weights.safetensors")


def same(a: dict, b: dict, encoder: bool) -> bool:
    keys = [key for key in a if networks.is_encoder(key) == encoder]
    assert keys
    return all(torch.equal(a[key], b[key]) for key in keys)


def test_a_frozen_encoder_keeps_its_weights_and_batch_statistics(world, tmp_path):
    one, two = (weights_after(world, tmp_path / f"{epochs}", True, epochs=epochs) for epochs in (1, 2))
    assert same(one, two, encoder=True) and not same(one, two, encoder=False)
    tuned = [weights_after(world, tmp_path / f"tuned{epochs}", epochs=epochs) for epochs in (1, 2)]
    assert not same(*tuned, encoder=True)


def test_the_head_goes_first(world, tmp_path):
    frozen = weights_after(world, tmp_path / "frozen", True, epochs=2, schedule="constant")
    first = weights_after(world, tmp_path / "first", epochs=2, head_epochs=2, schedule="constant")
    then = weights_after(world, tmp_path / "then", epochs=3, head_epochs=2, schedule="constant")
    assert same(frozen, first, True) and same(frozen, first, False)
    assert not same(first, then, True)


@pytest.mark.parametrize("name", networks.names())
def test_every_network_has_an_encoder_and_a_head(name):
    network = networks.build(name, SMALL.get(name, {}), (2, 40, 16), 2)
    is_encoder = {networks.is_encoder(key) for key, _ in network.named_parameters()}
    assert is_encoder == {True, False}
    weights = encoder_weights(network)
    set_training(network, weights, True)
    logits, _ = network(torch.randn(4, 2, 40, 16))
    (logits**2).sum().backward()
    for key, weight in network.named_parameters():
        assert (weight.grad is None) or not networks.is_encoder(key)
    set_training(network, weights, False)
    assert all(weight.requires_grad for weight in weights)


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_the_rate_of_the_encoder_is_a_share(share):
    network = networks.build("resnet1d", SMALL["resnet1d"], (2, 40, 1), 2)
    optimiser = build_optimiser(network, torch.nn.Linear(2, 2), Training(encoder_rate=share))
    set_learning_rate(optimiser, 0.5)
    rates = {id(weight): group["lr"] for group in optimiser.param_groups for weight in group["params"]}
    for key, weight in network.named_parameters():
        assert rates[id(weight)] == pytest.approx(0.5 * (share if networks.is_encoder(key) else 1))
    assert len(rates) == len(list(network.parameters())) + 2


# labels


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("count", [1, 7, 200])
def test_a_share_is_drawn_by_subject_and_a_smaller_one_is_part_of_it(seed, count):
    rng = np.random.default_rng(seed)
    subjects = pd.Series([f"s{number}" for number in rng.integers(0, count, 3 * count)])
    total = subjects.nunique()
    previous: set[str] = set()
    for share in (0.001, 0.1, 0.35, 0.9, 1.0):
        used = drawn(subjects, share, seed)
        kept, left = set(subjects[used]), set(subjects[~used])
        assert not kept & left and previous <= kept
        assert len(kept) == max(1, int(np.ceil(share * total - 1e-9)))
        previous = kept


@pytest.mark.parametrize("tenths", range(1, 11))
def test_a_share_of_ten_subjects_is_that_many(tenths):
    assert drawn(pd.Series([f"s{number}" for number in range(10)]), tenths / 10, 0).sum() == tenths


def test_another_seed_draws_others_and_the_order_does_not_matter():
    subjects = pd.Series([f"s{number:03d}" for number in range(300)])
    first, again, other = drawn(subjects, 0.1, 1), drawn(subjects[::-1], 0.1, 1), drawn(subjects, 0.1, 2)
    assert set(subjects[first]) == set(subjects[again.sort_index()]) != set(subjects[other])
    assert len(set(subjects[first]) & set(subjects[other])) < 15  # 3 expected


@pytest.mark.parametrize("select", ["auroc", "last"])
def test_a_training_uses_the_drawn_subjects_and_all_validation_cases(world, tmp_path, select):
    import json

    counts = {}
    for share in (0.3, 1.0):
        job = world.job(tmp_path / f"{share}", labels=share, select=select)
        assert world.train(job) == "trained" and world.train(job) == "reused"
        counts[share] = json.loads((job.folder / "manifest.json").read_text())["counts"]
    assert counts[0.3]["val_cases"] == counts[1.0]["val_cases"]
    assert 0 < counts[0.3]["train_cases"] < 0.5 * counts[1.0]["train_cases"]


def test_a_label_that_is_not_used_trains_nothing(world, tmp_path):
    """A flipped label of an undrawn training case changes nothing; one of a drawn case trains again."""
    job = world.job(tmp_path / "model", labels=0.4)
    world.train(job)
    rows = world.folds[(world.folds["fold"] == 0) & (world.folds["role"] == "train")]
    cases = world.manifest.cases.set_index("case").loc[rows["case"]]
    used = drawn(cases["subject"], 0.4, job.system.training.seed)
    for is_used, outcome in ((False, "reused"), (True, "trained")):
        case = cases.index[used == is_used][0]
        changed = world.manifest.cases.copy()
        at = changed["case"] == case
        changed.loc[at, "murmur"] = "Present" if (changed.loc[at, "murmur"] != "Present").all() else "Absent"
        assert world.train(job, manifest=replace(world.manifest, cases=changed)) == outcome


def test_members_of_an_ensemble_use_the_labels_of_the_same_subjects(world, tmp_path):
    """Three tenths of the labels are as many, whatever the number of members."""
    folds = world.folds[world.folds["fold"] == 0]
    tables = folds, world.manifest.recordings[["recording", "case"]]
    subject_of = world.manifest.cases.set_index("case")["subject"]
    used = []
    for index in (0, 1, 7):
        cases, _ = _with_share_of_labels(world.job(tmp_path, index=index, labels=0.3), world.manifest, tables)
        used.append(set(subject_of[cases.loc[cases["role"] == "train", "case"]]))
    assert used[0] == used[1] == used[2] and len(used[0]) < 0.4 * subject_of.nunique()


def test_a_head_without_a_label_to_learn_stops_the_training(world, tmp_path):
    """Otherwise random weights would be saved as if they were trained."""
    job = world.job(tmp_path / "model")
    rows = world.folds[(world.folds["fold"] == 0) & (world.folds["role"] == "train")]
    blank = world.manifest.cases.copy()
    blank.loc[blank["case"].isin(rows["case"]), "murmur"] = ""
    with pytest.raises(FoldError, match="no training recording has a label of the head 'present'"):
        world.train(job, manifest=replace(world.manifest, cases=blank))
    assert not (tmp_path / "model" / "weights.safetensors").exists()
