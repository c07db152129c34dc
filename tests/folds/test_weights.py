"""The audit of pretrained weights: their training subjects are compared with the test cases."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest

from auscult.datasets.base import Columns, Manifest
from auscult.folds.audit import LeakError
from auscult.folds.planned import FoldError
from auscult.folds.weights import audit_pretrainings, audit_weights
from auscult.plan.names import NetworkName
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
        return audit_weights(MANIFEST, FOLDS, "hearts", [("vit", str(tmp_path / "w.pth"))])

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


WRITINGS = [str.upper, str.title, lambda x: f" {x}", lambda x: x.replace("e", "\u0435"), lambda x: f"{x}_"]
ID_WRITINGS = [lambda x: f"0{x}", lambda x: f"{x}.0", lambda x: f" {x} ", lambda x: f"#{x}", lambda x: x]


@pytest.mark.parametrize("seed", range(20))
def test_names_and_ids_count_in_any_writing(audit_declaration, seed):
    random = Random(seed)
    dataset, subject = random.choice(WRITINGS)("hearts"), random.choice(["1", "2", "4"])
    findings = audit_declaration({"dataset": dataset, "subjects": [random.choice(ID_WRITINGS)(subject), "3"]})
    assert findings["finding"].tolist() == ["weights_heard"]


@pytest.mark.parametrize("dataset", ["hearts", "HEARTS", "hearts-2016", "my hearts"])
@pytest.mark.parametrize("subjects", [[], ["all"], ["*"], ["1, 4"], ["patient_1", "4_AV"], ["1-4"]])
def test_subjects_that_the_data_set_does_not_have_say_nothing(study, audit_declaration, dataset, subjects):
    findings = audit_declaration({"dataset": dataset, "subjects": subjects})
    assert mark(study, findings) == "training subjects of the weights of vit unknown"


@pytest.mark.parametrize("dataset", ["hearts-1.0.3", "my hearts", "Hearts_full"])
@pytest.mark.parametrize(
    ("subjects", "finding"), [(["4"], "weights_heard"), (["99"], "weights_unknown"), (["3"], None)]
)
def test_a_data_set_with_the_words_of_this_one_counts_as_it(audit_declaration, dataset, subjects, finding):
    """4 is a test subject, 3 a training subject, and x is unknown."""
    findings = audit_declaration({"dataset": dataset, "subjects": subjects})
    assert findings["finding"].tolist() == ([finding] if finding else [])


@pytest.mark.parametrize("dataset", ["other", "heart", "heartset", "shearts"])
def test_a_data_set_of_another_name_is_another(audit_declaration, dataset):
    assert audit_declaration({"dataset": dataset, "subjects": ["4"]}).empty


@pytest.mark.parametrize("name", ["4", "4_AV", "r4_MV"])
def test_ids_of_cases_and_recordings_count(name):
    """Somebody who lists the files that were read means their subjects."""
    table = pd.DataFrame({"recording": ["1_AV", "3_AV", "4_AV", "r4_MV"], "case": list("1344")})
    manifest = replace(MANIFEST, recordings=table)
    entry = {"dataset": "hearts", "subjects": ["3_AV", name]}
    with TemporaryDirectory() as folder:
        Path(folder, "w.pth.json").write_text(json.dumps({"source": "x", "heard": [entry]}))
        findings = audit_weights(manifest, FOLDS, "hearts", [("vit", f"{folder}/w.pth")])
    assert findings[["finding", "ids"]].to_numpy().tolist() == [["weights_heard", "4"]]


def test_no_declaration_is_unknown(study, tmp_path):
    findings = audit_weights(MANIFEST, FOLDS, "hearts", [("vit", str(tmp_path / "none.pth"))])
    assert mark(study, findings) == "training subjects of the weights of vit unknown"


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("copied", "cases"), [({"r4"}, ["4"]), ({"r3"}, []), ({"r1", "r3", "r4"}, ["1", "4"])])
def test_a_copy_of_a_recording_of_the_weights_leaks_whatever_its_subject_is_called(
    study, tmp_path, declared, copied, cases
):
    """r3 is of a training case."""
    recordings = pd.DataFrame({"recording": [f"r{number}" for number in range(1, 5)], "case": list("1234")})
    file = str(tmp_path / "w.pth")
    if declared:
        (tmp_path / "w.pth.json").write_text(json.dumps({"source": "x", "heard": [{"dataset": "other"}]}))
    findings = audit_weights(replace(MANIFEST, recordings=recordings), FOLDS, "hearts", [("vit", file)], {file: copied})
    leaks = findings[findings["finding"] == "weights_heard"]
    assert [ids.split() for ids in leaks["ids"]] == ([cases] if cases else [])
    assert (findings["finding"] == "weights_unknown").any() != declared
    if cases:
        with pytest.raises(LeakError, match=r"weights_heard vit\+test"):
            refuse_leaks(study, findings)


# pre-trainings

INNER = pd.DataFrame({"repeat": 0, "fold": "0i1", "case": ["3", "5", "6"], "role": ["train", "val", "test"]})
PEOPLE = Manifest(
    pd.DataFrame({"case": list("1234567"), "subject": ["a", "b", "c", "d", "e", "f", "a+g"], "sound": "yes"}),
    pd.DataFrame(),
    pd.DataFrame(),
    Columns(labels=["sound"]),
)
OWN = pd.DataFrame({"repeat": 0, "fold": 0, "case": list("1234567"), "role": [*("test", "val"), *["train"] * 5]})


def audit_encoder(tmp_path, name: str, subjects: list[str], dataset="hearts") -> pd.DataFrame:
    (tmp_path / "w.json").write_text(json.dumps({"source": "x", "heard": [{"dataset": dataset, "subjects": subjects}]}))
    encoders = [("views", NetworkName.parse(name), tmp_path / "w.json")]
    return audit_pretrainings(PEOPLE, [OWN, INNER], "hearts", encoders)


@pytest.mark.parametrize(
    ("name", "subjects", "expected"),
    [
        ("r0f0", ["c", "d", "e", "f"], {}),
        ("r0f0", ["c", "a"], {"test": "1"}),
        ("r0f0", ["g"], {}),
        ("r0f0", ["b", "c"], {"val": "2"}),
        ("r0f0", ["b", "a", "x"], {"val": "2", "test": "1"}),
        ("r0f0i1", ["c", "d"], {}),
        ("r0f0i1", ["e"], {"val": "5"}),
        ("r0f0i1", ["f"], {"test": "6"}),
        ("r0f0i1", ["a"], {"test": "1"}),  # the test case of the fold around it
        ("r0f0i0", ["e", "f"], {}),  # not of this inner fold
    ],
)
def test_a_pre_training_may_have_seen_training_subjects_alone(study, tmp_path, name, subjects, expected):
    findings = audit_encoder(tmp_path, name, subjects)
    found = {row.roles.removeprefix("views+"): row.ids for row in findings.itertuples()}
    assert found == expected and set(findings["finding"]) <= {"weights_heard"}
    if expected:
        with pytest.raises(LeakError, match=r"weights_heard views\+"):
            refuse_leaks(study, findings)
        assert mark(study, findings)
    assert audit_encoder(tmp_path, name, subjects, "other").empty


def test_a_pre_training_of_unknown_subjects_is_refused(tmp_path):
    encoders = [("views", NetworkName(0, 0), tmp_path / "w.json")]
    with pytest.raises(FoldError, match="does not say which subjects"):
        audit_pretrainings(PEOPLE, [OWN], "hearts", encoders)
    (tmp_path / "w.json").write_text('{"source": "x", "heard": [{"dataset": "hearts"}]}')
    with pytest.raises(FoldError, match="does not say which subjects"):
        audit_pretrainings(PEOPLE, [OWN], "hearts", encoders)


BAD_TEXTS = [
    *("{", "[]", '{"source": "x"}', '{"source": "x", "heard": [{"subject": ["1"]}]}', "[" * 100_000),
    '{"source": "x", "heard": [{"dataset": "hearts", "subjects": ["4"]}], "heard": []}',
    '{"source": "x", "heard": [{"dataset": "hearts", "subjects": ["4"], "subjects": ["3"]}]}',
]


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_a_declaration_that_is_none(tmp_path, text):
    (tmp_path / "w.pth.json").write_text(text)
    with pytest.raises(FoldError, match=r"w\.pth\.json: not a declaration"):
        audit_weights(MANIFEST, FOLDS, "hearts", [("vit", str(tmp_path / "w.pth"))])


# patients and records have numbers of their own, as in PTB-XL


def numbered(seed: int) -> tuple[Manifest, pd.DataFrame]:
    """A manifest of 30 patients with one record each, and folds; numbers of records are those of other patients."""
    numbers = np.random.default_rng(seed).permutation(40).astype(str)
    subjects = np.random.default_rng(seed + 99).permutation(numbers[10:])
    cases = pd.DataFrame({"case": numbers[:30], "subject": subjects, "sound": "yes"})
    recordings = pd.DataFrame({"recording": numbers[:30], "case": numbers[:30]})
    roles = ["train"] * 20 + ["val"] * 5 + ["test"] * 5
    folds = pd.DataFrame({"repeat": 0, "fold": 0, "case": numbers[:30], "role": roles})
    return Manifest(cases, recordings, pd.DataFrame(), Columns(labels=["sound"])), folds


@pytest.mark.parametrize("seed", range(5))
def test_numbers_of_records_are_no_subjects_of_a_pre_training(tmp_path, seed):
    manifest, folds = numbered(seed)
    for leaky in (0, 1):
        subjects = sorted(manifest.cases["subject"][: 20 + leaky])
        entry = {"dataset": "hearts", "subjects": subjects}
        (tmp_path / "w.pth.json").write_text(json.dumps({"source": "x", "heard": [entry]}))
        encoders = [("views", NetworkName.parse("r0f0"), tmp_path / "w.pth.json")]
        findings = audit_pretrainings(manifest, [folds], "hearts", encoders)
        assert findings["ids"].tolist() == [manifest.cases["case"][20]] * leaky
        # weights that others trained name the same subjects: these are looked for in the test cases
        subjects = sorted([*subjects[:19], *manifest.cases["subject"][29 : 29 + leaky]])
        entry = {"dataset": "hearts", "subjects": subjects}
        (tmp_path / "w.pth.json").write_text(json.dumps({"source": "x", "heard": [entry]}))
        findings = audit_weights(manifest, folds, "hearts", [("vit", str(tmp_path / "w.pth"))])
        assert set(" ".join(findings["ids"]).split()) == set(
            manifest.cases.loc[manifest.cases["subject"].isin(subjects), "case"]
        ) & set(folds.loc[folds["role"] == "test", "case"])


@pytest.mark.parametrize("seed", range(3))
def test_records_that_are_listed_in_place_of_patients_are_found(tmp_path, seed):
    """All of their numbers are also numbers of patients."""
    manifest, folds = numbered(seed)
    subjects = set(manifest.cases["subject"])
    tested = [case for case in folds.loc[folds["role"] == "test", "case"] if case in subjects]
    (tmp_path / "w.pth.json").write_text(
        json.dumps({"source": "x", "heard": [{"dataset": "hearts", "subjects": tested}]})
    )
    findings = audit_weights(manifest, folds, "hearts", [("vit", str(tmp_path / "w.pth"))])
    assert set(tested) <= set(" ".join(findings["ids"]).split()) and tested


@pytest.mark.parametrize("seed", range(3))
def test_patients_that_a_part_of_a_release_lacks_make_no_leak(tmp_path, seed):
    manifest, folds = numbered(seed)
    training = manifest.cases.loc[manifest.cases["case"].isin(folds.loc[folds["role"] == "train", "case"]), "subject"]
    entry = {"dataset": "hearts", "subjects": [*training, "99999", "88888"]}
    (tmp_path / "w.pth.json").write_text(json.dumps({"source": "x", "heard": [entry]}))
    assert audit_weights(manifest, folds, "hearts", [("vit", str(tmp_path / "w.pth"))]).empty


@pytest.mark.parametrize(
    ("dataset", "adapter", "name"),
    [
        ("ptbxl", "ptbxl", "PTB-XL 1.0.3"),
        ("ptbxl", "ptbxl", "ptb-xl v1.0.3"),
        ("circor", "circor", "CirCorDigiScope"),
        ("murmurs", "circor", "CirCor"),
        ("hearts2", "ptbxl", "the PTB XL data base"),
    ],
)
def test_a_data_set_is_known_by_its_names(tmp_path, dataset, adapter, name):
    (tmp_path / "w.pth.json").write_text(json.dumps({"source": "x", "heard": [{"dataset": name, "subjects": ["4"]}]}))
    findings = audit_weights(MANIFEST, FOLDS, dataset, [("vit", str(tmp_path / "w.pth"))], None, adapter)
    assert findings[["finding", "ids"]].to_numpy().tolist() == [["weights_heard", "4"]]


@pytest.mark.parametrize("name", ["1-4", "3, 4", "1;2", "*", "all others", "1 to 4", "1..3"])
def test_an_id_that_stands_for_several_leaves_unknown_who_was_heard(tmp_path, name):
    """Also beside one that is an id."""
    entry = {"dataset": "hearts", "subjects": Random(name).sample(["3", name], 2)}
    (tmp_path / "w.pth.json").write_text(json.dumps({"source": "x", "heard": [entry]}))
    findings = audit_weights(MANIFEST, FOLDS, "hearts", [("vit", str(tmp_path / "w.pth"))])
    assert "weights_unknown" in set(findings["finding"])


@pytest.mark.parametrize("path", ["4.wav", "training/4", "a\\b\\4.WAV", "x/y/4.flac"])
def test_paths_of_files_count_as_ids(tmp_path, path):
    entry = {"dataset": "hearts", "subjects": ["3", path]}
    (tmp_path / "w.pth.json").write_text(json.dumps({"source": "x", "heard": [entry]}))
    findings = audit_weights(MANIFEST, FOLDS, "hearts", [("vit", str(tmp_path / "w.pth"))])
    assert findings[["finding", "ids"]].to_numpy().tolist() == [["weights_heard", "4"]]
