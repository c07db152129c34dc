"""Targets: labels to columns of numbers, by id, with NaN where there is no label."""

import numpy as np
import pandas as pd
import pytest

from auscult.config.systems import Head
from auscult.heads.outputs import columns, output_names
from auscult.training.targets import case_targets, encode, recording_targets

NAN = [np.nan]
HEADS = {
    "present": Head(label="murmur", positive=["Present"], train_on={"column": "audible", "positive": ["yes"]}),
    "grade": Head(label="grade", kind="multiclass", classes=["I", "II", "III"]),
    "rhythm": Head(label="rhythm", kind="multilabel", classes=["af", "pvc"]),
}
CASES = pd.DataFrame(
    {
        "case": ["1", "2", "3"],
        "murmur": ["Present", "Absent", ""],
        "grade": ["II", "", "I"],
        "rhythm": ["pvc|af", "none", ""],
    }
)


def test_columns_follow_the_order_of_the_heads():
    assert columns(HEADS) == {"present": slice(0, 1), "grade": slice(1, 4), "rhythm": slice(4, 6)}
    assert output_names(HEADS) == ["present", "grade_I", "grade_II", "grade_III", "rhythm_af", "rhythm_pvc"]


def test_case_targets():
    targets = case_targets(HEADS, CASES)
    assert targets.dtype == np.float32
    nan = np.nan
    expected = [[1, 0, 1, 0, 1, 1], [0, nan, nan, nan, 0, 0], [nan, 1, 0, 0, nan, nan]]
    np.testing.assert_array_equal(targets, np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("kind", "labels", "expected"),
    [
        ("binary", ["b", "a", "c", ""], [[1], [0], [1], NAN]),
        ("multiclass", ["b", "", "a"], [[0, 1], NAN * 2, [1, 0]]),
        ("multilabel", ["b|a", "other", "", "b"], [[1, 1], [0, 0], NAN * 2, [0, 1]]),
        ("multilabel", [], np.zeros((0, 2))),
    ],
)
def test_encode(kind, labels, expected):
    targets = encode(pd.Series(labels, dtype=str), kind, ["b", "c"], ["a", "b"])
    np.testing.assert_array_equal(targets, np.array(expected, np.float32))


def test_a_class_name_inside_another_is_not_mistaken():
    assert encode(pd.Series(["ab"]), "multilabel", [], ["a", "ab"]).tolist() == [[0, 1]]


def test_recordings_have_their_own_label_or_their_cases():
    recordings = pd.DataFrame({"case": ["3", "1", "2", "1"], "audible": ["yes", "no", "", "yes"]})
    targets = recording_targets(HEADS, CASES, recordings)
    np.testing.assert_array_equal(targets[:, 0], np.float32([1, 0, np.nan, 1]))
    np.testing.assert_array_equal(targets[:, 1:], case_targets(HEADS, CASES)[[2, 0, 1, 0], 1:])


def test_recordings_find_their_case_by_id():
    recordings = pd.DataFrame({"case": ["1", "2", "3"], "audible": ["yes", "no", ""]})
    targets = recording_targets(HEADS, CASES.iloc[::-1], recordings)
    np.testing.assert_array_equal(targets, recording_targets(HEADS, CASES, recordings))


@pytest.mark.parametrize("seed", range(4))
def test_a_binary_head_finds_its_class_among_others_in_a_cell(seed):
    rng = np.random.default_rng(seed)
    words = ["wheeze", "crackle", "rub", "stridor"]
    cells = ["|".join(rng.permutation(words)[: rng.integers(0, 4)]) for _ in range(40)]
    values = encode(pd.Series(cells), "binary", ["wheeze", "rub"], [])[:, 0]
    expected = [np.nan if not cell else float(bool({"wheeze", "rub"} & set(cell.split("|")))) for cell in cells]
    np.testing.assert_array_equal(values, expected)
