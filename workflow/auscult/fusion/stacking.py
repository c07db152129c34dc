"""Stacking: one booster per target and fold, fitted on outputs for cases that the judged ones are not among."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xgboost

from auscult.config.fusion import Booster
from auscult.config.targets import Target
from auscult.decisions.calibration import splits


@dataclass(frozen=True)
class Fitted:
    """A booster and the class numbers that it knows (None: the fit rows held one class, `classes[0]`)."""

    booster: xgboost.XGBClassifier | None
    classes: np.ndarray


def stack(
    target: Target,
    fit_rows: pd.DataFrame,
    labels: pd.Series,
    subjects: pd.Series,
    other_rows: pd.DataFrame,
    settings: Booster,
    threads: int,
    cross_fitted: bool,
) -> tuple[np.ndarray, np.ndarray, Fitted]:
    """Fit on some cases, score others.

    Parameters
    ----------
    fit_rows, other_rows : features, cases × the same named columns.
    labels, subjects : of `fit_rows`; a case with an empty label is scored, not fitted on.
    cross_fitted : score the fit rows too, each by boosters that saw no case of its subject.

    Returns probabilities of the fit rows (NaN unless `cross_fitted`) and of the other rows, (cases, classes) each, and
    the booster.
    """
    numbers = labels.map({name: number for number, name in enumerate(target.classes)})
    known = numbers.notna().to_numpy()
    y = numbers[known].to_numpy(dtype=int)
    x = fit_rows[known]
    fitted = fit(x, y, target, settings, threads)
    inside = np.full((len(fit_rows), len(target.classes)), np.nan)
    if cross_fitted:
        inside[:] = predict(fitted, fit_rows, target)
        place = np.flatnonzero(known)
        for rest, held in splits(y, subjects[known].to_numpy(), 5, settings.seed):
            part = fit(x.iloc[rest], y[rest], target, settings, threads)
            inside[place[held]] = predict(part, x.iloc[held], target)
    return inside, predict(fitted, other_rows, target), fitted


def fit(x: pd.DataFrame, y: np.ndarray, target: Target, settings: Booster, threads: int) -> Fitted:
    """A booster for class numbers `y`."""
    classes, numbers = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        return Fitted(None, classes)
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
    )
    weights = np.asarray(target.class_weights())[y] if settings.weighted else None
    return Fitted(model.fit(x, numbers, sample_weight=weights), classes)


def predict(fitted: Fitted, x: pd.DataFrame, target: Target) -> np.ndarray:
    """(cases, classes) probabilities; a class that no fit row had is 0."""
    out = np.zeros((len(x), len(target.classes)))
    if not len(x):
        return out
    if fitted.booster is None:
        out[:, fitted.classes] = 1.0
    else:
        out[:, fitted.classes] = fitted.booster.predict_proba(x)
    return out


def importances(fitted: Fitted, columns: list[str]) -> pd.DataFrame:
    """Total gain of every feature, as a share of all."""
    gain = {} if fitted.booster is None else fitted.booster.get_booster().get_score(importance_type="total_gain")
    total = sum(gain.values()) or 1.0
    return pd.DataFrame({"feature": columns, "gain": [gain.get(name, 0.0) / total for name in columns]})
