"""Aggregation: pools of each head, ensembles, the published cascade, and cases without recordings."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auscult.config.systems import Head, Pool
from auscult.heads.outputs import class_probabilities
from auscult.heads.pooling import pool_heads
from auscult.heads.uncertainty import entropy
from auscult.inference.aggregate import Scorer, _weights, each_alone, read_latents
from tests.parts import aggregate

# recordings of the made outputs: case, site, probabilities of its segments in two passes
MADE = {
    "r1": ("a", "AV", [[0.2, 0.4], [0.6, 0.8]]),
    "r2": ("a", "MV", [[0.1, 0.1]]),
    "r3": ("b", "AV", [[0.9, 0.7], [0.5, 0.5], [0.1, 0.3]]),
}
MEMBERS = pd.DataFrame({"case": ["b", "silent", "a", "other"], "role": ["test", "test", "test", "val"]})
PRIORS = {"present": [0.25], "unknown": [0.1]}
SHIFTS = {"present": 0.0, "unknown": 0.05}


def write(folder, task: str, made=MADE, shift: float = 0.0, role: str = "test"):
    """A model folder with outputs as in the design: what `aggregate` reads of it."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"priors": PRIORS[task]}))
    owner = [number for number, (_, _, segments) in enumerate(made.values()) for _ in segments]
    with h5py.File(folder / "outputs.h5", "w") as file:
        group = file.create_group(role)
        if made:
            segments = np.array([s for *_, part in made.values() for s in part], np.float32)
            group["segments/passes"] = segments[:, :, None] + np.float32(shift)
            group["segments/recording"] = owner
            group["recordings/recording"] = list(made)
            group["recordings/case"] = [case for case, *_ in made.values()]
            group["recordings/site"] = [site for _, site, _ in made.values()]
    return folder


@pytest.fixture
def folders(tmp_path):
    return {task: [write(tmp_path / task, task, shift=shift)] for task, shift in SHIFTS.items()}


def run(study, folders, members=MEMBERS, weighed=False, **pool):
    system = study.systems["small"]
    if pool:
        rules = system.inference.model_copy(update={"pool": {"present": Pool(**pool)}})
        system = system.model_copy(update={"inference": rules})
    cases, recordings = aggregate(study, system, each_alone(folders, ["test"]), members, weighed)
    return cases.set_index("case"), recordings.set_index("recording")


def test_the_cascade_worked_by_hand(murmur_study):
    """Walker's P and U are of *not* Present and *not* Unknown: [1-P, P (1-U), P U]."""
    study = murmur_study()
    target, heads = study.targets["murmur"], study.heads_of(study.systems["small"])
    not_present, not_unknown = np.array([0.3, 0.9, 1.0]), np.array([0.6, 0.5, 0.2])
    found = class_probabilities(target, heads, np.stack([1 - not_present, 1 - not_unknown], axis=1))
    expected = [1 - not_present, not_present * (1 - not_unknown), not_present * not_unknown]
    np.testing.assert_allclose(found, np.stack(expected, axis=1))
    assert found[0] == pytest.approx([0.7, 0.12, 0.18])


def test_the_cascade_asks_heads_by_name_not_by_column(murmur_study):
    study = murmur_study()
    target = study.targets["murmur"]
    heads = dict(reversed(study.heads_of(study.systems["small"]).items()))  # columns: unknown, present
    assert class_probabilities(target, heads, np.array([[0.4, 0.7]]))[0] == pytest.approx([0.7, 0.12, 0.18])


def test_a_multilabel_head_gives_its_own(rhythm_study):
    heads = rhythm_study.heads_of(rhythm_study.systems["small"])
    p = np.array([[0.9, 0.8, 0.1]])
    assert (class_probabilities(rhythm_study.targets["rhythm"], heads, p) == p).all()


