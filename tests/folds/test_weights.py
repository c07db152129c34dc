"""The audit of pretrained weights: their training subjects are compared with the test cases."""

import json

import pandas as pd
import pytest

from auscult.datasets.base import Columns, Manifest
from auscult.folds.audit import LeakError
from auscult.folds.planned import FoldError
from auscult.folds.weights import audit_weights
from tests.folds.studies import mark, refuse_leaks

MANIFEST = Manifest(
    pd.DataFrame({"case": ["1", "2", "3", "4"], "subject": ["1+2", "1+2", "3", "4"], "sound": ["yes", "no"] * 2}),
    pd.DataFrame(),
    pd.DataFrame(),
    Columns(labels=["sound"]),
)
FOLDS = pd.DataFrame({"repeat": 0, "fold": 0, "case": ["1", "2", "3", "4"], "role": ["test", "test", "train", "test"]})


@pytest.fixture
def study(make_study):
    return make_study({"name": "group_cv"}, {"sound": ["yes", "no"]})


@pytest.fixture
def audit_declaration(tmp_path):
    def audit_declaration(*heard: dict, **more) -> pd.DataFrame:
        (tmp_path / "w.pth.json").write_text(json.dumps({"source": "somewhere", "heard": heard, **more}))
        return audit_weights(MANIFEST, FOLDS, "hearts", {"vit": str(tmp_path / "w.pth")})

    return audit_declaration


@pytest.mark.parametrize(
    "heard",
    [[], [{"dataset": "audioset"}], [{"dataset": "hearts", "subjects": ["3", "99"]}]],
    ids=["nothing", "another data set", "training cases"],
)
def test_weights_that_were_trained_on_no_test_subject(study, audit_declaration, heard):
    findings = audit_declaration(*heard)
    assert findings.empty and mark(study, findings) == ""


@pytest.mark.parametrize(("subjects", "cases"), [(["4"], ["4"]), (["2"], ["1", "2"]), (["1+2", "4"], ["1", "2", "4"])])
def test_weights_that_were_trained_on_test_subjects_leak(study, audit_declaration, subjects, cases):
    findings = audit_declaration({"dataset": "hearts", "subjects": subjects})
    row = findings.iloc[0].to_dict()
    assert (row["finding"], row["roles"], row["count"], row["ids"].split()) == (
        "weights_heard",
        "vit+test",
        len(cases),
        cases,
    )
    assert mark(study, findings) == f"weights_heard vit+test: {len(cases)}"
    with pytest.raises(LeakError, match="weights_heard vit"):
        refuse_leaks(study, findings)


def test_a_data_set_without_its_subjects_is_unknown(study, audit_declaration):
    findings = audit_declaration({"dataset": "hearts"})
    assert mark(study, findings) == "training subjects of the weights of vit unknown"
    refuse_leaks(study, findings)


def test_no_declaration_is_unknown(study, tmp_path):
    findings = audit_weights(MANIFEST, FOLDS, "hearts", {"vit": str(tmp_path / "none.pth")})
    assert mark(study, findings) == "training subjects of the weights of vit unknown"


@pytest.mark.parametrize("text", ["{", "[]", '{"source": "x"}', '{"source": "x", "heard": [{"subject": ["1"]}]}'])
def test_a_declaration_that_is_none(tmp_path, text):
    (tmp_path / "w.pth.json").write_text(text)
    with pytest.raises(FoldError, match=r"w\.pth\.json: not a declaration"):
        audit_weights(MANIFEST, FOLDS, "hearts", {"vit": str(tmp_path / "w.pth")})
