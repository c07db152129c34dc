"""The learners: weights of the rows, importances against independent sums, files without pickle."""

import json

import numpy as np
import pandas as pd
import pytest
import xgboost
from hypothesis import HealthCheck, given
from hypothesis import settings as options
from scipy.special import expit, logit, softmax
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from auscult.config.fusion import Booster, Logistic, Logits
from auscult.fusion.learners import fit, importances, load, names_for_xgboost, predict, row_weights, save
from tests.names import distinct

CLASSES = ["Present", "Unknown", "Absent"]
SMALL = Booster(rounds=15, learning_rate=0.3, min_child_weight=1e-6)
LOGITS = Logits(c=0.5)
LEARNERS = pytest.mark.parametrize("settings", [SMALL, Logistic(c=1.0)], ids=["xgboost", "logistic"])


@pytest.fixture
def target(murmur_study):
    return murmur_study().targets["murmur"]


def rows(size: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Features of which the first two say the class, a tenth missing, and class numbers."""
    rng = np.random.default_rng(seed)
    y = np.arange(size) % 3
    x = rng.standard_normal((size, 4))
    x[:, :2] += 3 * np.eye(3)[y][:, :2]
    x[rng.random(x.shape) < 0.1] = np.nan
    return pd.DataFrame(x, columns=list("wxyz")), y


@LEARNERS
def test_signal_is_learnt(target, settings):
    fitted = fit(*rows(120), target, settings, 1)
    x, y = rows(60, 1)
    p = predict(fitted, x, target)
    assert p.sum(axis=1) == pytest.approx(np.ones(60), abs=1e-5) and (p.argmax(axis=1) == y).mean() > 0.75


def probabilities(size: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Probabilities of two heads, some of them 0 or 1, and class numbers."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(size) % 3)
    p = expit(rng.standard_normal((size, 2)) + 2 * np.eye(3)[y][:, :2] - 1)
    p[:4] = [[0, 1], [1, 0], [1, 1], [0, 0]]
    return pd.DataFrame(p, columns=["p_present", "p_unknown"]), y


@pytest.mark.parametrize("seed", range(3))
def test_the_regression_on_logits_is_that_of_scikit_learn(target, tmp_path, seed):
    (x, y), (other, _) = probabilities(90, seed), probabilities(40, seed + 10)
    z, z_other = (logit(table.clip(1e-4, 1 - 1e-4).to_numpy()) for table in (x, other))
    expected = LogisticRegression(C=0.5, max_iter=1000).fit(z, y).predict_proba(z_other)
    fitted = fit(x, y, target, LOGITS, 1)
    np.testing.assert_allclose(predict(fitted, other, target), expected, atol=1e-6)
    save(fitted, tmp_path / "logits.json")
    np.testing.assert_allclose(predict(load(tmp_path / "logits.json"), other, target), expected, atol=1e-6)
    shares = importances(fitted, other)
    assert shares[["gain", "shap"]].sum().to_numpy() == pytest.approx([1, 1])


@LEARNERS
def test_scale_and_order_of_the_columns_do_not_matter(target, settings):
    (x, y), (other, _) = rows(120), rows(60, 1)
    p = predict(fit(x, y, target, settings, 1), other, target)
    assert predict(fit(x, y, target, settings, 1), other[list("zyxw")], target) == pytest.approx(p)
    scaled = [table.assign(w=np.exp(table["w"]) * 1e6) for table in (x, other)]
    assert predict(fit(scaled[0], y, target, settings, 1), scaled[1], target) == pytest.approx(p, abs=0.05)


@LEARNERS
def test_a_class_that_is_absent_and_one_alone(target, settings):
    x, y = rows(60)
    p = predict(fit(x[y != 1], y[y != 1], target, settings, 1), x, target)
    assert (p[:, 1] == 0).all() and p.sum(axis=1) == pytest.approx(np.ones(60), abs=1e-5)
    alone = fit(x[y == 1], y[y == 1], target, settings, 1)
    assert predict(alone, x, target).tolist() == [[0, 1, 0]] * 60
    assert (importances(alone, x)[["gain", "shap"]] == 0).all(axis=None)


@LEARNERS
@pytest.mark.parametrize(
    ("weigh", "expected"), [("none", [0.6, 0.3, 0.1]), ("target", [30 / 40, 9 / 40, 1 / 40]), ("balanced", [1 / 3] * 3)]
)
def test_rows_weigh_by_their_class(target, settings, weigh, expected):
    """Features that say nothing: the probabilities are the shares of the weights."""
    y = np.repeat([0, 1, 2], [54, 27, 9])
    x = pd.DataFrame({"nothing": np.zeros(90)})
    update = {"rounds": 60, "subsample": 1.0, "reg_lambda": 0.0} if isinstance(settings, Booster) else {}
    settings = settings.model_copy(update={"weigh": weigh, **update})
    p = predict(fit(x, y, target, settings, 1), x, target)
    np.testing.assert_allclose(p, np.tile(expected, (90, 1)), atol=0.01)


def test_balanced_weights_sum_to_the_rows(target):
    weights = row_weights(np.array([0, 0, 0, 2]), target, "balanced")
    assert weights.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])


@LEARNERS
def test_importances_are_shares_and_find_the_signal(target, settings):
    x, y = rows(90)
    table = importances(fit(x, y, target, settings, 1), x).set_index("feature")
    for share in ("gain", "shap"):
        assert table[share].sum() == pytest.approx(1) and table.loc[["w", "x"], share].sum() > 0.7


def test_importances_name_every_column_also_those_that_are_not_used(target):
    x, y = rows(90)
    table = importances(fit(x[["w", "x"]], y, target, SMALL, 1), x).set_index("feature")
    assert table.index.tolist() == list("wxyz") and (table.loc[["y", "z"]] == 0).all(axis=None)


def test_shapley_values_of_the_booster_sum_to_its_output(target):
    """What `shap` averages adds up: values of all features and the constant are the raw score of each class."""
    x, y = rows(90)
    booster = fit(x, y, target, SMALL, 1).model.get_booster()
    data = xgboost.DMatrix(x)
    values, raw = booster.predict(data, pred_contribs=True), booster.predict(data, output_margin=True)
    assert values.shape == (90, 3, 5)
    np.testing.assert_allclose(values.sum(axis=-1), raw, atol=1e-4)


def test_early_stopping_keeps_the_best_round(target):
    (x, y), (other, truth) = rows(90), rows(60, 1)
    settings = SMALL.model_copy(update={"rounds": 300, "learning_rate": 1.0})
    fitted = fit(x, y, target, settings, 1, (other, truth, 5))
    assert 0 < fitted.model.best_iteration < 100


def test_a_saved_logistic_regression_can_be_computed_from_its_numbers(target, tmp_path):
    (x, y), (other, _) = rows(120), rows(30, 1)
    fitted = fit(x, y, target, Logistic(c=1.0), 1)
    save(fitted, tmp_path / "model.json")
    kept = json.loads((tmp_path / "model.json").read_text())
    values = other[kept["columns"]].to_numpy()
    values = np.where(np.isnan(values), kept["medians"], values)
    levels = np.linspace(0, 1, len(kept["quantiles"][0]))
    columns = list(zip(values.T, map(np.array, kept["quantiles"]), strict=True))
    upper = np.stack([np.interp(v, q, levels) for v, q in columns], axis=1)
    lower = np.stack([-np.interp(-v, -q[::-1], -levels[::-1]) for v, q in columns], axis=1)
    ranks = (upper + lower) / 2  # equal quantiles: the middle of their levels
    scores = norm.ppf(np.clip(ranks, 1e-7, 1 - 1e-7)) @ np.transpose(kept["coefficients"]) + kept["intercepts"]
    np.testing.assert_allclose(softmax(scores, axis=1), predict(fitted, other, target), atol=0.01)


def test_a_saved_booster_is_xgboosts_own_file(target, tmp_path):
    (x, y), (other, _) = rows(90), rows(30, 1)
    fitted = fit(x, y, target, SMALL, 1)
    save(fitted, tmp_path / "model.json")
    again = xgboost.Booster(model_file=tmp_path / "model.json")
    np.testing.assert_allclose(again.predict(xgboost.DMatrix(other)), predict(fitted, other, target), atol=1e-6)


@LEARNERS
@pytest.mark.parametrize("classes", [3, 2])
def test_a_saved_model_predicts_the_same(target, tmp_path, settings, classes):
    x, y = rows(120)
    x, y = x[y < classes], y[y < classes] + (classes == 2)  # two classes: the last two
    fitted, other = fit(x, y, target, settings, 1), rows(60, 1)[0]
    save(fitted, tmp_path / "model.json")
    again = load(tmp_path / "model.json")
    assert again.columns == fitted.columns
    np.testing.assert_allclose(predict(again, other, target), predict(fitted, other, target), rtol=1e-6, atol=1e-9)


def test_a_saved_model_of_one_class_is_sure_of_it(target, tmp_path):
    x, _ = rows(12)
    save(fit(x, np.full(12, 1), target, SMALL, 1), tmp_path / "model.json")
    np.testing.assert_array_equal(predict(load(tmp_path / "model.json"), x, target), np.tile([0, 1, 0], (12, 1)))


def test_another_file_is_refused(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ValueError, match="not a second stage"):
        load(tmp_path / "model.json")


@options(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=distinct(4, 4))
@LEARNERS
def test_any_name_is_a_name_of_a_feature(target, tmp_path, settings, names):
    (x, y), (other, _) = rows(60), rows(30, 1)
    plain, named = fit(x, y, target, settings, 1), fit(x.set_axis(names, axis=1), y, target, settings, 1)
    other_named = other.set_axis(names, axis=1)
    np.testing.assert_array_equal(predict(named, other_named, target), predict(plain, other, target))
    table, expected = importances(named, other_named), importances(plain, other)
    assert table["feature"].tolist() == names
    pd.testing.assert_frame_equal(table[["gain", "shap"]], expected[["gain", "shap"]])
    save(named, tmp_path / "model.json")
    again = load(tmp_path / "model.json")
    assert again.columns == names
    np.testing.assert_allclose(predict(again, other_named, target), predict(plain, other, target), rtol=1e-6)


@given(names=distinct(1, 12))
def test_names_for_xgboost_are_distinct_and_its_own(names):
    masked = names_for_xgboost(names)
    assert len(set(masked)) == len(names) and not any(set("[]<") & set(name) for name in masked)
    assert all(new == old for new, old in zip(masked, names, strict=True) if not set("[]<") & set(old))


def test_a_logistic_regression_of_many_rows_is_the_same_every_time(target):
    """scikit-learn draws 10,000 rows for the quantiles where there are more."""
    x, y = rows(12_000)
    np.random.seed(0)
    first = predict(fit(x, y, target, Logistic(), 1), x, target)
    np.random.seed(1)
    np.testing.assert_array_equal(predict(fit(x, y, target, Logistic(), 1), x, target), first)