def test_means_by_default(murmur_study, folders):
    cases, recordings = run(murmur_study(), folders)
    assert cases.index.tolist() == ["a", "b", "silent"] and set(cases["role"]) == {"test"}
    assert recordings["p_present"].tolist() == pytest.approx([0.5, 0.1, 0.5])
    assert recordings[["case", "site"]].to_numpy().tolist() == [["a", "AV"], ["a", "MV"], ["b", "AV"]]
    # recordings count the same whatever their length
    assert cases["p_present"].tolist() == pytest.approx([0.3, 0.5, 0.25])
    assert cases["p_unknown"].tolist() == pytest.approx([0.35, 0.55, 0.1])
    # passes of the case a: (0.4 + 0.1) / 2 and (0.6 + 0.1) / 2
    assert cases.at["a", "variance_present"] == pytest.approx(0.05**2, rel=1e-4)
    assert cases.at["a", "entropy_present"] == pytest.approx(float(entropy(np.array([0.3]), "binary")), rel=1e-5)
    passes = [entropy(np.array([p]), "binary") for p in (0.25, 0.35)]
    information = cases.at["a", "entropy_present"] - np.mean(passes)
    assert cases.at["a", "information_present"] == pytest.approx(information, abs=1e-6)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"recordings": "max"}, {"a": [0.4, 0.6], "b": [0.5, 0.5]}),
        ({"recordings": "min"}, {"a": [0.1, 0.1], "b": [0.5, 0.5]}),
        ({"segments": "max"}, {"a": [0.35, 0.45], "b": [0.9, 0.7]}),
        ({"segments": "max", "recordings": "max"}, {"a": [0.6, 0.8], "b": [0.9, 0.7]}),
        ({"segments": "top_k", "k": 2}, {"a": [0.25, 0.35], "b": [0.7, 0.6]}),
        ({"recordings": "noisy_or"}, {"a": [1 - 0.6 * 0.9, 1 - 0.4 * 0.9], "b": [0.5, 0.5]}),
    ],
    ids=str,
)
def test_pools_act_on_every_pass(murmur_study, folders, rule, expected):
    cases, _ = run(murmur_study(), folders, **rule)
    for case, passes in expected.items():
        assert cases.at[case, "p_present"] == pytest.approx(np.mean(passes), rel=1e-5)
        assert cases.at[case, "variance_present"] == pytest.approx(np.var(passes), abs=1e-6)
    assert cases["p_unknown"].tolist() == pytest.approx([0.35, 0.55, 0.1])  # a head without a rule takes means


def test_pool_heads_keeps_a_multiclass_head_a_distribution():
    heads = {"grade": Head(label="grade", kind="multiclass", classes=["I", "II"])}
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    found = pool_heads(p, np.array([0, 0, 1]), 3, heads, {"grade": Pool(recordings="max")}, "recordings")
    np.testing.assert_allclose(found[:2], [[0.9 / 1.7, 0.8 / 1.7], [0.5, 0.5]])
    assert np.isnan(found[2]).all()
    certain = pool_heads(np.eye(2), np.array([0, 0]), 1, heads, {"grade": Pool(recordings="min")}, "recordings")
    np.testing.assert_allclose(certain, [[0.5, 0.5]])


def test_targets_follow_the_heads(murmur_study, folders):
    cases, recordings = run(murmur_study(), folders)
    classes = ["murmur:Present", "murmur:Unknown", "murmur:Absent"]
    for table in (cases, recordings):
        p, u = table["p_present"], table["p_unknown"]
        np.testing.assert_allclose(table[classes], np.stack([p, (1 - p) * u, (1 - p) * (1 - u)], axis=1))


