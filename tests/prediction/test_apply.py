"""A saved second stage says of a case what the study's own job said."""

import numpy as np
import pytest

from auscult.fusion.job import fuse
from auscult.inference.aggregate import aggregate, alone
from auscult.prediction.apply import fused


@pytest.mark.parametrize("stage", ["fusion", "logistic", "blend"])
def test_a_saved_stage_repeats_its_job(world, scored, tmp_path, stage):
    settings = world.study.fusion.model_copy(
        update={
            "fit_on": ["validation"],
            "features": ["probabilities"],
            "learners": ["xgboost", "logistic"],
            "blend": True,
        }
    )
    study = world.study.model_copy(update={"fusion": settings})
    system = study.systems["small"]
    cases, recordings = aggregate(study, system, alone(scored, ["val", "test"]), world.folds.query("fold == 0"))
    table, *_ = fuse(study, "small", scored, cases, recordings, world.manifest, {}, tmp_path, tmp_path / "log", 1)
    classes = study.targets["murmur"].classes
    told = table.query("stage == @stage and role == 'test'").set_index("case")[[f"p_{c}" for c in classes]]
    new = cases[cases["role"] == "test"].sample(frac=1, random_state=1)  # in an order of their own
    model = tmp_path / f"murmur-{stage}-validation.json"
    said = fused(study, system, "murmur", stage, model, new, recordings, world.manifest, study.dataset, tmp_path)
    assert len(said) == 12
    np.testing.assert_allclose(said.set_index("case").loc[told.index, classes], told, atol=1e-6)
