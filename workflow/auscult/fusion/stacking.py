"""Stacking: one model per learner, target and fold, fitted on outputs for cases that the test cases are not among."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from auscult.config.fusion import Tuning
from auscult.config.targets import Target
from auscult.decisions.cross_fitting import FOLDS, SEED, splits
from auscult.fusion.learners import Fitted, Settings, fit, predict
from auscult.fusion.tuning import Choice, tune

LEAST = 1e-6
"""Smallest probability in a blend, so that no row of zeros is left."""


@dataclass(frozen=True)
class Stacked:
    """Probabilities of the fit rows (NaN unless cross-fitted) and of the other rows, (cases, classes) each."""

    inside: np.ndarray
    outside: np.ndarray
    fitted: Fitted
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
    numbers = labels.map({name: number for number, name in enumerate(target.classes)})
    labelled = numbers.notna().to_numpy()
    y, groups = numbers[labelled].to_numpy(dtype=int), subjects[labelled].to_numpy()
    choice, trials = Choice(settings, list(fit_rows)), pd.DataFrame()
    if tuning is not None:
        columns = {name: list(block) for name, block in fit_blocks.items()}
        choice, trials = tune(fit_rows[labelled], y, groups, columns, target, settings, tuning, store, threads)
    x = fit_rows.loc[labelled, choice.columns]
    fitted = fit(x, y, target, choice.settings, threads)
    inside = np.full((len(fit_rows), len(target.classes)), np.nan)
    if cross_fitted:
        inside[:] = predict(fitted, fit_rows, target)
        place = np.flatnonzero(labelled)
        for fit_part, out_part in splits(y, groups, FOLDS, SEED):
            part = fit(x.iloc[fit_part], y[fit_part], target, choice.settings, threads)
            inside[place[out_part]] = predict(part, x.iloc[out_part], target)
    return Stacked(inside, predict(fitted, other_rows, target), fitted, trials)


def blend(network: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Geometric mean of two tables of class probabilities (cases, classes); rows sum to 1."""
    mean = np.sqrt(np.clip(network, LEAST, 1) * np.clip(second, LEAST, 1))
    return mean / mean.sum(axis=1, keepdims=True)
