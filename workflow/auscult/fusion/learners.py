"""The learners of the second stage, XGBoost and two logistic regressions: fit, predict, importances, files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, QuantileTransformer

from auscult.config.fusion import Booster, Logistic, Logits
from auscult.config.targets import Target
from auscult.provenance import write_json

Settings = Booster | Logistic | Logits

MASKS = str.maketrans("[]<", "()‹")
LEAST = 1e-4  # probability, so that a logit is finite
QUANTILES = 100  # of a feature's distribution, by which the logistic regression ranks it


@dataclass(frozen=True)
class FittedLearner:
    """A model, the columns it reads, and the class numbers that it gives (no model: the fit rows had one class).

    XGBoost takes no `[`, `]` and `<` in names of columns: it reads the columns as `names_for_xgboost`.
    """

    model: xgboost.XGBClassifier | Pipeline | None
    columns: list[str]
    classes: np.ndarray


def names_for_xgboost(columns: list[str]) -> list[str]:
    """Return distinct names without `[`, `]` and `<`; the columns themselves if none has these."""
    names: list[str] = []
    taken_names = {column for column in columns if column.translate(MASKS) == column}
    for column in columns:
        name = column.translate(MASKS)
        while name != column and name in taken_names:
            name += "_"
        taken_names.add(name)
        names.append(name)
    return names


def _rows(x: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Columns of features under the names that XGBoost reads."""
    return x[columns].set_axis(names_for_xgboost(columns), axis=1)


def fit(
    x: pd.DataFrame,
    y: np.ndarray,
    target: Target,
    settings: Settings,
    threads: int,
    stop: tuple[pd.DataFrame, np.ndarray, int] | None = None,
) -> FittedLearner:
    """A model of cases × features `x` for class numbers `y`.

    stop: rows and class numbers whose log loss ends the boosting, and after how many rounds without a better one.
    """
    classes, numbers = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        return FittedLearner(None, list(x), classes)
    weights = row_weights(y, target, settings.weigh)
    if not isinstance(settings, Booster):
        pipeline = _on_ranks(settings, len(x)) if isinstance(settings, Logistic) else _on_logits(settings)
        model = pipeline.fit(x.to_numpy(), numbers, logisticregression__sample_weight=weights)
        return FittedLearner(model, list(x), classes)
    early_stopping = {}
    if stop is not None:
        rows, labels, _ = stop
        has_model_class = np.isin(labels, classes)
        labels = labels[has_model_class]
        stop_weights = None if weights is None else [row_weights(labels, target, settings.weigh)]
        early_stopping = {
            "eval_set": [(_rows(rows[has_model_class], list(x)), np.searchsorted(classes, labels))],
            "sample_weight_eval_set": stop_weights,
        }
    model = xgboost.XGBClassifier(
        n_estimators=settings.rounds,
        max_depth=settings.max_depth,
        learning_rate=settings.learning_rate,
        subsample=settings.subsample,
        colsample_bytree=settings.colsample,
        min_child_weight=settings.min_child_weight,
        reg_lambda=settings.reg_lambda,
        objective="binary:logistic" if len(classes) == 2 else "multi:softprob",
        tree_method="hist",
        n_jobs=threads,
        random_state=settings.seed,
        early_stopping_rounds=stop[2] if stop else None,
    )
    return FittedLearner(
        model.fit(_rows(x, list(x)), numbers, sample_weight=weights, verbose=False, **early_stopping), list(x), classes
    )


def row_weights(y: np.ndarray, target: Target, weigh: str) -> np.ndarray | None:
    """Weight (n,) of every row; None where rows count alike."""
    if weigh == "none":
        return None
    if weigh == "target":
        return np.asarray(target.class_weights())[y]
    counts = np.bincount(y)
    return len(y) / (np.count_nonzero(counts) * counts[y])


def predict(learner: FittedLearner, x: pd.DataFrame, target: Target) -> np.ndarray:
    """(cases, classes) probabilities; a class that no fit row had is 0."""
    out = np.zeros((len(x), len(target.classes)))
    if not len(x):
        return out
    if learner.model is None:
        out[:, learner.classes] = 1.0
        return out
    is_pipeline = isinstance(learner.model, Pipeline)
    rows = x[learner.columns].to_numpy() if is_pipeline else _rows(x, learner.columns)
    out[:, learner.classes] = learner.model.predict_proba(rows)
    return out


