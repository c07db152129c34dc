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
    given: Settings,
    tuning: Tuning,
    store: Path,
    threads: int,
) -> tuple[Choice, pd.DataFrame]:
    """The best trial, and all of them: `trial, value, use_<block>, <setting>, …`, the smallest value the best.

    Parameters
    ----------
    x, y, groups : features, class numbers and subjects of the cases that fit the learner.
    blocks : columns by block; the first block is always used.
    given : the study's settings, which are the first trial but for the rounds, which early stopping finds.
    store : file in which every trial is kept; a search that was cut off goes on there, another search does not read it.

    The same cases, settings and number of trials give the same trials, whether cut off or not; `tuning.minutes` is the
    one exception, and is noted.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folds = splits(y, groups, tuning.folds, 0)
    if len(folds) < 2:
        return Choice(given, list(x)), pd.DataFrame({"trial": []})
    store.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = JournalStorage(JournalFileBackend(str(store)))
    search = optuna.create_study(
        study_name=_name(x, y, groups, blocks, target, given, tuning), storage=storage, load_if_exists=True
    )

    def value(trial: optuna.Trial) -> float:
        choice = _suggest(trial, given, blocks)
        p, rounds = np.zeros((len(y), len(target.classes))), []
        for fit_part, out_part in folds:
            seen, unseen = x.iloc[fit_part][choice.columns], x.iloc[out_part][choice.columns]
            stop = (unseen, y[out_part], PATIENCE) if isinstance(given, Booster) else None
            fitted = fit(seen, y[fit_part], target, choice.settings, threads, stop)
            p[out_part] = predict(fitted, unseen, target)
            if stop and fitted.model is not None:
                rounds.append(fitted.model.best_iteration + 1)
        trial.set_user_attr("rounds", int(np.median(rounds)) if rounds else 1)
        calibrated, _ = cross_fit(COST, p, y, groups, target)
        return loss(target, calibrated, y, tuning.objective)

    started = time.monotonic()
    while (done := len(search.get_trials(states=(optuna.trial.TrialState.COMPLETE,)))) < tuning.trials:
        if done and time.monotonic() - started > 60 * tuning.minutes:
            note(f"tuning ended after {done} of {tuning.trials} trials: tuning.minutes is {tuning.minutes:g}")
            break
        if not done:
            search.enqueue_trial(_as_parameters(given, blocks), skip_if_exists=True)
        # a sampler of its own for every trial, so that a search that was cut off goes on as it would have
        search.sampler = optuna.samplers.TPESampler(seed=done)
        search.optimize(value, n_trials=1)
    best = search.best_trial
    return _chosen(best, given, blocks), _table(search.get_trials(states=(optuna.trial.TrialState.COMPLETE,)))


def loss(target: Target, p: np.ndarray, y: np.ndarray, objective: str) -> float:
    """Of calibrated probabilities: the log loss, or 1 − the weighted accuracy of the decision `cost`."""
    if objective == "log_loss":
        return float(formulas.nll(y, p))
    weights = target.class_weights()
    matrix = formulas.confusion(y, largest_weighted(p, weights), len(target.classes))
    return 1 - float(formulas.weighted_accuracy(matrix, weights))


def _suggest(trial, given: Settings, blocks: dict[str, list[str]]) -> Choice:
    """A candidate; of a booster, with as many rounds as early stopping may use."""
    weigh = trial.suggest_categorical("weigh", ["none", "target", "balanced"])
    if isinstance(given, Logistic):
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
    return Choice(given.model_copy(update={**update, "weigh": weigh}), _columns(trial.params, blocks))


def _chosen(trial, given: Settings, blocks: dict[str, list[str]]) -> Choice:
    """A finished trial as settings; of a booster, with the rounds after which it was stopped."""
    update = {key: value for key, value in trial.params.items() if not key.startswith("use_")}
    if isinstance(given, Booster):
        update["rounds"] = trial.user_attrs["rounds"]
    return Choice(given.model_copy(update=update), _columns(trial.params, blocks))


def _columns(params: dict, blocks: dict[str, list[str]]) -> list[str]:
    return [column for name, columns in blocks.items() if params.get(f"use_{name}", True) for column in columns]


def _as_parameters(given: Settings, blocks: dict[str, list[str]]) -> dict:
    settings = given.model_dump(exclude={"rounds", "seed"})
    return {**settings, **{f"use_{name}": True for name in list(blocks)[1:]}}


def _table(trials: list) -> pd.DataFrame:
    rows = [{"trial": trial.number, "value": trial.value, **trial.params, **trial.user_attrs} for trial in trials]
    return pd.DataFrame(rows)


def _name(x, y, groups, blocks, target, given, tuning) -> str:
    """Digest of everything that a trial's value depends on; the number of trials and minutes only say when to stop."""
    data = hashlib.sha256(np.ascontiguousarray(x.to_numpy(dtype=np.float32)).tobytes() + y.astype(np.int64).tobytes())
    words = [list(x), list(map(str, groups)), blocks, target.model_dump(), given.model_dump(), type(given).__name__]
    return digest([data.hexdigest(), *words, tuning.objective, tuning.folds])
