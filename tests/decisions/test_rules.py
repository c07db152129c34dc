"""The registry of decision rules, and the rules that are not fitted."""

import json
import sys
from itertools import product
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.config.targets import Target
from auscult.decisions import rules
from auscult.decisions.rule import Recordings
from auscult.decisions.rules import any_recording, calibrated, reference

PRESENT, UNKNOWN, ABSENT = 0, 1, 2


# The registry


def test_names_by_kind():
    assert rules.names("multilabel") == ["reference", "tuned_f", "tuned_f_each"]
    both = {*rules.names("multiclass"), *rules.names("multilabel")}
    assert both == set(rules.names()) >= {"any_recording", "argmax", "cost", "temperature", "tuned_both", "tuned_uar"}
    assert all(rules.get(name).name == name and rules.get(name).description.endswith(".") for name in both)
    with pytest.raises(KeyError):
        rules.get("nothing")


def test_modules_are_the_files_of_rules():
    assert {"auscult.decisions.rules.calibrated", "auscult.decisions.rules.reference"} <= set(rules.modules())


def test_a_name_is_one_rules(monkeypatch):
    twice = [*rules.modules(), rules.modules()[0]]
    monkeypatch.setattr(rules, "modules", lambda: twice)
    with pytest.raises(ValueError, match="there is a decision rule 'any_recording' already"):
        rules._registry.__wrapped__()


@pytest.mark.parametrize("names", [{}, {"RULES": 3}, {"RULES": [1]}])
def test_a_file_without_a_tuple_of_rules_is_named(monkeypatch, names):
    module = ModuleType("auscult.decisions.rules.mine")
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(rules, "modules", lambda: [module.__name__])
    with pytest.raises(ValueError, match=r"decisions\.rules\.mine: needs RULES, a tuple of Rule"):
        rules._registry.__wrapped__()


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in ("multiclass", "multilabel") for n in rules.names(k)])
@pytest.mark.parametrize("size", [0, 1, 40])
def test_every_rule_decides_and_what_it_learnt_survives_json(kind, name, size):
    rng = np.random.default_rng(0)
    target = Target(label="x", kind=kind, classes=["a", "b", "c"], heads=["x"], weights=[5, 3, 1])
    truth = rng.integers(0, 3, size) if kind == "multiclass" else rng.integers(0, 2, (size, 3))
    p, rule = rng.dirichlet([1, 1, 1], size), rules.get(name)
    fitted = json.loads(json.dumps(rule.fit(p, truth, target))) if rule.is_fitted else {}
    new = rng.dirichlet([1, 1, 1], 6)
    recordings = Recordings(rng.dirichlet([1, 1, 1], (2, 4)), np.array([0, 0, 3, 5])) if rule.needs_recordings else None
    q, decisions = rule.apply(fitted, new, target, recordings)
    assert q.shape == (6, 3) and np.isfinite(q).all()
    assert decisions.shape == ((6,) if kind == "multiclass" else (6, 3)) and decisions.dtype.kind == "i"
    assert decisions.min() >= 0 and decisions.max() <= (2 if kind == "multiclass" else 1)


# Rules that are not fitted


def cascade(present: float, unknown: float) -> list[float]:
    return [present, (1 - present) * unknown, (1 - present) * (1 - unknown)]


@pytest.mark.parametrize(
    ("not_present", "not_unknown", "decision"),
    [
        (0.4, 0.1, PRESENT),
        (0.5, 0.1, PRESENT),  # "not greater" loses
        (0.51, 0.5, UNKNOWN),
        (0.51, 0.49, UNKNOWN),
        (0.9, 0.51, ABSENT),
        (0.6, 0.45, UNKNOWN),  # 0.4, 0.33, 0.27: the argmax is Present
        (1.0, 1.0, ABSENT),
        (0.0, 0.0, PRESENT),
    ],
)
def test_the_published_decision(not_present, not_unknown, decision):
    p = np.array([cascade(1 - not_present, 1 - not_unknown)])
    assert reference.decide(p).tolist() == [decision]


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 64), st.integers(0, 64))
def test_the_published_decision_for_any_outputs(present, unknown):
    p, u = present / 64, unknown / 64
    expected = PRESENT if p >= 0.5 else UNKNOWN if u >= 0.5 else ABSENT
    assert reference.decide(np.array([cascade(p, u)])).tolist() == [expected]


