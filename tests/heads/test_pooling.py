"""Pooling against a slow loop."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.heads.pooling import pool

RULES = ["mean", "min", "max", "top_k", "noisy_or"]


def slow(values: np.ndarray, how: str, k: int) -> float:
    if not len(values):
        return math.nan
    return {
        "mean": lambda: sum(values) / len(values),
        "min": lambda: min(values),
        "max": lambda: max(values),
        "top_k": lambda: sum(sorted(values, reverse=True)[:k]) / min(k, len(values)),
        "noisy_or": lambda: 1 - math.prod(1 - v for v in values),
    }[how]()


@st.composite
def parts(draw):
    owners = draw(st.integers(1, 5))
    owner = np.array(draw(st.lists(st.integers(0, owners - 1), min_size=0, max_size=12)), dtype=int)
    shape = (len(owner), *draw(st.sampled_from([(1,), (2,), (3, 2)])))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    values = rng.random(shape)
    values[rng.random(shape) < 0.2] = draw(st.sampled_from([0.0, 1.0]))
    return values.astype(draw(st.sampled_from([np.float32, np.float64]))), owner, owners


@settings(deadline=None, max_examples=150)
@given(parts(), st.sampled_from(RULES), st.integers(1, 4))
def test_pool_as_a_slow_loop(part, how, k):
    values, owner, owners = part
    pooled = pool(values, owner, owners, how, k)
    assert pooled.shape == (owners, *values.shape[1:]) and pooled.dtype == np.float64
    for place in np.ndindex(pooled.shape):
        mine = values[(owner == place[0], *place[1:])].astype(float)
        np.testing.assert_allclose(pooled[place], slow(mine, how, k), atol=1e-7)


@pytest.mark.parametrize("how", RULES)
def test_pool_does_not_change_its_input_and_knows_the_empty(how):
    values, owner = np.array([[0.2], [0.9], [0.4]]), np.array([2, 0, 2])
    original = values.copy()
    pooled = pool(values, owner, 4, how, 1)
    assert (values == original).all()
    assert np.isnan(pooled[:, 0]).tolist() == [False, True, False, True]
    assert np.isnan(pool(np.zeros((0, 2)), np.zeros(0, int), 3, how, 1)).all()
