"""Tuning: it finds what helps, keeps its trials, goes on where it was cut off, and reads no other search's trials."""

import numpy as np
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from auscult.config.fusion import Booster, Logistic, Tuning
from auscult.fusion import tuning as module
from auscult.fusion.tuning import loss, tune

BLOCKS = {"first": ["a"], "noise": [f"n{k}" for k in range(60)]}
BOOSTER = Booster(rounds=20)
LEARNERS = pytest.mark.parametrize("given", [BOOSTER, Logistic(c=5.0)], ids=["xgboost", "logistic"])


@pytest.fixture
def target(murmur_study):
    return murmur_study().targets["murmur"]


def data(size: int = 120) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """One column that says the class, sixty that say nothing; two cases a subject."""
    rng = np.random.default_rng(0)
    y = np.arange(size) % 3
    x = pd.DataFrame(rng.standard_normal((size, 60)), columns=BLOCKS["noise"])
    x.insert(0, "a", y + 0.3 * rng.standard_normal(size))
    return x, y, np.repeat([f"s{k}" for k in range(size // 2)], 2)


def search(target, store, given=BOOSTER, trials=6, rows=None, **changes):
    x, y, groups = rows or data()
    settings = Tuning(trials=trials, **changes)
    return tune(x, y, groups, BLOCKS, target, given, settings, store, 1)


@LEARNERS
def test_noise_is_left_out_and_the_best_trial_is_taken(target, tmp_path, given):
    choice, trials = search(target, tmp_path / "log", given, trials=12)
    assert choice.columns == ["a"]
    assert len(trials) == 12 and trials["value"].min() < trials["value"].iloc[0]
    best = trials.loc[trials["value"].idxmin()]
    assert choice.settings.weigh == best["weigh"] and not best["use_noise"]
    if isinstance(given, Booster):
        assert choice.settings.rounds == best["rounds"] and choice.settings.max_depth == best["max_depth"] <= 8


@LEARNERS
def test_the_first_trial_is_what_the_study_says(target, tmp_path, given):
    _, trials = search(target, tmp_path / "log", given, trials=1)
    first = trials.iloc[0]
    assert first["weigh"] == given.weigh and first["use_noise"]
    assert all(first[key] == value for key, value in given.model_dump(exclude={"rounds", "seed"}).items())


@LEARNERS
def test_a_search_that_was_cut_off_goes_on_as_it_would_have(target, tmp_path, given):
    _, whole = search(target, tmp_path / "whole", given)
    search(target, tmp_path / "cut", given, trials=3)
    _, again = search(target, tmp_path / "cut", given)
    pd.testing.assert_frame_equal(whole, again)


def test_finished_trials_are_not_made_again(target, tmp_path, monkeypatch):
    search(target, tmp_path / "log", trials=3)
    monkeypatch.setattr(module, "fit", lambda *given: pytest.fail("a trial was made again"))
    assert len(search(target, tmp_path / "log", trials=3)[1]) == 3


@pytest.mark.parametrize("changed", ["label", "value", "subject", "objective", "learner"])
def test_another_search_reads_none_of_its_trials(target, tmp_path, monkeypatch, changed):
    search(target, tmp_path / "log", trials=2)
    x, y, groups = data()
    given, more = BOOSTER, {}
    if changed == "label":
        y[0] = 2
    if changed == "value":
        x.iloc[0, 0] += 1
    if changed == "subject":
        groups[0] = "s9"
    if changed == "objective":
        more = {"objective": "w_acc"}
    if changed == "learner":
        given = BOOSTER.model_copy(update={"seed": 1})
    made = []
    original = module.fit
    monkeypatch.setattr(module, "fit", lambda *given: made.append(1) or original(*given))
    search(target, tmp_path / "log", given, trials=1, rows=(x, y, groups), **more)
    assert made


def test_no_case_is_scored_by_a_model_that_saw_its_subject(target, tmp_path, monkeypatch):
    x, y, groups = data()
    original = module.fit
    seen = []

    def spy(rows, *rest):
        seen.append((set(rows.index), set(rest[-1][0].index)))
        return original(rows, *rest)

    monkeypatch.setattr(module, "fit", spy)
    search(target, tmp_path / "log", trials=2, rows=(x, y, groups))
    assert len(seen) == 6
    for fit_ids, out_ids in seen:
        assert fit_ids | out_ids == set(x.index) and not set(groups[list(fit_ids)]) & set(groups[list(out_ids)])


def test_minutes_end_a_search(target, tmp_path):
    assert len(search(target, tmp_path / "log", trials=50, minutes=1e-9)[1]) == 1


def test_too_few_cases_to_divide_keep_the_settings(target, tmp_path):
    x, y, _ = data(6)
    choice, trials = search(target, tmp_path / "log", rows=(x, y, np.array(["s"] * 6)))
    assert choice.settings == BOOSTER and choice.columns == list(x) and trials.empty


def test_objectives(target):
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    assert loss(target, p, np.array([0, 2]), "log_loss") == pytest.approx(-np.log([0.7, 0.8]).mean())
    # weights 5, 3, 1: Absent is said where it is five times as likely as Present
    assert loss(target, p, np.array([0, 2]), "w_acc") == 0 and loss(target, p, np.array([1, 2]), "w_acc") == 0.75


@LEARNERS
@pytest.mark.parametrize("has_begun", [True, False])
def test_a_search_that_was_killed_in_its_first_trial_begins_with_the_settings_of_the_study(
    target, tmp_path, monkeypatch, given, has_begun
):
    _, whole = search(target, tmp_path / "whole", given, trials=3)

    class Killed(BaseException):
        """As a signal: nothing is written about the trial's end."""

    def die(*_, **__):
        raise Killed

    keep = JournalStorage.set_trial_state_values

    def until_killed(storage, trial, state, values=None):
        return has_begun and state == TrialState.RUNNING and keep(storage, trial, state, values)

    with monkeypatch.context() as patch:
        patch.setattr(module, "fit", die)
        patch.setattr(JournalStorage, "set_trial_state_values", until_killed if has_begun else die)
        with pytest.raises(Killed):
            search(target, tmp_path / "cut", given, trials=3)
    _, again = search(target, tmp_path / "cut", given, trials=3)
    pd.testing.assert_frame_equal(whole.drop(columns="trial"), again.drop(columns="trial"))


@LEARNERS
@pytest.mark.parametrize("earlier", [3, 5])
def test_fewer_trials_than_an_earlier_search_had_give_what_a_fresh_one_gives(target, tmp_path, given, earlier):
    search(target, tmp_path / "log", given, trials=earlier)
    choice, trials = search(target, tmp_path / "log", given, trials=2)
    fresh_choice, fresh_trials = search(target, tmp_path / "fresh", given, trials=2)
    assert choice == fresh_choice
    pd.testing.assert_frame_equal(trials, fresh_trials)
