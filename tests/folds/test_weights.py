"""The audit of weights learnt elsewhere: what they heard is compared with the cases that are judged."""

import json

import pandas as pd
import pytest

from auscult.datasets.base import Columns, Manifest
from auscult.folds.audit import LeakError
from auscult.folds.planned import FoldError
from auscult.folds.weights import audit_weights
from tests.folds.studies import gate, mark

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
def audited(tmp_path):
    def audited(*heard: dict, **more) -> pd.DataFrame:
        (tmp_path / "w.pth.json").write_text(json.dumps({"source": "somewhere", "heard": heard, **more}))
        return audit_weights(MANIFEST, FOLDS, "hearts", {"vit": str(tmp_path / "w.pth")})

    return audited


@pytest.mark.parametrize(
    "heard",
    [[], [{"dataset": "audioset"}], [{"dataset": "hearts", "subjects": ["3", "99"]}]],
    ids=["nothing", "another data set", "training cases"],
)
def test_weights_that_heard_none_of_the_judged(study, audited, heard):
    findings = audited(*heard)
    assert findings.empty and mark(study, findings) == ""


@pytest.mark.parametrize(("subjects", "cases"), [(["4"], ["4"]), (["2"], ["1", "2"]), (["1+2", "4"], ["1", "2", "4"])])
def test_weights_that_heard_judged_subjects_leak(study, audited, subjects, cases):
    findings = audited({"dataset": "hearts", "subjects": subjects})
    row = findings.iloc[0].to_dict()
    assert (row["finding"], row["roles"], row["count"], row["ids"].split()) == (
        "weights_heard",
        "vit+test",
        len(cases),
        cases,
    )
    assert mark(study, findings) == f"weights_heard vit+test: {len(cases)}"
    with pytest.raises(LeakError, match="weights_heard vit"):
        gate(study, findings)


def test_a_data_set_without_its_subjects_is_unknown(study, audited):
    findings = audited({"dataset": "hearts"})
    assert mark(study, findings) == "what the weights of vit heard is unknown"
    gate(study, findings)


def test_no_declaration_is_unknown(study, tmp_path):
    findings = audit_weights(MANIFEST, FOLDS, "hearts", {"vit": str(tmp_path / "none.pth")})
    assert mark(study, findings) == "what the weights of vit heard is unknown"


@pytest.mark.parametrize("text", ["{", "[]", '{"source": "x"}', '{"source": "x", "heard": [{"subject": ["1"]}]}'])
def test_a_declaration_that_is_none(tmp_path, text):
    (tmp_path / "w.pth.json").write_text(text)
    with pytest.raises(FoldError, match=r"w\.pth\.json: not a declaration"):
        audit_weights(MANIFEST, FOLDS, "hearts", {"vit": str(tmp_path / "w.pth")})
