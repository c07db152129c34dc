"""A second stage that was saved gives new cases what the study's own job gave them."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from auscult.config.targets import TargetClasses
from auscult.fusion import fuse as fusion
from auscult.fusion.features import Inputs
from auscult.inference.aggregate import each_alone
from tests.parts import aggregate, apply_saved, fuse


@pytest.mark.parametrize(
    "features", [["probabilities"], ["latents"], ["embeddings"], ["probabilities", "latents", "embeddings"]], ids=str
)
@pytest.mark.parametrize("stage", ["xgboost", "logistic", "blend"])
def test_a_saved_stage_repeats_its_job(world, scored, tmp_path, stage, features):
    settings = world.study.fusion.model_copy(
        update={
            "fit_on": ["validation"],
            "features": features,
            "learners": ["xgboost", "logistic"],
            "blend": True,
        }
    )
    study = world.study.model_copy(update={"fusion": settings})
    system = study.systems["small"]
    cases, recordings = aggregate(study, system, each_alone(scored, ["val", "test"]), world.folds.query("fold == 0"))
    names = world.manifest.recordings["recording"]
    vectors = {"small": pd.DataFrame(np.random.default_rng(0).standard_normal((len(names), 20)), index=names)}
    inputs = Inputs(cases, recordings, world.manifest, {}, scored, vectors)
    table, *_ = fuse(study, "small", inputs, tmp_path, tmp_path / "log")
    classes = study.targets["murmur"].classes
    expected = table.query("stage == @stage and role == 'test'").set_index("case")[[f"p_{c}" for c in classes]]
    new = cases[cases["role"] == "test"].sample(frac=1, random_state=1)  # in an order of their own
    model = tmp_path / f"murmur-{stage}-validation.json"
    assert (tmp_path / "components-validation.json").is_file() == (features != ["probabilities"])
    if features != ["probabilities"]:
        (tmp_path / "components-validation.json").rename(model.with_name(f"{model.stem}-components.json"))
    p = apply_saved(study, "small", replace(inputs, cases=new), "murmur", stage, model)
    assert len(p) == 12
    np.testing.assert_allclose(p, expected.loc[new["case"]], atol=1e-6)


@pytest.mark.parametrize("features", list(permutations(["probabilities", "latents", "embeddings"])), ids=str)
def test_blocks_stand_in_the_order_of_the_settings(world, scored, tmp_path, features):
    """Tuning always uses the first."""
    settings = world.study.fusion.model_copy(update={"fit_on": ["validation"], "features": list(features)})
    system, folds = world.study.systems["small"], world.folds.query("fold == 0")
    cases, recordings = aggregate(world.study, system, each_alone(scored, ["val", "test"]), folds)
    names = world.manifest.recordings["recording"]
    vectors = {"small": pd.DataFrame(np.random.default_rng(0).standard_normal((len(names), 20)), index=names)}
    inputs = Inputs(cases, recordings, world.manifest, {}, scored, vectors)
    found = fusion._features(settings, world.study.heads_of(system), inputs, "validation", tmp_path)
    assert {tuple(blocks) for blocks in found.blocks.values()} == {features}


@pytest.mark.parametrize("stage", ["xgboost", "logits"])
def test_a_system_predicts_targets_that_it_does_not_train(world, scored, tmp_path, stage):
    """The outcome by the heads of the murmur; there is no blend with networks that do not have it."""
    settings = {
        "fit_on": ["validation"],
        "features": ["probabilities", "statistics"],
        "learners": ["xgboost", "logits"],
        "blend": True,
    }
    outcome = TargetClasses(label="outcome", classes=["Abnormal", "Normal"], heads=["abnormal"])
    study = world.study.model_copy(update={"fusion": world.study.fusion.model_copy(update=settings)})
    system, heads = study.systems["small"], study.heads_of(study.systems["small"])
    cases, recordings = aggregate(study, system, each_alone(scored, ["val", "test"]), world.folds.query("fold == 0"))
    names = world.manifest.recordings["recording"]
    numbers = pd.DataFrame(np.random.default_rng(0).random((len(names), 2)), index=names, columns=["rms", "present"])
    inputs = Inputs(cases, recordings, world.manifest, {"statistics": numbers}, scored)
    targets = {**study.targets, "outcome": outcome}
    fused = fusion.fuse(study.fusion, heads, targets, inputs, tmp_path, tmp_path / "log", 1)
    stages = fused.probabilities.groupby("target")["stage"].unique().map(set).to_dict()
    assert stages == {"murmur": {"xgboost", "logits", "blend"}, "outcome": {"xgboost", "logits"}}
    rows = fused.probabilities.query("target == 'outcome' and stage == @stage and role == 'test'").set_index("case")
    if stage == "logits":
        read = fused.importances.query("target == 'outcome' and stage == 'logits'")["feature"]
        assert set(read) == {"p_present", "p_unknown"}
    new = replace(inputs, cases=cases[cases["role"] == "test"])
    file = tmp_path / f"outcome-{stage}-validation.json"
    p = fusion.apply_saved(study.fusion, heads, "outcome", outcome, new, stage, file)
    np.testing.assert_allclose(p, rows.loc[new.cases["case"], ["p_Abnormal", "p_Normal"]], atol=1e-6)


@pytest.mark.parametrize("missing", ["nan", "zero"])
def test_a_site_that_others_have_changes_no_prediction(world, scored, tmp_path, missing):
    everything = world.manifest.recordings
    numbers = pd.DataFrame(
        1 + np.random.default_rng(0).random((len(everything), 2)), everything["recording"], ["rms", "zcr"]
    )
    numbers["present"] = 1.0
    settings = {"fit_on": ["train"], "features": ["statistics"], "learners": ["logistic"], "missing_site": missing}
    study = world.study.model_copy(update={"fusion": world.study.fusion.model_copy(update=settings)})
    system = study.systems["small"]
    cases, recordings = aggregate(
        study, system, each_alone(scored, ["train", "val", "test"]), world.folds.query("fold == 0")
    )
    fuse(study, "small", Inputs(cases, recordings, world.manifest, {"statistics": numbers}, scored), tmp_path, tmp_path)
    new = cases[cases["role"] == "test"]
    everywhere = set(everything.loc[everything["site"] == "MV", "case"]) & set(new["case"])
    results = []
    for with_site in ({min(everywhere)}, set()):  # with one case that has the site MV, and with none
        rows = everything[(everything["site"] == "AV") | everything["case"].isin(with_site)]
        model = tmp_path / "murmur-logistic-train.json"
        manifest = replace(world.manifest, recordings=rows)
        tables = {"statistics": numbers}
        inputs = Inputs(new, recordings, manifest, tables, scored)
        p = apply_saved(study, "small", inputs, "murmur", "logistic", model)
        results.append(pd.DataFrame(p, new["case"]))
    others = results[0].index.drop(min(everywhere))
    np.testing.assert_allclose(results[0].loc[others], results[1].loc[others])
    assert not np.allclose(results[0].loc[min(everywhere)], results[1].loc[min(everywhere)])
