"""Rules from probabilities to a class."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.decisions import rules

PRESENT, UNKNOWN, ABSENT = 0, 1, 2


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
    assert rules.reference(p).tolist() == [decision]


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 64), st.integers(0, 64))
def test_the_published_decision_for_any_outputs(present, unknown):
    p, u = present / 64, unknown / 64
    expected = PRESENT if p >= 0.5 else UNKNOWN if u >= 0.5 else ABSENT
    assert rules.reference(np.array([cascade(p, u)])).tolist() == [expected]


def test_reference_of_two_and_of_four_classes():
    assert rules.reference(np.array([[0.5, 0.5], [0.49, 0.51]])).tolist() == [0, 1]
    # four classes: the third holds half of what the first two left, but not of all
    assert rules.reference(np.array([[0.3, 0.3, 0.25, 0.15], [0.3, 0.4, 0.2, 0.1]])).tolist() == [2, 1]


def test_reference_of_many_rows_at_once():
    p = np.random.default_rng(0).dirichlet([1, 1, 1], 50)
    assert rules.reference(p).tolist() == [rules.reference(row[None])[0] for row in p]
    assert rules.reference(np.zeros((0, 3))).tolist() == []


def test_reference_multilabel():
    assert rules.reference_multilabel(np.array([[0.5, 0.49], [0.9, 0.8]])).tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize("seed", range(5))
def test_cost_maximises_expected_weighted_accuracy(seed):
    """By brute force over all decisions; the weights of the truth sum to a constant."""
    rng = np.random.default_rng(seed)
    p, weights = rng.dirichlet([1, 1, 1], 4), [5, 3, 1]

    def expected(decision) -> float:
        return sum(p[row, chosen] * weights[chosen] for row, chosen in enumerate(decision))

    best = max(product(range(3), repeat=4), key=expected)
    assert rules.cost(p, weights).tolist() == list(best)


def test_cost_of_a_rare_class():
    p = np.array([[0.2, 0.1, 0.7], [0.1, 0.1, 0.8], [0.0, 0.3, 0.7]])
    assert rules.cost(p, [5, 3, 1]).tolist() == [PRESENT, ABSENT, UNKNOWN]
    assert rules.cost(p, [1, 1, 1]).tolist() == [ABSENT] * 3


ANY = {
    "one recording is Present": ([PRESENT, ABSENT, UNKNOWN], PRESENT),
    "one is Unknown": ([ABSENT, UNKNOWN], UNKNOWN),
    "all are Absent": ([ABSENT, ABSENT], ABSENT),
    "none": ([], UNKNOWN),
}


def test_any_recording():
    owner, found = [], []
    for number, (recordings, _) in enumerate(ANY.values()):
        owner += [number] * len(recordings)
        found += recordings
    p = 0.2 + 0.4 * np.eye(3)[found]
    order = np.random.default_rng(0).permutation(len(p))
    fallback = np.tile([0.3, 0.4, 0.3], (len(ANY), 1))
    decided = rules.any_recording(p[order], np.array(owner)[order], fallback)
    assert decided.tolist() == [decision for _, decision in ANY.values()]


def test_any_recording_takes_the_most_probable_class_not_one_above_a_half():
    p = np.array([[0.4, 0.35, 0.25]])
    assert rules.any_recording(p, np.array([0]), np.array([[0, 0, 1.0]])).tolist() == [PRESENT]
