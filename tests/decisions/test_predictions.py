"""predictions.csv: every variant's decision on every test case, and the rows `chosen`."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auscult.config.fusion import Tuning
from auscult.config.targets import Target
from auscult.datasets.base import Columns, Manifest
from auscult.decisions.predictions import FoldOutputs, predict
from auscult.decisions.winner import KEYS, VARIANT, choose, chosen_rows, only_best
from auscult.heads.uncertainty import entropy

CLASSES = ["Present", "Unknown", "Absent"]
P = [f"p_{c}" for c in CLASSES]
PASSES = ["information", "variance"]
COLUMNS = [*KEYS, "case", "subject", "label", "prediction", *P, "uncertainty", "chosen_on", "should_refer", *PASSES]


def manifest(size: int = 24) -> Manifest:
    rng = np.random.default_rng(0)
    cases = pd.DataFrame({"case": [f"c{k:02d}" for k in range(size)], "subject": [f"s{k // 2}" for k in range(size)]})
    cases["murmur"] = rng.choice(CLASSES, size)
    cases["outcome"] = rng.choice(["Abnormal", "Normal"], size)
    cases.loc[[0, 12], "murmur"] = ""
    cases.loc[1, "outcome"] = ""
    return Manifest(cases, pd.DataFrame(), pd.DataFrame(), Columns(labels=["murmur", "outcome"]))


SPREAD = [0.1, 0.2, 0.03, 0.04]


def folds(size: int = 24) -> pd.DataFrame:
    """Two folds: half test, of the rest half val."""
    rows = []
    for fold in range(2):
        for k in range(size):
            tested = (k < size // 2) == (fold == 0)
            rows.append((0, fold, f"c{k:02d}", "test" if tested else "val" if k % 2 else "train"))
    return pd.DataFrame(rows, columns=["repeat", "fold", "case", "role"])


def fold_outputs(fold: int, seed: int = 0, system: str = "small") -> FoldOutputs:
    rng = np.random.default_rng([seed, fold])
    part = folds().query("fold == @fold and role != 'train'")[["role", "case"]].reset_index(drop=True)
    p = rng.dirichlet([1, 1, 1], (2, len(part)))
    names = [f"murmur:{c}" for c in CLASSES]
    spread = dict(zip([f"{kind}_{head}" for kind in PASSES for head in ("present", "unknown")], SPREAD, strict=True))
    cases = part.assign(**dict(zip(names, p[0].T, strict=True)), **spread)
    recordings = part.assign(recording=part["case"], **dict(zip(names, p[0].T, strict=True)))
    fused = pd.concat(
        part.assign(
            target="murmur", stage="xgboost", fit_on=fit_on, uncertainty=0.5, **dict(zip(P, p[1].T, strict=True))
        )
        for fit_on in ("validation", "train")
    )
    return FoldOutputs(system, 0, fold, cases, recordings, fused)


def run(study, data=None, outputs=None):
    outputs = [fold_outputs(0), fold_outputs(1)] if outputs is None else outputs
    return predict(study, data or manifest(), outputs)


def test_rows_of_all_variants(murmur_study):
    predictions, scores = run(murmur_study())
    assert list(predictions) == COLUMNS
    variants = predictions.groupby(VARIANT, sort=False).size()
    assert variants.to_dict() == {
        ("small", "network", "none", "reference"): 24,
        ("small", "network", "none", "any_recording"): 24,
        ("small", "network", "none", "cost"): 24,
        ("small", "xgboost", "validation", "reference"): 24,
        ("small", "xgboost", "validation", "cost"): 24,
        ("small", "xgboost", "train", "reference"): 24,
        ("small", "xgboost", "train", "cost"): 24,
        ("chosen", "chosen", "none", "chosen"): 24,
    }
    assert not predictions.duplicated([*KEYS, "case"]).any()
    assert list(scores) == [*KEYS, "scored_on", "score", "standard_error", "chosen"] and len(scores) == 14
    test_cases = folds().query("role == 'test'")[["fold", "case"]]
    for _, part in predictions.groupby(VARIANT):
        assert sorted(part[["fold", "case"]].itertuples(index=False, name=None)) == sorted(
            test_cases.itertuples(index=False, name=None)
        )


def test_a_second_stage_of_a_target_that_no_network_of_its_system_serves(murmur_study):
    """The outcome has rows of the second stage alone, and a row chosen from them."""
    study = murmur_study()
    outcome = Target(label="outcome", classes=["Abnormal", "Normal"], heads=["abnormal"])
    study = study.model_copy(update={"targets": {**study.targets, "outcome": outcome}})
    outputs = []
    for fold in range(2):
        of_fold, rng = fold_outputs(fold), np.random.default_rng(fold)
        p = rng.dirichlet([1, 1], len(of_fold.cases))
        fused = of_fold.cases[["role", "case"]].assign(
            target="outcome", stage="logits", fit_on="validation", uncertainty=0.5, p_Abnormal=p[:, 0], p_Normal=p[:, 1]
        )
        outputs.append(replace(of_fold, fused=pd.concat([of_fold.fused, fused])))
    predictions, scores = run(study, outputs=outputs)
    rows = predictions[predictions["target"] == "outcome"]
    assert set(rows["stage"]) == {"logits", "chosen"} and rows[PASSES].isna().all(axis=None)
    assert rows.groupby(VARIANT).size().eq(24).all()
    assert set(predictions.loc[predictions["target"] == "murmur", "stage"]) == {"network", "xgboost", "chosen"}
    assert set(scores.loc[scores["target"] == "outcome", "stage"]) == {"logits"}


def test_cells_of_a_row(murmur_study):
    data = manifest()
    predictions, _ = run(murmur_study(), data)
    cases = data.cases.set_index("case")
    part = predictions.query("stage == 'network' and decision == 'reference'").set_index("case")
    own = pd.concat([fold_outputs(0).cases, fold_outputs(1).cases]).query("role == 'test'").set_index("case")
    for column, name in zip(P, CLASSES, strict=True):
        assert part[column].equals(own.loc[part.index, f"murmur:{name}"].rename(column))
    assert part["subject"].equals(cases.loc[part.index, "subject"])
    assert part["information"].to_numpy() == pytest.approx(0.3) and part["variance"].to_numpy() == pytest.approx(0.07)
    assert predictions.query("stage == 'xgboost'")[PASSES].isna().all(axis=None)
    assert part["label"].tolist() == cases.loc[part.index, "murmur"].tolist()
    assert part["uncertainty"].to_numpy() == pytest.approx(entropy(part[P].to_numpy(), "multiclass"))
    truth = cases.loc[part.index, "outcome"].map({"Abnormal": "1", "Normal": "0", "": ""})
    assert part["should_refer"].tolist() == truth.tolist()
    present = part["p_Present"] >= 0.5
    assert (part.loc[present, "prediction"] == "Present").all() and not (
        part.loc[~present, "prediction"] == "Present"
    ).any()


def test_a_case_without_passes_has_no_spread(murmur_study):
    silent = fold_outputs(0)
    name = silent.cases.query("role == 'test'")["case"].iloc[0]
    spread = [column for column in silent.cases if column.startswith(tuple(PASSES))]
    silent.cases.loc[silent.cases["case"] == name, spread] = np.nan
    predictions, _ = run(murmur_study(), outputs=[silent, fold_outputs(1)])
    part = predictions.query("stage == 'network' and decision == 'reference'").set_index("case")
    assert part.loc[name, PASSES].isna().all() and part.drop(name)[PASSES].notna().all(axis=None)


def test_what_chose_a_rule_is_marked(murmur_study):
    predictions, _ = run(murmur_study())
    marks = predictions.groupby(VARIANT)["chosen_on"].unique().map(list)
    for variant, mark in marks.items():
        system, _, fit_on, decision = variant
        chosen = system == "chosen" or decision == "cost" or fit_on == "validation"
        assert mark == (["stopping"] if chosen else ["none"])


@pytest.mark.parametrize("change", ["flipped", "deleted"])
def test_test_labels_change_no_decision(murmur_study, change):
    """The test cases of each fold choose in the other one, so each fold is checked by itself."""
    data = manifest()
    for fold in (0, 1):
        ids = folds().query("fold == @fold and role == 'test'")["case"]
        cases = data.cases.copy()
        cases.loc[cases["case"].isin(ids), ["murmur", "outcome"]] = "Present" if change == "flipped" else ""
        first, scores = run(murmur_study(), data, [fold_outputs(fold)])
        again, others = run(murmur_study(), replace(data, cases=cases), [fold_outputs(fold)])
        blind = [c for c in COLUMNS if c not in ("label", "should_refer")]
        pd.testing.assert_frame_equal(first[blind], again[blind])
        pd.testing.assert_frame_equal(scores, others)
        assert not first["label"].equals(again["label"])


def test_the_order_of_rows_is_irrelevant(murmur_study):
    data = manifest()
    first, scores = run(murmur_study(), data)
    turned = replace(data, cases=data.cases.sample(frac=1, random_state=0))
    again, others = predict(murmur_study(), turned, [fold_outputs(0), fold_outputs(1)])
    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(scores, others)


def test_chosen_is_the_vote_of_what_each_fold_takes(murmur_study):
    predictions, scores = run(murmur_study())
    chosen = predictions[predictions["system"] == "chosen"]
    for fold in (0, 1):
        part = chosen[chosen["fold"] == fold].set_index("case")
        picks = scores[scores["chosen"] & (scores["fold"] == fold)]
        assert len(picks) > 1  # scores of twelve cases are all near to each other
        picked = [predictions[(predictions[KEYS] == pick[KEYS]).all(axis=1)] for _, pick in picks.iterrows()]
        votes = pd.concat(picked).groupby("case")["prediction"].value_counts().unstack(fill_value=0)
        for case, row in votes.iterrows():
            assert row[part.loc[case, "prediction"]] == row.max()
        costs = predictions[(predictions["fold"] == fold) & (predictions["decision"] == "cost")]
        calibrated = costs.set_index(["stage", "fit_on", "case"])[P]
        keys = picks[["stage", "fit_on"]].itertuples(index=False, name=None)
        expected = sum(calibrated.loc[key] for key in keys) / len(picks)
        np.testing.assert_allclose(part[P], expected.loc[part.index], atol=1e-12)
        assert part["uncertainty"].to_numpy() == pytest.approx(entropy(part[P].to_numpy(), "multiclass"))
        is_network = (picks["stage"] == "network").all()
        assert part["information"].notna().all() == is_network


# The choice by itself, with planted scores


def planted(values: dict[tuple, float], error: float = 0.0, on: str | list[str] = "stopping") -> pd.DataFrame:
    """Scores by `(system, fit_on, fold)` or `(system, fit_on, fold, decision)`."""
    rows = [
        ("murmur", system, "s", fit_on, *(decision or ["reference"]), 0, fold)
        for system, fit_on, fold, *decision in values
    ]
    table = pd.DataFrame(rows, columns=KEYS)
    return table.assign(scored_on=on, score=list(values.values()), standard_error=error)


def picks(values: dict[tuple, float], error: float = 0.0, by: str = "w_acc", **options) -> list[str]:
    table = planted(values, error, **options)
    table = table[choose(table, by)]
    words = table["system"] + " " + table["fit_on"] + " " + table["fold"].astype(str)
    decisions = table["decision"].where(table["decision"] != "reference", "")
    return sorted((words + " " + decisions).str.strip())


@given(
    scores=st.dictionaries(
        st.tuples(st.sampled_from("abcdef"), st.just("none"), st.integers(0, 2)),
        st.integers(0, 40).map(lambda number: number / 40),
        min_size=1,
    ),
    error=st.sampled_from([0.0, 0.05, 0.2]),
    order=st.randoms(use_true_random=False),
)
def test_a_fold_takes_all_within_one_standard_error_of_its_best(scores, error, order):
    items = list(scores.items())
    order.shuffle(items)
    expected = []
    for (system, _, fold), score in items:
        best = max(value for (_, _, other), value in items if other == fold)
        if score >= best - error:
            expected.append(f"{system} none {fold}")
    assert picks(dict(items), error) == sorted(expected)


def test_variants_that_differ_in_their_calibration_count_once():
    values = {
        ("a", "none", 0, rule): score for rule, score in [("cost", 0.6), ("temperature", 0.61), ("reference", 0.6)]
    }
    assert picks(values, 0.1) == ["a none 0", "a none 0 temperature"]
    values = {("a", "none", 0, "temperature"): 0.6, ("b", "none", 0, "cost"): 0.6}
    assert picks(values, 0.1) == ["a none 0 temperature", "b none 0 cost"]


def test_rules_count_once_for_a_score_that_reads_no_decision():
    values = {("a", "none", 0, "cost"): 0.59, ("a", "none", 0): 0.6, ("a", "none", 0, "tuned_uar"): 0.6}
    assert picks({**values, ("b", "none", 0): 0.58}, 0.1, by="auroc") == ["a none 0", "b none 0"]


def test_only_best_takes_one_variant_in_all_folds():
    values = {("a", "none", 0): 0.6, ("a", "none", 1): 0.5, ("b", "none", 0): 0.5, ("b", "none", 1): 0.7}
    table = planted(values)
    assert table.loc[only_best(table), "system"].tolist() == ["b", "b"]


def test_every_fold_takes_its_own_best():
    scores = {("a", "none", 0): 0.6, ("a", "none", 1): 0.5, ("b", "none", 0): 0.5, ("b", "none", 1): 0.7}
    assert picks(scores) == ["a none 0", "b none 1"]


def test_scores_on_inner_folds_are_compared_with_each_other_alone():
    scores = {("a", "none", 0): 0.6, ("a", "validation", 0): 0.9, ("a", "inner_folds", 0): 0.7}
    assert picks(scores, on=["inner", "stopping", "inner"]) == ["a inner_folds 0"]


@pytest.mark.parametrize("place", range(3))
def test_chosen_is_marked_twice_if_a_pick_of_any_fold_is(murmur_study, place):
    scores = planted({("a", "none", fold): 0.6 for fold in range(3)}, on="inner").assign(chosen=True)
    predictions = scores[KEYS].assign(case="a", prediction="Absent", chosen_on="none", information=0.1, variance=0.1)
    calibrated = pd.DataFrame(np.full((3, 3), 1 / 3), columns=P)
    predictions.loc[place, "chosen_on"] = "inner twice"
    chosen = chosen_rows(murmur_study().targets, predictions, calibrated, scores)
    assert set(chosen["chosen_on"]) == {"inner twice"}
    chosen = chosen_rows(murmur_study().targets, predictions.assign(chosen_on="inner"), calibrated, scores)
    assert set(chosen["chosen_on"]) == {"inner"}


def test_outputs_of_inner_folds_choose_where_they_are(murmur_study):
    """Rules fitted on the role `inner` are marked so, and validation cases then choose nothing."""
    outputs = [fold_outputs(fold) for fold in range(2)]
    inner_outputs = []
    for part in outputs:
        inner = part.cases[part.cases["role"] == "val"].assign(role="inner")
        inner_rows = part.recordings[part.recordings["role"] == "val"].assign(role="inner")
        fused = part.fused[part.fused["fit_on"] == "validation"].assign(fit_on="inner_folds")
        fused = fused.assign(role=fused["role"].replace("val", "inner"))
        shuffled = part.cases.assign(**{"murmur:Present": 0.5})  # outputs for validation cases no longer matter
        cases = pd.concat([shuffled.where(shuffled["role"] == "val", part.cases), inner])
        inner_outputs.append(
            replace(part, cases=cases, recordings=pd.concat([part.recordings, inner_rows]), fused=fused)
        )
    study = murmur_study()
    on_val, _ = predict(study, manifest(), [replace(part, fused=None) for part in outputs])
    on_inner, scores = predict(study, manifest(), inner_outputs)
    marks = on_inner.groupby(["stage", "decision"])["chosen_on"].unique().map(list).to_dict()
    assert marks[("network", "reference")] == ["none"] and marks[("network", "cost")] == ["inner"]
    assert marks[("xgboost", "reference")] == marks[("xgboost", "cost")] == marks[("chosen", "chosen")] == ["inner"]
    assert set(scores["scored_on"]) == {"inner"}
    same = ["case", "decision", "prediction", *P]
    pd.testing.assert_frame_equal(
        on_val.query("stage == 'network'")[same].reset_index(drop=True),
        on_inner.query("stage == 'network'")[same].reset_index(drop=True),
    )


def test_cases_that_tuned_and_scored_are_marked_twice(murmur_study):
    study = murmur_study()
    tuned = study.model_copy(update={"fusion": study.fusion.model_copy(update={"tuning": Tuning()})})
    marks = run(tuned)[0].groupby(["stage", "fit_on", "decision"])["chosen_on"].unique().map(list).to_dict()
    assert (
        marks[("xgboost", "validation", "reference")] == marks[("xgboost", "validation", "cost")] == ["stopping twice"]
    )
    assert marks[("network", "none", "cost")] == marks[("xgboost", "train", "cost")] == ["stopping"]
    assert marks[("network", "none", "reference")] == ["none"]


def test_every_learner_is_a_stage(murmur_study):
    part = fold_outputs(0)
    both = pd.concat([part.fused, part.fused.assign(stage="logistic")])
    predictions, _ = run(murmur_study(), None, [replace(part, fused=both)])
    assert set(predictions["stage"]) == {"network", "xgboost", "logistic", "chosen"}


def test_a_booster_fitted_on_training_cases_is_never_chosen():
    scores = {("a", "none", 0): 0.6, ("a", "validation", 0): 0.7, ("a", "train", 0): 0.99}
    assert picks(scores) == ["a validation 0"]


def test_undefined_scores_lose_but_leave_no_fold_out():
    nan = float("nan")
    scores = {("a", "none", 0): nan, ("b", "none", 0): 0.1, ("a", "none", 1): nan, ("b", "none", 1): nan}
    for error in (0.1, nan):
        assert picks(scores, error) == ["a none 1", "b none 0"]


def test_labels_of_test_cases_do_not_choose(murmur_study):
    """A variant that is perfect on the test cases, and poor on validation cases, is not chosen."""
    data = manifest()
    part = fold_outputs(0)
    fused = part.fused.copy()
    truth = fused["case"].map(data.cases.set_index("case")["murmur"])
    wrong = truth.map({"Present": "Absent", "Unknown": "Present", "Absent": "Unknown", "": "Absent"})
    said = np.where(fused["role"] == "test", truth, wrong)
    fused[P] = np.stack([np.where(said == c, 0.9, 0.05) for c in CLASSES], axis=1)
    study = murmur_study()
    target = study.targets["murmur"].model_copy(update={"decisions": ["reference"]})
    study = study.model_copy(update={"targets": {"murmur": target}})
    predictions, scores = run(study, data, [replace(part, fused=fused)])
    right = predictions[predictions["label"] != ""].assign(right=lambda t: t["label"] == t["prediction"])
    assert right.groupby("stage")["right"].mean()["xgboost"] == 1
    assert scores[scores["chosen"]]["stage"].tolist() == ["network"]


def test_multilabel_predictions_are_joined(rhythm_study):
    classes = ["af", "lbbb", "pvc"]
    p = np.array([[0.9, 0.1, 0.7], [0.2, 0.3, 0.4], [0.5, 0.6, 0.1]])
    cases = pd.DataFrame({"role": ["test", "test", "val"], "case": ["a", "b", "c"], "information_rhythm": 0.1})
    cases[[f"variance_rhythm_{c}" for c in classes]] = 0.2
    cases[[f"rhythm:{c}" for c in classes]] = p
    table = pd.DataFrame({"case": ["a", "b", "c"], "subject": ["1", "2", "3"], "rhythm": ["pvc|af", "none", "lbbb"]})
    data = Manifest(table, pd.DataFrame(), pd.DataFrame(), Columns(labels=["rhythm"]))
    part = FoldOutputs("small", 0, 0, cases, cases.assign(recording=cases["case"]), None)
    predictions, _ = predict(rhythm_study, data, [part])
    rows = predictions.query("system == 'small'")
    assert rows["prediction"].tolist() == ["af|pvc", ""] and rows["label"].tolist() == ["pvc|af", "none"]
    assert rows["uncertainty"].to_numpy() == pytest.approx(entropy(p[:2], "multilabel"))
    assert rows["variance"].to_numpy() == pytest.approx(0.6)
    assert (rows["should_refer"] == "").all()


@pytest.mark.parametrize(
    ("cell", "mark"), [("Abnormal", "1"), ("Other|Abnormal", "1"), ("Other|Normal", "0"), ("", "")]
)
def test_a_case_with_several_labels_is_referred_for_any_of_them(murmur_study, cell, mark):
    data = manifest()
    data.cases["outcome"] = cell
    predictions, _ = run(murmur_study(), data)
    assert set(predictions.loc[predictions["target"] == "murmur", "should_refer"]) == {mark}
