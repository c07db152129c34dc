"""Tuning of a learner by Optuna: its settings and the blocks it reads, on the cases that fit it and no others."""

from __future__ import annotations

import hashlib
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from auscult.config.fusion import Booster, Logistic, Tuning
from auscult.config.targets import Target
from auscult.decisions.cross_fitting import cross_fit, splits
from auscult.decisions.rules.calibrated import COST, largest_weighted
from auscult.fusion.learners import Settings, fit, predict
from auscult.metrics import formulas
from auscult.progress import note
from auscult.provenance import digest

MOST_ROUNDS = 300
PATIENCE = 20  # rounds without a smaller log loss


@dataclass(frozen=True)
class Choice:
    """Settings of a learner and the columns that it reads."""

    settings: Settings
    columns: list[str]


def tune(
    x: pd.DataFrame,
    y: np.ndarray,
    groups: np.ndarray,
    blocks: dict[str, list[str]],
    target: Target,
    settings: Settings,
    tuning: Tuning,
    store: Path,
    threads: int,
) -> tuple[Choice, pd.DataFrame]:
    """Search for settings and blocks; return the best trial and a table of all.

    Columns of the table: `trial, value, use_<block>, <setting>, …`; the smallest value is the best.

    Parameters
    ----------
    x, y, groups : features, class numbers and subjects of the cases that fit the learner.
    blocks : columns by block; the first block is always used.
    settings : the study's settings, which are the first trial but for the rounds, which early stopping finds.
    store : file with every finished trial. An interrupted search continues from it; another search ignores it.

    The same cases, settings and number of trials give the same trials, interrupted or not. The one exception is a
    search that `tuning.minutes` ends; a line of the log then says so.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folds = splits(y, groups, tuning.folds, 0)
    if len(folds) < 2:
        return Choice(settings, list(x)), pd.DataFrame({"trial": []})
    store.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = JournalStorage(JournalFileBackend(str(store)))
    search = optuna.create_study(
        study_name=_name(x, y, groups, blocks, target, settings, tuning), storage=storage, load_if_exists=True
    )

    def value(trial: optuna.Trial) -> float:
        choice = _suggest(trial, settings, blocks)
        p, rounds = np.zeros((len(y), len(target.classes))), []
        for fit_rows, out_rows in folds:
            x_out = x.iloc[out_rows][choice.columns]
            stop = (x_out, y[out_rows], PATIENCE) if isinstance(settings, Booster) else None
            learner = fit(x.iloc[fit_rows][choice.columns], y[fit_rows], target, choice.settings, threads, stop)
            p[out_rows] = predict(learner, x_out, target)
            if stop and learner.model is not None:
                rounds.append(learner.model.best_iteration + 1)
        trial.set_user_attr("rounds", int(np.median(rounds)) if rounds else 1)
        calibrated_p, _ = cross_fit(COST, p, y, groups, target)
        return loss(target, calibrated_p, y, tuning.objective)

    def finished_trials() -> list:
        return search.get_trials(states=(optuna.trial.TrialState.COMPLETE,))

    start = time.monotonic()
    while (count := len(finished_trials())) < tuning.trials:
        if count and time.monotonic() - start > 60 * tuning.minutes:
            note(f"tuning ended after {count} of {tuning.trials} trials: tuning.minutes is {tuning.minutes:g}")
            break
        if not count and not search.get_trials(states=(optuna.trial.TrialState.WAITING,)):
            # also where an interrupted search has begun this trial, which then never ends
            search.enqueue_trial(_as_parameters(settings, blocks))
        # a new sampler for every trial, so that an interrupted search continues exactly as it would have
        search.sampler = optuna.samplers.TPESampler(seed=count)
        search.optimize(value, n_trials=1)
    trials = finished_trials()[: tuning.trials]  # there are more where an earlier search was longer
    best = min(trials, key=lambda trial: trial.value)
    return _chosen(best, settings, blocks), _table(trials)


def loss(target: Target, p: np.ndarray, y: np.ndarray, objective: str) -> float:
    """Of calibrated probabilities: the log loss, or 1 − the weighted accuracy of the decision `cost`."""
    if objective == "log_loss":
        return float(formulas.nll(y, p))
    weights = target.class_weights()
    matrix = formulas.confusion(y, largest_weighted(p, weights), len(target.classes))
    return 1 - float(formulas.weighted_accuracy(matrix, weights))


def _suggest(trial, settings: Settings, blocks: dict[str, list[str]]) -> Choice:
    """A candidate; of a booster, with as many rounds as early stopping may use."""
    weigh = trial.suggest_categorical("weigh", ["none", "target", "balanced"])
    if isinstance(settings, Logistic):
        update = {"c": trial.suggest_float("c", 1e-4, 10, log=True)}
    else:
        update = {
            "max_depth": trial.suggest_int("max_depth", 1, 8),
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "colsample": trial.suggest_float("colsample", 0.1, 1.0),
            "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 20, log=True),
            "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 30, log=True),
            "rounds": MOST_ROUNDS,
        }
    for name in list(blocks)[1:]:
        trial.suggest_categorical(f"use_{name}", [True, False])
    return Choice(settings.model_copy(update={**update, "weigh": weigh}), _columns(trial.params, blocks))


def _chosen(trial, settings: Settings, blocks: dict[str, list[str]]) -> Choice:
    """A finished trial as settings; of a booster, with the rounds after which it was stopped."""
    update = {key: value for key, value in trial.params.items() if not key.startswith("use_")}
    if isinstance(settings, Booster):
        update["rounds"] = trial.user_attrs["rounds"]
    return Choice(settings.model_copy(update=update), _columns(trial.params, blocks))


def _columns(params: dict, blocks: dict[str, list[str]]) -> list[str]:
    return [column for name, columns in blocks.items() if params.get(f"use_{name}", True) for column in columns]


def _as_parameters(settings: Settings, blocks: dict[str, list[str]]) -> dict:
    values = settings.model_dump(exclude={"rounds", "seed"})
    return {**values, **{f"use_{name}": True for name in list(blocks)[1:]}}


def _table(trials: list) -> pd.DataFrame:
    # numbered anew: a trial that was interrupted has a number too
    rows = [
        {"trial": number, "value": trial.value, **trial.params, **trial.user_attrs}
        for number, trial in enumerate(trials)
    ]
    return pd.DataFrame(rows)


def _name(x, y, groups, blocks, target, settings, tuning) -> str:
    """Digest of everything that a trial's value depends on; the number of trials and minutes only say when to stop."""
    data = hashlib.sha256(np.ascontiguousarray(x.to_numpy(dtype=np.float32)).tobytes() + y.astype(np.int64).tobytes())
    values = [
        list(x),
        list(map(str, groups)),
        blocks,
        target.model_dump(),
        settings.model_dump(),
        type(settings).__name__,
    ]
    return digest([data.hexdigest(), *values, tuning.objective, tuning.folds])
