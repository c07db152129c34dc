"""Names of folds and networks: text and object are each other's inverse, and nothing else is a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auscult.plan.names import NetworkName, fold_of_set, inner_set, is_inner_set

NUMBERS = st.integers(0, 10_000)
NAMES = st.builds(NetworkName, NUMBERS, NUMBERS, st.none() | NUMBERS, st.none() | NUMBERS)


@given(NAMES)
def test_every_name_is_read_back(name):
    assert NetworkName.parse(str(name)) == name
    assert name.outer == NetworkName(name.repeat, name.fold)
    assert name.is_inner == (name.inner is not None)


def test_the_words_of_the_grammar():
    assert str(NetworkName(0, 3)) == "r0f3"
    assert str(NetworkName(1, 3, 2)) == "r1f3i2"
    assert str(NetworkName(1, 3, 2).with_seed(4)) == "r1f3i2s4"
    assert str(NetworkName(0, 3, None, 1)) == "r0f3s1"


@given(st.text(alphabet="rfis0123 ", max_size=12))
def test_other_texts_are_refused(text):
    try:
        assert str(NetworkName.parse(text)) == text
    except ValueError as error:
        assert repr(text) in str(error)


@pytest.mark.parametrize(
    "text", ["", "r0", "f3r0", "r0f3i", "r0f03", "r-1f0", "r0f3s1i1", "r0f3 ", "R0f3", "r0f3i1s0x"]
)
def test_near_names_are_refused(text):
    with pytest.raises(ValueError, match="is no name of a fold or network"):
        NetworkName.parse(text)


@given(st.builds(NetworkName, NUMBERS, NUMBERS))
def test_the_set_of_inner_folds(fold):
    assert is_inner_set(inner_set(fold)) and not is_inner_set(str(fold))
    assert fold_of_set(inner_set(fold)) == fold_of_set(str(fold)) == fold