def test_reference_of_two_and_of_four_classes():
    assert reference.decide(np.array([[0.5, 0.5], [0.49, 0.51]])).tolist() == [0, 1]
    # four classes: the third holds half of what the first two left, but not of all
    assert reference.decide(np.array([[0.3, 0.3, 0.25, 0.15], [0.3, 0.4, 0.2, 0.1]])).tolist() == [2, 1]


def test_reference_of_many_rows_at_once():
    p = np.random.default_rng(0).dirichlet([1, 1, 1], 50)
    assert reference.decide(p).tolist() == [reference.decide(row[None])[0] for row in p]
    assert reference.decide(np.zeros((0, 3))).tolist() == []


def test_reference_multilabel():
    assert reference.decide_multilabel(np.array([[0.5, 0.49], [0.9, 0.8]])).tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize("seed", range(5))
def test_the_largest_weighted_maximises_expected_weighted_accuracy(seed):
    """By brute force over all decisions; the weights of the truth sum to a constant."""
    rng = np.random.default_rng(seed)
    p, weights = rng.dirichlet([1, 1, 1], 4), [5, 3, 1]

    def expected(decision) -> float:
        return sum(p[row, chosen] * weights[chosen] for row, chosen in enumerate(decision))

    best = max(product(range(3), repeat=4), key=expected)
    assert calibrated.largest_weighted(p, weights).tolist() == list(best)


def test_weights_of_a_rare_class():
    p = np.array([[0.2, 0.1, 0.7], [0.1, 0.1, 0.8], [0.0, 0.3, 0.7]])
    assert calibrated.largest_weighted(p, [5, 3, 1]).tolist() == [PRESENT, ABSENT, UNKNOWN]
    assert calibrated.largest_weighted(p, [1, 1, 1]).tolist() == [ABSENT] * 3


ANY = {
    "one recording is Present": ([PRESENT, ABSENT, UNKNOWN], PRESENT),
    "one is Unknown": ([ABSENT, UNKNOWN], UNKNOWN),
    "all are Absent": ([ABSENT, ABSENT], ABSENT),
    "none": ([], UNKNOWN),
}


def test_any_recording():
    case, classes = [], []
    for number, (recordings, _) in enumerate(ANY.values()):
        case += [number] * len(recordings)
        classes += recordings
    p = 0.2 + 0.4 * np.eye(3)[classes]
    order = np.random.default_rng(0).permutation(len(p))
    fallback = np.tile([0.3, 0.4, 0.3], (len(ANY), 1))
    decisions = any_recording.decide(Recordings(p[None, order], np.array(case)[order]), fallback)
    assert decisions.tolist() == [decision for _, decision in ANY.values()]


def test_any_recording_takes_the_most_probable_class_not_one_above_a_half():
    recordings = Recordings(np.array([[[0.4, 0.35, 0.25]]]), np.array([0]))
    assert any_recording.decide(recordings, np.array([[0, 0, 1.0]])).tolist() == [PRESENT]


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_each_network_decides_by_any_recording_and_most_of_them_count(seed, networks):
    rng = np.random.default_rng(seed)
    case, p = rng.integers(0, 6, 14), rng.dirichlet([1, 1, 1], 6)
    of_networks = rng.dirichlet([0.5, 0.5, 0.5], (networks, 14))
    alone = [any_recording.decide(Recordings(one[None], case), p) for one in of_networks]
    for number, decision in enumerate(any_recording.decide(Recordings(of_networks, case), p)):
        votes = np.bincount([decisions[number] for decisions in alone], minlength=3)
        assert votes[decision] == votes.max()
        assert p[number, decision] == p[number, votes == votes.max()].max()


@settings(deadline=None)
@given(st.integers(2, 5).flatmap(lambda k: st.lists(st.lists(st.floats(0, 1), min_size=k, max_size=k), max_size=6)))
def test_argmax_is_the_first_most_probable_class(rows):
    p = np.array(rows).reshape(len(rows), -1) if rows else np.zeros((0, 3))
    target = Target(label="l", classes=["a", "b", "c"], heads=["l"])
    q, decisions = rules.get("argmax").apply({}, p, target, None)
    assert q is p and decisions.tolist() == [row.index(max(row)) for row in rows]
