"""Labels to numbers and back."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auscult.heads.labels import class_sets, decode, encode

CLASSES = ["af", "pvc", "a"]  # one name begins with another


@given(st.lists(st.sampled_from(CLASSES)))
def test_one_class_there_and_back(cells):
    numbers = encode(pd.Series(cells, dtype=object), CLASSES, "multiclass")
    assert numbers.shape == (len(cells),) and numbers.dtype == int
    assert decode(numbers, CLASSES) == cells


@given(st.lists(st.sets(st.sampled_from(CLASSES))))
def test_several_classes_there_and_back(sets):
    cells = ["|".join(name for name in CLASSES if name in names) for names in sets]
    numbers = encode(cells, CLASSES, "multilabel")
    assert numbers.tolist() == [[int(name in names) for name in CLASSES] for names in sets]
    assert decode(numbers, CLASSES) == cells
    assert (class_sets(["|".join(reversed(cell.split("|"))) for cell in cells], CLASSES) == numbers).all()


def test_a_class_that_is_not_the_targets_is_an_error():
    with pytest.raises(KeyError, match="murmur"):
        encode(["af", "murmur"], CLASSES, "multiclass")


def test_decisions_of_truth_values():
    assert decode(np.array([[True, False, True], [False] * 3]), CLASSES) == ["af|a", ""]