def test_ensembles_stack_their_passes(murmur_study, tmp_path, folders):
    single, _ = run(murmur_study(), folders)
    folders["present"].append(write(tmp_path / "second", "present", shift=-0.1))
    folders["unknown"].append(write(tmp_path / "third", "unknown", shift=0.05))
    cases, recordings = run(murmur_study(), folders)
    assert recordings["p_present"].tolist() == pytest.approx([0.45, 0.05, 0.45])
    assert cases.at["a", "p_present"] == pytest.approx(0.25)
    assert cases.at["a", "variance_present"] == pytest.approx(np.var([0.25, 0.35, 0.15, 0.25]), rel=1e-4)
    np.testing.assert_allclose(cases["p_unknown"], single["p_unknown"])


def test_networks_may_count_by_the_softmax_of_their_validation_scores(murmur_study, tmp_path, folders):
    folders["present"].append(write(tmp_path / "second", "present", shift=-0.1))
    folders["unknown"].append(write(tmp_path / "third", "unknown", shift=0.05))
    for task, scores in {"present": [0.7, 0.2], "unknown": [0.3, 0.3]}.items():
        for folder, score in zip(folders[task], scores, strict=True):
            made = json.loads((folder / "manifest.json").read_text())
            (folder / "manifest.json").write_text(json.dumps({**made, "val_score": score}))
    plain, _ = run(murmur_study(), folders)
    cases, recordings = run(murmur_study(), folders, weighed=True)
    first = np.exp(0.7) / (np.exp(0.7) + np.exp(0.2))
    # the passes of the case a: 0.25 and 0.35 of the first network, 0.15 and 0.25 of the second
    p, weights = np.array([0.25, 0.35, 0.15, 0.25]), np.array([first, first, 1 - first, 1 - first]) / 2
    mean = (weights * p).sum()
    assert cases.at["a", "p_present"] == pytest.approx(mean, rel=1e-5)
    assert cases.at["a", "variance_present"] == pytest.approx((weights * (p - mean) ** 2).sum(), rel=1e-4)
    assert recordings["p_present"].tolist()[0] == pytest.approx(0.5 * first + 0.4 * (1 - first), rel=1e-5)
    assert plain.at["a", "p_present"] == pytest.approx(0.25)
    np.testing.assert_allclose(cases["p_unknown"], plain["p_unknown"])
    assert cases.at["a", "max|present"] == pytest.approx(0.5 * first + 0.4 * (1 - first), rel=1e-5)
    assert cases["p_present"].iloc[2] == 0.25  # the priors of a silent case


@given(seed=st.integers(0, 10_000), networks=st.integers(1, 4))
def test_the_largest_of_each_network_then_their_mean(murmur_study, tmp_path_factory, seed, networks):
    """A mean of many networks has a smaller largest value; that of one network does not change by adding more."""
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("networks")
    made = [
        {
            task: {name: (*place, rng.random((len(segments), 2)).tolist()) for name, (*place, segments) in MADE.items()}
            for task in SHIFTS
        }
        for _ in range(networks)
    ]
    folders = {
        task: [write(folder / f"{task}{k}", task, made=of_network[task]) for k, of_network in enumerate(made)]
        for task in SHIFTS
    }
    cases, recordings = run(murmur_study(), folders)
    of_recordings = [
        {name: np.mean(segments) for name, (_, _, segments) in of_network["present"].items()} for of_network in made
    ]
    expected = np.mean([max(means["r1"], means["r2"]) for means in of_recordings])
    assert cases.at["a", "max|present"] == pytest.approx(expected, rel=1e-5) and np.isnan(
        cases.at["silent", "max|present"]
    )
    columns = [column for column in recordings if column.endswith("|murmur:Present")]
    assert columns == ([f"{k}|murmur:Present" for k in range(networks)] if networks > 1 else [])
    for column, means in zip(columns, of_recordings, strict=networks > 1):
        assert recordings[column].tolist() == pytest.approx(list(means.values()), rel=1e-5)


def test_members_of_other_recordings_are_refused(murmur_study, tmp_path, folders):
    other = {name: made for name, made in MADE.items() if name != "r3"}
    folders["present"].append(write(tmp_path / "second", "present", made=other))
    with pytest.raises(ValueError, match="second: its test recordings are not those of"):
        run(murmur_study(), folders)


