"""Stacking and its job: learns what is there, nothing from noise, and no row from its own subject."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gmean

from auscult.config.fusion import Booster, Tuning
from auscult.fusion import stacking
from auscult.fusion.features import Inputs
from auscult.fusion.stacking import Stacked, blend, stack
from auscult.inference.aggregate import each_alone
from auscult.metrics import formulas
from tests.parts import aggregate, fuse

CLASSES = ["Present", "Unknown", "Absent"]
SMALL = Booster(rounds=15, learning_rate=0.3, min_child_weight=1e-6)


@pytest.fixture
def target(murmur_study):
    return murmur_study().targets["murmur"]


def rows(size: int, seed: int = 0, signal: float = 1.0) -> tuple[pd.DataFrame, pd.Series]:
    """Features of which two say the class, and labels."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(size) % 3
    x = rng.standard_normal((size, 4))
    x[:, :2] += 3 * signal * np.eye(3)[numbers][:, :2]
    index = [f"c{k:03d}" for k in range(size)]
    x[rng.random(x.shape) < 0.1] = np.nan
    return pd.DataFrame(x, index, list("wxyz")), pd.Series(np.array(CLASSES)[numbers], index)


def own(labels: pd.Series) -> pd.Series:
    return pd.Series([f"s{k}" for k in range(len(labels))], labels.index)


def auroc(labels: pd.Series, p: np.ndarray) -> float:
    return formulas.macro_auroc(labels.map(CLASSES.index).to_numpy(), p)


