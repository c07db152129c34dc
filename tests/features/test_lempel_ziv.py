"""Lempel–Ziv complexity: equal to antropy's, and to phrases that are searched for letter by letter."""

import math

import antropy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.features.lempel_ziv import lempel_ziv_complexity

SEQUENCES = st.one_of(
    st.lists(st.booleans(), min_size=2, max_size=200),
    st.tuples(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(2, 20)).map(lambda pair: pair[0] * pair[1]),
)


def phrases(text: str) -> int:
    """Lempel and Ziv 1976: again and again, the shortest part that is not in the text before its last letter."""
    count = start = 0
    while start < len(text):
        length = 1
        while start + length <= len(text) and text[start : start + length] in text[: start + length - 1]:
            length += 1
        count, start = count + 1, start + length
    return count


@settings(deadline=None, max_examples=300)
@given(SEQUENCES)
def test_equal_to_antropy_and_to_a_search(bits):
    x = np.array(bits)
    found = lempel_ziv_complexity(x)
    assert found == pytest.approx(antropy.lziv_complexity(x, normalize=True), rel=1e-12)
    assert found == pytest.approx(phrases("".join("01"[bit] for bit in bits)) * math.log2(len(x)) / len(x), rel=1e-12)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5])
def test_long_sequences(share):
    x = np.random.default_rng(1).random(4000) < share
    assert lempel_ziv_complexity(x) == pytest.approx(antropy.lziv_complexity(x, normalize=True), rel=1e-12)
