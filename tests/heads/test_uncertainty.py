"""Uncertainty of stochastic passes: worked by hand, and the bounds that hold for any probabilities."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from auscult.config.systems import Head
from auscult.heads.uncertainty import entropy, measures

MEASURES = ["mean", "variance", "predictive_entropy", "expected_entropy", "mutual_information"]

BINARY = {"present": Head(label="murmur", positive=["Present"])}
GRADES = {"grade": Head(label="grade", kind="multiclass", classes=["I", "II", "III"])}
RHYTHMS = {"rhythm": Head(label="rhythm", kind="multilabel", classes=["af", "pvc"])}
MIXED = {**BINARY, **GRADES, **RHYTHMS}


def bit(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


@pytest.mark.parametrize(
    ("p", "kind", "expected"),
    [
        ([0.5], "binary", math.log(2)),
        ([0.25], "binary", bit(0.25)),
        ([0.0], "binary", 0),
        ([1.0], "binary", 0),
        ([1 / 3] * 3, "multiclass", math.log(3)),
        ([0.5, 0.5, 0], "multiclass", math.log(2)),
        ([1.0, 0, 0], "multiclass", 0),
        ([0.5, 0.25], "multilabel", math.log(2) + bit(0.25)),
    ],
)
def test_entropy(p, kind, expected):
    assert entropy(np.array([p]), kind) == pytest.approx([expected], abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_entropy_as_scipy(seed):
    p = np.random.default_rng(seed).dirichlet([1, 1, 1], 20)
    assert entropy(p, "multiclass") == pytest.approx(stats.entropy(p, axis=1))


def test_measures_of_two_passes():
    found = measures(np.array([[[0.2], [0.8]]]), BINARY)
    assert list(found) == MEASURES
    assert found["mean"] == pytest.approx(np.array([[0.5]]))
    assert found["variance"] == pytest.approx(np.array([[0.09]]))
    assert found["predictive_entropy"] == pytest.approx(np.array([[math.log(2)]]))
    assert found["expected_entropy"] == pytest.approx(np.array([[bit(0.2)]]))
    assert found["mutual_information"] == pytest.approx(np.array([[math.log(2) - bit(0.2)]]))


def test_passes_that_are_sure_and_disagree_hold_all_the_information():
    found = measures(np.array([[[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]]), GRADES)
    assert found["mutual_information"] == pytest.approx(np.array([[math.log(3)]]))
    assert found["expected_entropy"] == pytest.approx(np.array([[0]]), abs=1e-9)


def test_passes_that_agree_hold_none_and_never_less():
    p = np.random.default_rng(0).random((100, 1, 1)).repeat(7, axis=1)
    found = measures(p, BINARY)
    assert found["mutual_information"] == pytest.approx(np.zeros((100, 1)), abs=1e-9)
    assert (found["mutual_information"] >= 0).all()  # rounding alone would go below
    assert found["variance"] == pytest.approx(np.zeros((100, 1)))


@st.composite
def passes(draw):
    """(n, passes, 6) probabilities of MIXED, some of them exactly 0 or 1."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 6)), 6)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    p = rng.random(shape) ** draw(st.sampled_from([0.1, 1, 5]))
    p[rng.random(shape) < 0.2] = draw(st.sampled_from([0.0, 1.0]))
    p[..., 1] += 1e-3
    p[..., 1:4] /= p[..., 1:4].sum(axis=-1, keepdims=True)
    return p.astype(draw(st.sampled_from([np.float32, np.float64])))


@settings(deadline=None, max_examples=150)
@given(passes())
def test_bounds(p):
    found = measures(p, MIXED)
    assert found["mean"].shape == found["variance"].shape == (len(p), 6)
    limits = [math.log(2), math.log(3), 2 * math.log(2)]
    for name in MEASURES[2:]:
        assert found[name].shape == (len(p), 3)
        assert (found[name] >= 0).all() and (found[name] <= np.array(limits) + 1e-5).all()
    assert (found["expected_entropy"] <= found["predictive_entropy"] + 1e-5).all()
    np.testing.assert_allclose(
        found["mutual_information"], found["predictive_entropy"] - found["expected_entropy"], atol=1e-5
    )
    assert (found["variance"] <= 0.25 + 1e-6).all()


@settings(deadline=None, max_examples=50)
@given(passes(), st.randoms(use_true_random=False))
def test_the_order_of_passes_is_irrelevant(p, random):
    order = random.sample(range(p.shape[1]), p.shape[1])
    first, shuffled = measures(p, MIXED), measures(p[:, order], MIXED)
    for name in MEASURES:
        np.testing.assert_allclose(first[name], shuffled[name], atol=1e-5)