def test_members_meet_by_the_name_of_the_recording(murmur_study, tmp_path, folders):
    cases, recordings = run(murmur_study(), folders)
    turned = dict(reversed(MADE.items()))
    twins = {task: write(tmp_path / f"second {task}", task, made=turned, shift=s) for task, s in SHIFTS.items()}
    both = run(murmur_study(), {task: [*folders[task], twin] for task, twin in twins.items()})
    for one, again in zip((cases, recordings), both, strict=True):
        np.testing.assert_allclose(one["p_present"], again["p_present"], rtol=1e-6)


def test_divisions_worked_by_hand(murmur_study, tmp_path):
    """Two divisions of the cases a and b, each a network per case; the second's say .1 and .2 more."""
    half = {case: {name: made for name, made in MADE.items() if made[0] == case} for case in "ab"}
    own = {"a": ["a"], "b": ["b", "silent"]}
    shifts = {("first", "a"): 0.0, ("first", "b"): 0.0, ("second", "a"): 0.1, ("second", "b"): 0.2}
    scorers = {
        task: [
            Scorer(
                "test",
                [write(tmp_path / f"{task}-{name}-{case}", task, half[case], shifts[name, case]) for case in order],
                [own[case] for case in order],
            )
            for name, order in (("first", "ab"), ("second", "ba"))
        ]
        for task in PRIORS
    }
    for name, prior in (("first", 0.1), ("second", 0.3)):  # of the networks that hold the silent case
        (tmp_path / f"present-{name}-b" / "manifest.json").write_text(json.dumps({"priors": [prior]}))
    members = MEMBERS.assign(role="inner")
    study = murmur_study()
    cases, recordings = aggregate(
        study, study.systems["small"], {"inner": scorers}, members[members["case"] != "other"]
    )
    assert set(cases["role"]) == set(recordings["role"]) == {"inner"}
    p = cases.set_index("case")["p_present"]
    assert p["a"] == pytest.approx((0.3 + 0.4) / 2, rel=1e-5)  # recordings 0.5 and 0.1
    assert p["b"] == pytest.approx((0.5 + 0.7) / 2, rel=1e-5)
    assert p["silent"] == pytest.approx((0.1 + 0.3) / 2)
    first, second = np.array([0.25, 0.35]), np.array([0.35, 0.45])  # passes of the case a
    spread = np.concatenate([first, second]).var()
    assert cases.set_index("case").at["a", "variance_present"] == pytest.approx(spread, rel=1e-4)


def test_a_voice_counts_by_the_score_of_the_network_that_held_the_case(murmur_study, tmp_path):
    """Of two systems the first scored better in the fold that contains a, the second in the fold that contains b."""
    half = {case: {name: made for name, made in MADE.items() if made[0] == case} for case in "ab"}
    scores = {("first", "a"): 0.9, ("first", "b"): 0.5, ("second", "a"): 0.5, ("second", "b"): 0.9}
    found = {}
    for task in PRIORS:
        found[task] = []
        for name, shift in (("first", 0.0), ("second", 0.1)):
            folders = [write(tmp_path / f"{task}-{name}-{case}", task, half[case], shift) for case in "ab"]
            for folder, case in zip(folders, "ab", strict=True):
                said = {"priors": PRIORS[task], "val_score": scores[name, case]}
                (folder / "manifest.json").write_text(json.dumps(said))
            found[task].append(Scorer("test", folders, [["a"], ["b", "silent"]]))
    study, members = murmur_study(), MEMBERS.assign(role="inner").query("case != 'other'")
    cases, recordings = aggregate(study, study.systems["small"], {"inner": found}, members, weigh=True)
    p, better = cases.set_index("case")["p_present"], np.exp(0.9) / (np.exp(0.9) + np.exp(0.5))
    assert p["a"] == pytest.approx(0.3 + 0.1 * (1 - better), rel=1e-5)
    assert p["b"] == pytest.approx(0.5 + 0.1 * better, rel=1e-5)
    assert recordings.set_index("recording").at["r2", "p_present"] == pytest.approx(0.1 + 0.1 * (1 - better), rel=1e-5)


