"""Labels that cannot mean what the study says are refused before the folds: other writings, several in a cell."""

from random import Random

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auscult.config.systems import Head, Task, TrainOn
from auscult.config.targets import TargetClasses
from auscult.folds.labels import (
    check_labelled,
    check_labelled_recordings,
    check_labels,
    check_recording_labels,
    check_single_labels,
)
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


MANY = ["MI", "AF", "LAFB/LPFB", "1 AVB"]
OTHER_WRITINGS = [
    *("mi", "Af", "MI ", "M\u0406", "MI\u200b", "1  avb", "lafb/lpfb"),
    *("MI;AF", "MI | AF", "MI/AF", "MI, AF", "AF+MI", "MI & AF", "mi;af"),
]


def heads(kind: str, words: list[str]) -> dict[str, Task]:
    head = Head(label="dx", positive=words) if kind == "binary" else Head(label="dx", kind=kind, classes=words)
    return {"t": Task(heads={"h": head})}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cell", OTHER_WRITINGS)
@pytest.mark.parametrize("kind", ["binary", "multilabel", "multiclass"])
def test_a_word_in_another_writing_is_refused_with_its_case(kind, cell, seed):
    """Otherwise a multilabel or binary head would silently learn it as none of its classes."""
    random = Random(seed)
    cells = [random.choice([*MANY, "other", ""] if kind != "multiclass" else MANY) for _ in range(12)] + MANY
    cases = pd.DataFrame({"case": [f"c{number}" for number in range(16)], "subject": "s", "dx": cells})
    check_labels({}, heads(kind, MANY), cases)
    row = random.randrange(16)
    cases.loc[row, "dx"] = cell
    with pytest.raises(FoldError, match=rf"case 'c{row}': dx is '"):
        check_labels({}, heads(kind, MANY), cases)


@pytest.mark.parametrize("cell", ["other", "AF type 2", "MINI", "MI;other", "none", "AVB", "MI-", "-MI", "1-AVB"])
def test_further_words_are_no_classes(cell):
    cases = pd.DataFrame({"case": ["c0", "c1"], "subject": "s", "dx": [cell, "MI|AF"]})
    check_labels(target(MANY, "multilabel"), heads("multilabel", MANY), cases)


@pytest.mark.parametrize("positive", [["y"], ["present", "likely"]])
def test_a_binary_head_without_a_positive_case_is_refused(positive):
    cases = pd.DataFrame({"case": ["c0", "c1", "c2"], "subject": "s", "dx": ["yes", "no", ""]})
    with pytest.raises(FoldError, match=r"tasks\.t\.heads\.h\.positive: no case has one of .*; dx has \['no', 'yes'\]"):
        check_labels({}, heads("binary", positive), cases)
    check_labels({}, heads("binary", ["yes", *positive[1:]]), cases)


def test_minus_one_is_not_one_and_no_answer_is_no_pair_of_classes():
    cases = pd.DataFrame({"case": ["c0", "c1", "c2"], "subject": "s", "dx": ["-1", "1", "0"]})
    check_labels({}, heads("binary", ["1"]), cases)
    check_labels(target(["N", "A"], "multilabel"), {}, cases.assign(dx=["N", "A", "N/A"]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["binary", "multilabel", "multiclass"])
@pytest.mark.parametrize("cell", OTHER_WRITINGS)
def test_a_label_of_a_recording_in_another_writing_is_refused(kind, cell, seed):
    """It would be a negative."""
    words = {"positive": MANY} if kind == "binary" else {}
    classes = {"positive": MANY} if kind == "binary" else {"classes": MANY}
    head = Head(label="dx", kind=kind, **classes, train_on=TrainOn(column="phase", **words))
    tasks = {"t": Task(heads={"h": head})}
    cells = [*MANY, "", MANY[0]]
    recordings = pd.DataFrame({"recording": [f"r{k}" for k in range(6)], "case": "c", "phase": cells})
    check_recording_labels(tasks, recordings)
    recordings.loc[Random(seed).randrange(6), "phase"] = cell
    with pytest.raises(FoldError, match=r"tasks\.t\.heads\.h\.train_on: the column phase has .*; is .* meant"):
        check_recording_labels(tasks, recordings)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("of_recordings", [False, True])
def test_a_head_without_a_label_in_the_training_part_of_any_fold_is_named(seed, of_recordings):
    """Before any fold trains, whatever labels the other head has."""
    ids = [f"c{k}" for k in range(8)]
    head = Head(
        label="dx", positive=["a"], **({"train_on": TrainOn(column="phase", positive=["a"])} if of_recordings else {})
    )
    tasks = {"t": Task(heads={"full": Head(label="other", positive=["x"]), "rare": head})}
    lucky = Random(seed).randrange(4)
    has_label = {"phase" if of_recordings else "dx": ["a" if k == lucky else "" for k in range(8)]}
    cases = pd.DataFrame({"case": ids, "other": "x", "dx": "a"} | ({} if of_recordings else has_label))
    recordings = pd.DataFrame({"recording": ids, "case": ids} | (has_label if of_recordings else {}))
    for fold in range(4):  # each fold leaves one of the first four cases to the test
        roles = ["test" if k == fold else "val" if k > 5 else "train" for k in range(8)]
        folds = pd.DataFrame({"repeat": 0, "fold": fold, "case": ids, "role": roles})

        def check(folds=folds) -> None:
            check_labelled(tasks, cases, folds, "fold")
            check_labelled_recordings(tasks, recordings, folds)

        if fold != lucky:
            check()
        else:
            with pytest.raises(FoldError, match=r"no training .* has a label for tasks\.t\.heads.*rare"):
                check()
