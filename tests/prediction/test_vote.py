"""Folds' decisions to one: votes, ties, several labels; and what is said of cases that the study knows."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile

from auscult.config.dataset import Dataset
from auscult.config.targets import Target
from auscult.datasets.base import Columns, Manifest
from auscult.datasets.errors import DatasetError
from auscult.evaluation.external import ExternalError
from auscult.prediction import validate as validation
from auscult.prediction.inputs import ingest
from auscult.prediction.pack import digests_of_known
from auscult.prediction.page import render
from auscult.prediction.vote import repeated_cases, vote_table, with_problems

CLASSES = ["Present", "Unknown", "Absent"]
TARGET = Target(
    label="murmur", classes=CLASSES, heads=["murmur"],
    referral={"classes": ["Present", "Unknown"], "label": "outcome", "positive": ["Abnormal"]},
)  # fmt: skip


def fold(p: list, decision: list) -> tuple[np.ndarray, np.ndarray]:
    return np.array(p, dtype=float), np.array(decision)


def test_most_folds_decide_and_equal_votes_go_to_the_more_probable():
    folds = [
        fold([[0.2, 0.2, 0.6], [0.4, 0.1, 0.5]], [0, 0]),
        fold([[0.2, 0.2, 0.6], [0.6, 0.1, 0.3]], [0, 2]),
        fold([[0.2, 0.2, 0.6], [0.5, 0.1, 0.4]], [2, 1]),
    ]
    table = vote_table(TARGET, folds, ["a", "b"])
    assert table["prediction"].tolist() == ["Present", "Present"]
    assert table["agreement"].tolist() == pytest.approx([2 / 3, 1 / 3])
    np.testing.assert_allclose(table.loc[1, ["p_Present", "p_Unknown", "p_Absent"]].astype(float), [0.5, 0.1, 0.4])
    assert table["refer"].tolist() == [1, 1]
    expected = -sum(p * np.log(p) for p in (0.2, 0.2, 0.6))
    assert table["uncertainty"][0] == pytest.approx(expected)


def test_several_labels_by_majority():
    target = Target(label="rhythm", kind="multilabel", classes=["AF", "PVC"], heads=["rhythm"], decisions=["reference"])
    folds = [fold([[0.9, 0.2]], [[1, 0]]), fold([[0.8, 0.6]], [[1, 1]]), fold([[0.4, 0.1]], [[0, 0]])]
    table = vote_table(target, folds, ["a"])
    assert table["prediction"].tolist() == ["AF"] and table["agreement"].tolist() == pytest.approx([1 / 3])
    assert table["refer"].tolist() == [""]


def manifest(rows: list[tuple[str, str, str, str]], quality: list[tuple] = ()) -> Manifest:
    """Rows of (recording, case, subject, samples)."""
    recordings = pd.DataFrame(rows, columns=["recording", "case", "subject", "sha256"])
    cases = recordings[["case", "subject"]].drop_duplicates()
    table = pd.DataFrame(list(quality), columns=["recording", "problem", "action", "detail"])
    return Manifest(cases, recordings, table, Columns())


def test_the_studys_own_cases_are_known_by_samples_copies_and_ids():
    own = manifest([("1_AV", "1", "1+7", "aa"), ("2_AV", "2", "2", "bb")])
    new = manifest([("x_AV", "x", "x", "aa"), ("7_AV", "7", "7", "cc"), ("y_AV", "y", "y", "dd"), ("z", "z", "z", "e")])
    known = {name: frozenset(values) for name, values in digests_of_known(own, {}, set()).items()}
    found = repeated_cases(new, **known, copies={"x_AV", "z"}).set_index("case")["problem"]
    assert list(found.index) == ["x", "z", "7"]
    assert "these samples" in found["x"] and "a copy" in found["z"] and "a subject of this id" in found["7"]


@pytest.mark.parametrize(
    ("own_id", "new_id"), [("P01", "p1"), ("12", "012"), ("12", "12.0"), ("P-01", "P\u201301"), ("a b", "A_B")]
)
def test_ids_are_known_in_any_writing(own_id, new_id):
    own = manifest([("r", "c", own_id, "aa"), ("s", "d", "other", "bb")])
    known = {name: frozenset(values) for name, values in digests_of_known(own, {}, set()).items()}
    rows = [("x", "x", new_id, "cc")]
    assert repeated_cases(manifest(rows), **known, copies=set())["case"].tolist() == ["x"]
    own = manifest([("r", own_id, "c", "aa"), ("s", "d", "other", "bb")])
    known = {name: frozenset(values) for name, values in digests_of_known(own, {}, set()).items()}
    rows = [("x", new_id, "y", "cc")]
    assert repeated_cases(manifest(rows), **known, copies=set())["problem"].tolist() == [
        "the study has a case of this id"
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_case_with_the_number_of_another_subject_is_new(seed):
    """As in PTB-XL, whose patients and records have numbers of their own."""
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(60).astype(str)
    own = manifest([(f"r{k}", numbers[k], numbers[20 + k], f"own{k}") for k in range(20)])
    new = manifest([(f"n{k}", numbers[20 + k], numbers[40 + k], f"new{k}") for k in range(20)])
    known = {name: frozenset(values) for name, values in digests_of_known(own, {}, set()).items()}
    assert repeated_cases(new, **known, copies=set()).empty


def test_what_other_data_sets_taught_is_known_by_samples_and_by_ids_of_the_same_release():
    own = manifest([("1", "1", "1", "aa")])
    others = {"part": manifest([("4", "4", "4+9", "dd")]), "far": manifest([("5", "5", "5", "ee")])}
    known = {name: frozenset(values) for name, values in digests_of_known(own, others, {"part"}).items()}
    rows = [("a", "a", "a", "ee"), ("b", "b", "8+9", "x"), ("c", "c", "5", "y"), ("d", "d", "d", "z")]
    found = repeated_cases(manifest(rows), **known, copies=set())["case"].tolist()
    assert found == ["a", "b"]


def test_what_was_wrong_stands_beside_the_case():
    quality = [("a_AV", "clipped", "kept", ""), ("ab_MV", "corrupt", "dropped", "not audio")]
    new = replace(manifest([("a_AV", "a", "a", "aa")], quality), case_of_dropped={"ab_MV": "ab"})
    table = pd.DataFrame({"case": ["a", "ab"], "prediction": ["Absent", "Absent"]})
    said = with_problems(table, new, pd.DataFrame(columns=["case", "problem"]))
    assert said["recordings"].tolist() == [1, 0]
    assert said["problems"][0] == "a_AV: clipped (kept)"
    assert said["problems"][1].startswith("ab_MV: corrupt (dropped); no recording could be used")


@pytest.mark.parametrize("seed", range(4))
def test_a_dropped_recording_belongs_to_the_case_of_the_table(tmp_path, seed):
    """Whatever its name is: also if it begins with the id of another case."""
    rng = np.random.default_rng(seed)
    cases = ["A", "A_1", "A1", "B"]
    names = rng.permutation(["A", "A_1_AV", "A1_old", "x", "B_2", "A_9", "zz", "B"])
    case_of = {name: str(rng.choice(cases)) for name in names}
    is_bad = {name: bool(rng.random() < 0.5) or number == 0 for number, name in enumerate(names)}
    is_bad[names[1]] = False
    for name in names:
        soundfile.write(tmp_path / f"{name}.wav", rng.normal(0, 0.1, 8000), 4000)
        if is_bad[name]:
            (tmp_path / f"{name}.wav").write_bytes(b"not audio")
    pd.DataFrame({"case": cases}).to_csv(tmp_path / "cases.csv", index=False)
    rows = [(name, case_of[name], f"{name}.wav") for name in names]
    pd.DataFrame(rows, columns=["recording", "case", "path"]).to_csv(tmp_path / "recordings.csv", index=False)
    dataset = Dataset(name="n", adapter="folder", root=str(tmp_path), short_s=1, options={"labels": {}})
    new = ingest(dataset, "folder", [], 1, [], 1)
    table = with_problems(pd.DataFrame({"case": cases}), new, pd.DataFrame(columns=["case", "problem"]))
    for row in table.itertuples():
        expected = {f"{name}: corrupt (dropped)" for name in names if is_bad[name] and case_of[name] == row.case}
        assert {text for text in row.problems.split("; ") if "corrupt" in text} == expected


@pytest.mark.parametrize("seed", range(4))
def test_recordings_with_another_number_of_channels_are_dropped(tmp_path, seed):
    rng = np.random.default_rng(seed)
    counts = [12, *rng.choice([1, 2, 3, 12], 4).tolist(), 1]
    names = rng.permutation(list("abcdef"))
    for name, count in zip(names, counts, strict=True):
        soundfile.write(tmp_path / f"{name}.wav", rng.normal(0, 0.1, (600, count)), 100)
    pd.DataFrame({"case": names}).to_csv(tmp_path / "cases.csv", index=False)
    rows = pd.DataFrame({"recording": names, "case": names, "path": [f"{name}.wav" for name in names]})
    rows.to_csv(tmp_path / "recordings.csv", index=False)
    dataset = Dataset(
        name="n", adapter="folder", root=str(tmp_path), rate_hz=100, channels="all", options={"labels": {}}
    )
    new = ingest(dataset, "folder", [], 12, [], 1)
    assert sorted(new.recordings["case"]) == sorted(n for n, count in zip(names, counts, strict=True) if count == 12)
    dropped = new.quality[new.quality["action"] == "dropped"]
    assert set(dropped["problem"]) == {"channels"} and "instead of the study's 12 channels" in dropped["detail"].iloc[0]
    averaged = ingest(dataset.model_copy(update={"channels": "mean"}), "folder", [], 1, [], 1)
    assert len(averaged.recordings) == 6
    with pytest.raises(
        DatasetError, match=r"none of the 6 recordings listed can be read .*instead of the study's 8 channels"
    ):
        ingest(dataset, "folder", [], 8, [], 1)


def test_the_page_escapes_every_word():
    evil = "<script>alert(1)</script>"
    new = manifest([("r", evil, "s", "aa")], [("r", "corrupt", "dropped", evil)])
    table = pd.DataFrame(
        {"target": ["murmur"] * 2, "case": [evil, "x"], "prediction": [evil, "Absent"], "recordings": [1, 0]}
    )
    variant = {"system": "band", "stage": "network", "fit_on": "none", "decision": evil}
    winner = {"murmur": {"folds": {"r0f0": [variant]}}}
    page = render("study", evil, winner, table, new, 1.5, "abc")
    assert "<script" not in page and page.count("&lt;script&gt;") >= 4 and "1.50 s a case" in page
    assert "1 without a readable recording" in page and "1 Absent" not in page


@pytest.mark.parametrize("seed", range(4))
def test_a_case_of_several_classes_is_referred_for_any_of_them(seed):
    rng = np.random.default_rng(seed)
    referral = {"classes": ["mi", "sttc"], "label": "ill", "positive": ["yes"]}
    target = Target(label="dx", kind="multilabel", classes=["mi", "norm", "sttc"], heads=["dx"], referral=referral)
    decided = rng.integers(0, 2, (20, 3))
    table = vote_table(target, [(rng.random((20, 3)), decided)], [f"c{number}" for number in range(20)])
    assert table["refer"].tolist() == (decided[:, 0] | decided[:, 2]).tolist()


@pytest.mark.parametrize("known", ["all", "one", "none"])
def test_a_data_set_of_which_the_study_knows_every_case_cannot_judge_it(murmur_study, tmp_path, monkeypatch, known):
    """Ids `1`, `2`, … of another hospital may be those of the study too."""
    names = [f"{number}" for number in range(1, 31)]
    labels = np.resize(CLASSES, 30)
    cases = pd.DataFrame({"case": names, "subject": names, "murmur": labels})
    predictions = pd.DataFrame({"target": "murmur", "case": names, "prediction": labels, "uncertainty": 0.1})
    predictions[[f"p_{name}" for name in CLASSES]] = np.eye(3)[np.arange(30) % 3]
    ids = {"all": set(names), "one": {"7"}, "none": set()}[known]
    listing = SimpleNamespace(cases=cases, columns=Columns(), subjects_known=True)
    monkeypatch.setattr(validation, "labelled_cases", lambda *_: listing)
    monkeypatch.setattr(validation, "apply_winner", lambda *_: (predictions, None, ids))
    packed = SimpleNamespace(study=murmur_study(), winners={"murmur": {}}, leak="")
    if known == "all":
        with pytest.raises(ExternalError, match="every case is one of the study's"):
            validation.validate(packed, tmp_path, "folder", {}, tmp_path, None)
        return
    table, *_ = validation.validate(packed, tmp_path, "folder", {}, tmp_path, None)
    assert (table["n"].iloc[0], table["known"].iloc[0]) == (30 - len(ids), len(ids))
