"""A cell with several labels is refused before the folds where a target or head takes one."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auscult.config.systems import Head, Task, TrainOn
from auscult.config.targets import TargetClasses
from auscult.folds.labels import check_single_labels
from auscult.folds.planned import FoldError
from tests.names import distinct

RECORDINGS = pd.DataFrame({"recording": ["r0"], "case": ["c0"], "phase": ["in|out"]})


def target(classes, kind="multiclass"):
    return {"dx": TargetClasses(label="dx", kind=kind, classes=classes, heads=["dx"])}


@given(classes=distinct(2, 4), row=st.integers(0, 5))
def test_two_labels_of_a_multiclass_target_are_refused_with_case_and_column(classes, row):
    cases = pd.DataFrame({"case": [f"c{k}" for k in range(6)], "dx": classes[0]})
    check_single_labels(target(classes), {}, cases, RECORDINGS)
    cases.loc[row, "dx"] = "|".join(classes[:2])
    check_single_labels(target(classes, "multilabel"), {}, cases, RECORDINGS)
    with pytest.raises(FoldError) as error:
        check_single_labels(target(classes), {}, cases, RECORDINGS)
    assert f"cases.csv: case 'c{row}', column 'dx'" in str(error.value) and "targets.dx" in str(error.value)


def test_labels_of_recordings_too():
    head = Head(label="dx", kind="multiclass", classes=["a", "b"], train_on=TrainOn(column="phase"))
    cases = pd.DataFrame({"case": ["c0"], "dx": ["a"]})
    with pytest.raises(
        FoldError, match=r"recordings.csv: recording 'r0', column 'phase': 'in\|out' has several labels"
    ):
        check_single_labels({}, {"t": Task(heads={"h": head})}, cases, RECORDINGS)
    binary = Head(label="dx", positive=["a"], train_on=TrainOn(column="phase", positive=["in|out"]))
    check_single_labels({}, {"t": Task(heads={"h": binary})}, cases, RECORDINGS)
