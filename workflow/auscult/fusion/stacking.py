"""Stacking: one model per learner, target and fold, fitted on outputs for cases that the test cases are not among."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from auscult.config.fusion import Tuning
from auscult.config.targets import Target
from auscult.decisions.cross_fitting import out_of_fold
from auscult.fusion.learners import FittedLearner, Settings, fit, predict
from auscult.fusion.tuning import Choice, tune
from auscult.heads.labels import class_numbers

LEAST = 1e-6
"""Smallest probability in a blend, so that no row of zeros is left."""


@dataclass(frozen=True)
class Stacked:
    """A fitted learner, and its probabilities (cases, classes).

    own: of the cases that it was fitted to, each by a model that was fitted without its subject; NaN unless
    cross-fitted. others: of all other cases. trials: see `tuning.tune`.
    """

    own: np.ndarray
    others: np.ndarray
    learner: FittedLearner
    trials: pd.DataFrame


def stack(
    target: Target,
    fit_blocks: dict[str, pd.DataFrame],
    labels: pd.Series,
    subjects: pd.Series,
    other_blocks: dict[str, pd.DataFrame],
    settings: Settings,
    threads: int,
    cross_fitted: bool,
    tuning: Tuning | None = None,
    store: Path | None = None,
) -> Stacked:
    """Fit on some cases, score others.

    Parameters
    ----------
    fit_blocks, other_blocks : features by block, cases × the same named columns.
    labels, subjects : of the fit rows; a case with an empty label is scored, not fitted on.
    cross_fitted : score the fit rows too, each by models that saw no case of its subject.
    tuning, store : search for settings and blocks first, on the fit rows, keeping the trials in the file `store`. The
        cross-fitted scores are then of settings that their own cases took part in choosing.
    """
    fit_rows, other_rows = (pd.concat(blocks.values(), axis=1) for blocks in (fit_blocks, other_blocks))
    has_label = (labels != "").to_numpy()
    y, groups = class_numbers(labels[has_label], target.classes), subjects[has_label].to_numpy()
    choice, trials = Choice(settings, list(fit_rows)), pd.DataFrame()
    if tuning is not None:
        columns = {name: list(block) for name, block in fit_blocks.items()}
        choice, trials = tune(fit_rows[has_label], y, groups, columns, target, settings, tuning, store, threads)
    x = fit_rows.loc[has_label, choice.columns]

    def fit_and_predict(rows: np.ndarray, other: np.ndarray) -> np.ndarray:
        return predict(fit(x.iloc[rows], y[rows], target, choice.settings, threads), x.iloc[other], target)

    learner = fit(x, y, target, choice.settings, threads)
    own = np.full((len(fit_rows), len(target.classes)), np.nan)
    if cross_fitted:
        own[:] = predict(learner, fit_rows, target)
        numbers_of_labelled = np.flatnonzero(has_label)
        for rows, p in out_of_fold(fit_and_predict, y, groups):
            own[numbers_of_labelled[rows]] = p
    return Stacked(own, predict(learner, other_rows, target), learner, trials)


def blend(network: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Geometric mean of two tables of class probabilities (cases, classes); rows sum to 1."""
    mean = np.sqrt(np.clip(network, LEAST, 1) * np.clip(second, LEAST, 1))
    return mean / mean.sum(axis=1, keepdims=True)
