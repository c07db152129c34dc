"""Sample entropy: equal to antropy's, and to a count of pairs if differences equal the tolerance."""

import math

import antropy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from auscult.features.sample_entropy import sample_entropy


@pytest.mark.parametrize("size", [5, 40, 1333, 4000])
@pytest.mark.parametrize("share", [0.05, 0.15, 1.0])
@pytest.mark.parametrize("kind", ["noise", "walk", "tone"])
def test_equal_to_antropy(kind, share, size):
    noise = np.random.default_rng(size).standard_normal(size)
    x = {"noise": noise, "walk": np.cumsum(noise), "tone": np.sin(np.arange(size) / 7) + 0.1 * noise}[kind]
    tolerance = share * x.std()
    with np.errstate(all="ignore"):
        theirs = antropy.sample_entropy(x, order=2, tolerance=tolerance)
    bound = math.log((size - 2) * (size - 3) / 2)
    assert sample_entropy(x, tolerance) == pytest.approx(theirs if math.isfinite(theirs) else bound, rel=1e-12)


@settings(deadline=None, max_examples=100)
@given(
    arrays.arrays(np.float64, st.integers(5, 60), elements=st.sampled_from([-0.5, 0.0, 0.25, 0.5])),
    st.sampled_from([0.1, 0.25, 0.5, 2.0]),
)
def test_differences_equal_to_the_tolerance_do_not_match(x, tolerance):
    starts, match_counts = range(len(x) - 2), {}
    for m in (2, 3):
        near = [[all(abs(x[i + k] - x[j + k]) < tolerance for k in range(m)) for j in starts if j > i] for i in starts]
        match_counts[m] = sum(map(sum, near))
    bound = math.log((len(x) - 2) * (len(x) - 3) / 2)
    expected = math.log(match_counts[2] / match_counts[3]) if match_counts[3] else bound
    assert sample_entropy(x, tolerance) == pytest.approx(expected, abs=1e-12)