def importances(learner: FittedLearner, x: pd.DataFrame) -> pd.DataFrame:
    """`feature, gain, shap` of every column of the cases `x`; each a share that sums to 1 (0 where there is no model).

    gain: of XGBoost the total gain; of a regression the magnitude of the coefficients. shap: mean magnitude of the
    Shapley values over the cases and classes, exact for all (Lundberg et al. 2018; linear ones against the mean of the
    fit rows' ranks, or against logits of 0).
    """
    gain, shap = pd.Series(0.0, list(x)), pd.Series(0.0, list(x))
    rows = x[learner.columns]
    if isinstance(learner.model, Pipeline):
        coefficients = np.abs(learner.model[-1].coef_)
        ranks = (
            np.abs(learner.model[:-1].transform(rows.to_numpy())) if len(rows) else np.zeros((0, len(learner.columns)))
        )
        gain[learner.columns] = coefficients.mean(axis=0)
        shap[learner.columns] = ranks.sum(axis=0) * coefficients.mean(axis=0)
    elif learner.model is not None:
        booster = learner.model.get_booster()
        column_of = dict(zip(names_for_xgboost(learner.columns), learner.columns, strict=True))
        gains = booster.get_score(importance_type="total_gain")
        gain.update(pd.Series({column_of[name]: value for name, value in gains.items()}, dtype=float))
        values = booster.predict(xgboost.DMatrix(_rows(x, learner.columns)), pred_contribs=True)[..., :-1]
        shap[learner.columns] = np.abs(values).reshape(-1, len(learner.columns)).sum(axis=0)
    table = pd.DataFrame({"gain": gain, "shap": shap})
    return (table / table.sum().replace(0.0, 1.0)).rename_axis("feature").reset_index()


def save(learner: FittedLearner, path: Path) -> None:
    """XGBoost's own JSON, with the class numbers as an attribute, and the columns where XGBoost has other names; of a
    regression its columns, on ranks their medians and quantiles, and the coefficients; without a model the columns and
    the one class.
    """
    if isinstance(learner.model, xgboost.XGBClassifier):
        learner.model.get_booster().set_attr(classes=json.dumps(learner.classes.tolist()))
        if names_for_xgboost(learner.columns) != learner.columns:
            learner.model.get_booster().set_attr(columns=json.dumps(learner.columns))
        learner.model.save_model(path)
        return
    numbers = {"classes": learner.classes}
    if learner.model is not None:
        *before, model = (step for _, step in learner.model.steps)
        numbers |= {"coefficients": model.coef_, "intercepts": model.intercept_}
        if len(before) > 1:
            impute, rank = before
            numbers |= {"medians": impute.statistics_, "quantiles": rank.quantiles_.T}
    write_json(path, {"columns": learner.columns, **{key: value.tolist() for key, value in numbers.items()}})


def load(path: Path) -> FittedLearner:
    """What `save` wrote. Raises ValueError for a file of another kind."""
    values = json.loads(path.read_text(encoding="utf-8"))
    if "learner" in values:  # XGBoost's
        model = xgboost.XGBClassifier()
        model.load_model(path)
        booster = model.get_booster()
        columns = booster.attr("columns")
        columns = json.loads(columns) if columns else list(booster.feature_names)
        return FittedLearner(model, columns, np.array(json.loads(booster.attr("classes"))))
    if not {"columns", "classes"} <= set(values):
        raise ValueError(f"{path}: not a second stage that auscult saved")
    classes = np.array(values["classes"])
    if "coefficients" not in values:
        return FittedLearner(None, values["columns"], classes)
    model = LogisticRegression()
    model.coef_, model.intercept_ = np.array(values["coefficients"]), np.array(values["intercepts"])
    model.classes_ = np.arange(len(classes))
    if "medians" not in values:
        return FittedLearner(make_pipeline(FunctionTransformer(_logits), model), values["columns"], classes)
    impute = SimpleImputer(strategy="median", keep_empty_features=True).fit(np.array([values["medians"]]))
    quantiles = np.array(values["quantiles"]).T
    rank = QuantileTransformer(n_quantiles=len(quantiles), output_distribution="normal")
    rank.quantiles_, rank.n_quantiles_, rank.n_features_in_ = quantiles, len(quantiles), quantiles.shape[1]
    rank.references_ = np.linspace(0, 1, len(quantiles))
    return FittedLearner(make_pipeline(impute, rank, model), values["columns"], classes)


def _on_ranks(settings: Logistic, rows: int) -> Pipeline:
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        QuantileTransformer(n_quantiles=min(QUANTILES, rows), output_distribution="normal", random_state=0),
        LogisticRegression(C=settings.c, max_iter=1000),
    )


def _on_logits(settings: Logits) -> Pipeline:
    return make_pipeline(FunctionTransformer(_logits), LogisticRegression(C=settings.c, max_iter=1000))


def _logits(p: pd.DataFrame) -> np.ndarray:
    p = np.clip(np.asarray(p, dtype=np.float64), LEAST, 1 - LEAST)
    return np.log(p / (1 - p))
