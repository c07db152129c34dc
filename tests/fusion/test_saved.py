"""A second stage that was saved gives new cases what the study's own job gave them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

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
    inputs = "small", scored, cases, recordings, world.manifest, {}
    table, *_ = fuse(study, *inputs, tmp_path, tmp_path / "log", vectors)
    classes = study.targets["murmur"].classes
    expected = table.query("stage == @stage and role == 'test'").set_index("case")[[f"p_{c}" for c in classes]]
    new = cases[cases["role"] == "test"].sample(frac=1, random_state=1)  # in an order of their own
    model = tmp_path / f"murmur-{stage}-validation.json"
    assert (tmp_path / "components-validation.json").is_file() == (features != ["probabilities"])
    if features != ["probabilities"]:
        (tmp_path / "components-validation.json").rename(model.with_name(f"{model.stem}-components.json"))
    inputs = "small", scored, new, recordings, world.manifest, {}
    p = apply_saved(study, *inputs, "murmur", stage, model, vectors)
    assert len(p) == 12
    np.testing.assert_allclose(p, expected.loc[new["case"]], atol=1e-6)


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
    fuse(study, "small", scored, cases, recordings, world.manifest, {"statistics": numbers}, tmp_path, tmp_path)
    new = cases[cases["role"] == "test"]
    everywhere = set(everything.loc[everything["site"] == "MV", "case"]) & set(new["case"])
    results = []
    for with_site in ({min(everywhere)}, set()):  # with one case that has the site MV, and with none
        rows = everything[(everything["site"] == "AV") | everything["case"].isin(with_site)]
        model = tmp_path / "murmur-logistic-train.json"
        manifest = replace(world.manifest, recordings=rows)
        tables = {"statistics": numbers}
        p = apply_saved(study, "small", scored, new, recordings, manifest, tables, "murmur", "logistic", model)
        results.append(pd.DataFrame(p, new["case"]))
    others = results[0].index.drop(min(everywhere))
    np.testing.assert_allclose(results[0].loc[others], results[1].loc[others])
    assert not np.allclose(results[0].loc[min(everywhere)], results[1].loc[min(everywhere)])