def blocks(x: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {"first": x.iloc[:, :1], "others": x.iloc[:, 1:]}


def stacked(target, x, labels, other, subjects=None, cross_fitted=True, settings=SMALL, **more) -> Stacked:
    subjects = own(labels) if subjects is None else subjects
    return stack(target, blocks(x), labels, subjects, blocks(other), settings, 1, cross_fitted, **more)


def run(*given, **more) -> tuple[np.ndarray, np.ndarray]:
    found = stacked(*given, **more)
    return found.own, found.others


def test_signal_is_learnt(target):
    (x, labels), (other, truth) = rows(120), rows(60, 1)
    inside, outside = run(target, x, labels, other)
    assert auroc(labels, inside) > 0.9 and auroc(truth, outside) > 0.9
    for p in (inside, outside):
        assert p.sum(axis=1) == pytest.approx(np.ones(len(p)), abs=1e-5)


def test_permuted_labels_give_chance(target):
    inside, outside = [], []
    other, truth = rows(90, 99)
    for seed in range(6):
        x, labels = rows(90, seed)
        permuted = pd.Series(np.random.default_rng(seed).permutation(labels), labels.index)
        p, q = run(target, x, permuted, other)
        inside.append(auroc(permuted, p))
        outside.append(auroc(truth, q))
    assert np.mean(inside) == pytest.approx(0.5, abs=0.06)
    assert np.mean(outside) == pytest.approx(0.5, abs=0.12)


def test_a_twin_is_never_in_both_sides(target):
    """Each subject has two cases with the same random features and label: only a leak can predict their class."""
    rng = np.random.default_rng(0)
    x = pd.DataFrame(np.repeat(rng.standard_normal((60, 3)), 2, axis=0), columns=list("xyz"))
    labels = pd.Series(np.repeat(np.array(CLASSES)[np.arange(60) % 3], 2))
    twins = pd.Series(np.repeat([f"s{k}" for k in range(60)], 2))
    assert auroc(labels, run(target, x, labels, x, twins)[0]) < 0.62
    assert auroc(labels, run(target, x, labels, x, own(labels))[0]) > 0.8  # the plant would show


def test_subjects_of_the_parts(target, monkeypatch):
    x, labels = rows(60)
    subjects = pd.Series([f"s{k // 3}" for k in range(60)], x.index)
    fits, seen = [], []
    original = (stacking.fit, stacking.predict)
    monkeypatch.setattr(stacking, "fit", lambda x, *rest: fits.append(set(x.index)) or original[0](x, *rest))
    monkeypatch.setattr(
        stacking, "predict", lambda f, x, t: seen.append((len(fits) - 1, set(x.index))) or original[1](f, x, t)
    )
    other = x.set_axis([f"o{k}" for k in range(60)])
    run(target, x, labels, other, subjects)
    parts = [(fits[number], out_ids) for number, out_ids in seen if number > 0 and not out_ids & set(other.index)]
    assert len(parts) == 5 and set().union(*(out_ids for _, out_ids in parts)) == set(x.index)
    for fit_ids, out_ids in parts:
        assert not set(subjects[list(fit_ids)]) & set(subjects[list(out_ids)])


def test_unlabelled_cases_are_scored_not_fitted_on(target):
    x, labels = rows(60)
    some = labels.copy()
    some.iloc[::4] = ""
    known = some != ""
    inside, outside = run(target, x, some, x, own(labels))
    assert np.isfinite(inside).all()
    alone, others = run(target, x[known], labels[known], x, own(labels)[known])
    assert (inside[known] == alone).all() and (outside == others).all()


@pytest.mark.parametrize("absent", CLASSES)
def test_an_absent_class_gets_probability_0(target, absent):
    x, labels = rows(60)
    known = (labels != absent).to_numpy()
    found = stacked(target, x[known], labels[known], x)
    inside, outside, fitted = found.own, found.others, found.learner
    number = CLASSES.index(absent)
    for p in (inside, outside):
        assert (p[:, number] == 0).all() and p.sum(axis=1) == pytest.approx(np.ones(len(p)), abs=1e-5)
    assert fitted.classes.tolist() == [k for k in range(3) if k != number]
    assert auroc(labels[known], inside) > 0.8


def test_a_single_class(target):
    x, labels = rows(12)
    inside, outside = run(target, x, labels.map(lambda _: "Unknown"), x)
    assert inside.tolist() == outside.tolist() == [[0, 1, 0]] * 12


@pytest.mark.parametrize("size", [3, 4, 5, 7])
def test_few_cases(target, size):
    x, labels = rows(size)
    inside, outside = run(target, x, labels, x)
    assert np.isfinite(inside).all() and np.isfinite(outside).all()


def test_no_other_rows_and_no_cross_fitting(target):
    x, labels = rows(30)
    inside, outside = run(target, x, labels, x.iloc[:0], cross_fitted=False)
    assert np.isnan(inside).all() and outside.shape == (0, 3)


def test_threads_and_repetition_change_nothing(target):
    x, labels = rows(60)
    first, again = (stack(target, blocks(x), labels, own(labels), blocks(x), SMALL, n, True) for n in (1, 2))
    assert (first.own == again.own).all() and (first.others == again.others).all()


# The job


def fused(world, scored, folder, manifest=None, fit_on=("validation", "train"), **more):
    settings = world.study.fusion.model_copy(update={"fit_on": list(fit_on), "latents": 2, **more})
    study = world.study.model_copy(update={"fusion": settings})
    scorers = each_alone(scored, ["train", "val", "test"])
    cases, recordings = aggregate(study, study.systems["small"], scorers, world.folds.query("fold == 0"))
    rng = np.random.default_rng(0)
    names = world.manifest.recordings["recording"]
    tables = {
        "statistics": pd.DataFrame({"present": 1.0, "rms": rng.random(len(names))}, index=names),
        "descriptors": pd.DataFrame({"katz_fd": rng.random(len(names))}, index=names),
    }
    manifest = manifest or world.manifest
    return fuse(study, "small", Inputs(cases, recordings, manifest, tables, scored), folder, folder / "tuning.log")


def flipped(world, role: str, label: str = "Present"):
    ids = world.folds.query("fold == 0 and role == @role")["case"]
    cases = world.manifest.cases.copy()
    cases.loc[cases["case"].isin(ids), ["murmur", "outcome"]] = label
    return replace(world.manifest, cases=cases)


def part(table: pd.DataFrame, fit_on: str, role: str) -> pd.DataFrame:
    columns = [f"p_{c}" for c in CLASSES]
    return table[(table["fit_on"] == fit_on) & (table["role"] == role)].set_index("case")[columns]


def test_a_fusion_job(world, scored, tmp_path):
    table, gains, trials = fused(world, scored, tmp_path)
    assert list(table) == [
        "target",
        "stage",
        "fit_on",
        "role",
        "case",
        "p_Present",
        "p_Unknown",
        "p_Absent",
        "uncertainty",
    ]
    sizes = table.groupby(["fit_on", "role"]).size().to_dict()
    assert sizes == {(fit_on, role): 12 for fit_on in ("validation", "train") for role in ("val", "test")}
    assert table[["p_Present", "p_Unknown", "p_Absent"]].sum(axis=1).to_numpy() == pytest.approx(np.ones(48), abs=1e-5)
    kinds = ("murmur-xgboost", "components")
    written = {f"{kind}-{fit_on}.json" for kind in kinds for fit_on in ("validation", "train")}
    assert {path.name for path in tmp_path.iterdir()} == written
    names = set(gains["feature"])
    assert {"p_present", "p_unknown@AV", "variance_present", "latent_unknown_1", "age_months", "rms@MV"} <= names
    for share in ("gain", "shap"):
        assert gains.groupby("fit_on")[share].sum().tolist() == pytest.approx([1, 1])
    assert trials.empty
    val, test = (part(table, "train", role) for role in ("val", "test"))
    assert set(test.index) == set(world.folds.query("fold == 0 and role == 'test'")["case"])
    assert not np.array_equal(val, test)  # every role has its own rows of what one booster says


def test_test_labels_change_no_probability(world, scored, tmp_path):
    first, gains, _ = fused(world, scored, tmp_path)
    for label in ("Present", ""):
        again, others, _ = fused(world, scored, tmp_path, flipped(world, "test", label))
        pd.testing.assert_frame_equal(first, again)
        pd.testing.assert_frame_equal(gains, others)


@pytest.mark.parametrize(
    ("role", "changed", "kept"), [("val", "validation", "train"), ("train", "train", "validation")]
)
def test_only_labels_of_the_fit_role_are_read(world, scored, tmp_path, role, changed, kept):
    cases = world.manifest.cases
    turned = flipped(world, role)
    ids = world.folds.query("fold == 0 and role == @role")["case"]
    swap = {"Present": "Absent", "Absent": "Present"}
    turned = replace(
        turned,
        cases=cases.assign(murmur=cases["murmur"].where(~cases["case"].isin(ids), cases["murmur"].replace(swap))),
    )
    first, again = fused(world, scored, tmp_path)[0], fused(world, scored, tmp_path, turned)[0]
    assert part(first, kept, "test").equals(part(again, kept, "test"))
    assert not part(first, changed, "test").equals(part(again, changed, "test"))


def test_both_learners_tuned(world, scored, tmp_path):
    tuning = Tuning(trials=2, folds=2)
    table, gains, trials = fused(
        world,
        scored,
        tmp_path,
        learners=["xgboost", "logistic"],
        tuning=tuning,
        features=["probabilities", "covariates"],
    )
    sizes = table.groupby(["stage", "fit_on", "role"]).size()
    assert set(sizes) == {12} and len(sizes) == 8
    # a booster fitted on the network's own training cases is not tuned: nothing could say what is better
    assert trials.groupby(["stage", "fit_on"]).size().to_dict() == {
        ("xgboost", "validation"): 2,
        ("logistic", "validation"): 2,
    }
    assert (tmp_path / "murmur-logistic-validation.json").is_file()
    assert set(gains["stage"]) == {"xgboost", "logistic"}


def test_a_blend_lies_between_the_network_and_xgboost(world, scored, tmp_path):
    """The geometric mean, row by row and role by role; scipy's beside it."""
    table, gains, _ = fused(world, scored, tmp_path, blend=True)
    first_fold = world.folds.query("fold == 0")
    cases, _ = aggregate(world.study, world.study.systems["small"], each_alone(scored, ["val", "test"]), first_fold)
    network = cases.set_index(["role", "case"])[[f"murmur:{c}" for c in CLASSES]]
    for fit_on in ("validation", "train"):
        rows = table[table["fit_on"] == fit_on].set_index(["role", "case"])
        booster, found = (rows.query("stage == @stage")[[f"p_{c}" for c in CLASSES]] for stage in ("xgboost", "blend"))
        mean = gmean(np.stack([network.loc[found.index], booster.loc[found.index]]), axis=0)
        assert len(found) == 24
        assert found.to_numpy() == pytest.approx(mean / mean.sum(axis=1, keepdims=True), abs=1e-4)
    assert set(gains["stage"]) == {"xgboost"}
    same = [(tmp_path / f"murmur-{stage}-validation.json").read_bytes() for stage in ("xgboost", "blend")]
    assert same[0] == same[1]


def test_a_blend_of_certain_opposites_is_a_distribution():
    said = blend(np.array([[1.0, 0.0], [0.8, 0.2]]), np.array([[0.0, 1.0], [0.5, 0.5]]))
    assert said == pytest.approx(np.array([[0.5, 0.5], [2 / 3, 1 / 3]]))