def test_a_division_may_hold_a_fold_of_silent_cases(murmur_study, tmp_path):
    """pandas gives an empty column of names another type than a full one."""
    names = {"present": [], "unknown": []}
    for task, scorers in names.items():
        whole, nothing = write(tmp_path / f"{task}-1", task), write(tmp_path / f"{task}-2", task, made={})
        scorers.append(Scorer("test", [whole, nothing], [["a", "b"], ["silent"]]))
        scorers.append(Scorer("test", [write(tmp_path / f"{task}-3", task)], [["a", "b", "silent"]]))
    study, members = murmur_study(), MEMBERS.assign(role="inner").query("case != 'other'")
    cases, _ = aggregate(study, study.systems["small"], {"inner": names}, members)
    assert cases.set_index("case").at["a", "p_present"] == pytest.approx(0.3, rel=1e-5)


def test_a_case_without_recordings_has_the_training_priors(murmur_study, folders, tmp_path):
    cases, recordings = run(murmur_study(), folders)
    assert "silent" not in set(recordings["case"])
    row = cases.loc["silent"]
    assert row[["p_present", "p_unknown"]].tolist() == [0.25, 0.1]
    assert row["murmur:Present"] == 0.25 and row["murmur:Absent"] == pytest.approx(0.75 * 0.9)
    assert np.isnan(row["variance_present"]) and np.isnan(row["entropy_present"])


def test_a_fold_whose_cases_are_all_silent(murmur_study, tmp_path):
    folders = {task: [write(tmp_path / task, task, made={})] for task in PRIORS}
    cases, recordings = run(murmur_study(), folders)
    assert cases["p_present"].tolist() == [0.25] * 3 and recordings.empty


def test_the_order_of_members_is_irrelevant(murmur_study, folders):
    cases, _ = run(murmur_study(), folders)
    again, _ = run(murmur_study(), folders, MEMBERS.iloc[::-1])
    pd.testing.assert_frame_equal(cases, again)


def test_what_a_scoring_job_writes_is_read(world, scored):
    members = world.folds.query("fold == 0")
    system = world.study.systems["small"]
    cases, recordings = aggregate(world.study, system, each_alone(scored, ["val", "test"]), members)
    assert sorted(cases["case"]) == sorted(members.query("role in ['val', 'test']")["case"])
    assert cases.set_index("case")[["p_present"]].notna().all().item()
    for role in ("val", "test"):
        with h5py.File(scored["present"][0] / "outputs.h5", "r") as file:
            names, mean = file[f"{role}/cases/case"].asstr()[:], file[f"{role}/cases/mean"][:, 0]
        np.testing.assert_allclose(cases.set_index("case").loc[names, "p_present"], mean, rtol=1e-5)
    assert len(recordings) == world.manifest.recordings["case"].isin(cases["case"]).sum()


def test_latents(world, scored):
    table = read_latents(scored["present"], "test")
    assert table.shape == (11, 6) and "c47" not in table.index  # 12 test cases, one of them silent
    assert np.isfinite(table.to_numpy()).all()


def test_latents_of_silent_cases(tmp_path):
    assert read_latents([write(tmp_path / "present", "present", made={})], "test").empty


@pytest.mark.parametrize("scores", [[-np.inf, -np.inf], [0.5, -np.inf], [0.5, 0.9]])
def test_weights_by_validation_scores_are_numbers(scores):
    weights = _weights(np.array(scores)[:, None])
    assert weights.sum() == pytest.approx(1)
    ratio = 1.0 if scores[0] == -np.inf else np.exp(scores[1] - scores[0])
    assert weights[1, 0] == pytest.approx(ratio / (1 + ratio))
