"""First studies: what is seen of made folders, what follows from it, and files that load."""

import os
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.signal
import soundfile
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.config.dataset import Dataset
from auscult.datasets import folder as own_tables
from auscult.datasets.base import Columns, Manifest
from auscult.datasets.build import build
from auscult.datasets.errors import DatasetError
from auscult.first_study.choices import EPOCHS, MINUTES, choose
from auscult.first_study.class_folders import class_folders, write_tables
from auscult.first_study.fingerprint import Fingerprint, FirstStudyError, fingerprint
from auscult.first_study.text import study_file
from auscult.folds.protocols import assign
from auscult.studies import load_study

RATE = 4000


def noise(seconds: float, below_hz: float, seed: int, rate: int = RATE) -> np.ndarray:
    """Noise whose energy lies below a frequency."""
    x = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return 0.1 * scipy.signal.sosfilt(scipy.signal.butter(10, below_hz, fs=rate, output="sos"), x)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Twelve recordings of two classes in folders named by class, one of them deeper."""
    root = tmp_path / "sounds"
    for number in range(12):
        folder = root / ("wheeze" if number % 2 else "normal, or so") / ("deep" if number == 7 else "")
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"r {number}.wav", noise(6, 300, number), RATE)
    (root / "notes.txt").write_text("not a sound")
    return root


def planned(mark: Fingerprint, tmp_path: Path, **options) -> dict:
    """Values of the study, which loads from its file as the workflow loads it."""
    study = choose(mark, **{"cores": 2, "windows_per_s": 200.0, **options})
    (tmp_path / "mine.yaml").write_text(study_file(study), encoding="utf-8")
    load_study("mine", tmp_path)
    assert yaml.safe_load((tmp_path / "mine.yaml").read_text(encoding="utf-8")) == {
        key: value for key, value in study.values.items() if value
    }
    return study.values


def test_the_spread_is_that_of_the_files(folders):
    spreads = [soundfile.read(file)[0].std() for file in folders.rglob("*.wav")]
    assert fingerprint(folders, "mine", None, 1).spread == pytest.approx(np.median(spreads), rel=1e-3)


def test_class_folders_become_a_data_set(folders, tmp_path):
    mark = fingerprint(folders, "mine", None, 1)
    assert {path.name for path in mark.new_tables} == {"cases.csv", "recordings.csv"}
    assert mark.labels == {"label": {"normal, or so": (6, 6), "wheeze": (6, 6)}}
    assert not mark.manifest.subjects_known and mark.rates == {RATE: 12} and len(mark.seconds) == 12
    assert 250 < mark.energy_hz < 450
    values = planned(mark, tmp_path)
    assert values["dataset"]["rate_hz"] == 1000 and values["protocol"]["folds"] == 5
    # a second look finds the tables and writes nothing
    assert fingerprint(folders, "mine", None, 1).new_tables == []


def test_tables_are_never_written_over(folders):
    (folders / "recordings.csv").write_text("mine")
    with pytest.raises(FileExistsError):
        write_tables(folders, class_folders(folders))
    assert (folders / "recordings.csv").read_text() == "mine" and not (folders / "cases.csv").exists()


def test_files_that_differ_in_their_suffix_only_get_two_ids(tmp_path):
    for name in ("a/x.wav", "a/x.flac", "b/x.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, noise(1, 300, 0), RATE)
    write_tables(tmp_path, class_folders(tmp_path))
    assert pd.read_csv(tmp_path / "cases.csv")["case"].is_unique


@pytest.mark.parametrize("below_hz", [150, 400, 900, 1700])
def test_the_rate_keeps_the_energy(tmp_path, below_hz):
    root = tmp_path / "sounds"
    for number in range(8):
        path = root / "ab"[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise(4, below_hz, number, 16000), 16000)
    rate = planned(fingerprint(root, "mine", None, 1), tmp_path)["dataset"]["rate_hz"]
    assert 2 * below_hz < rate <= max(1000, 6 * below_hz) and rate < 16000


def tables(root: Path, seed: int, subject: str | None) -> None:
    """A folder with its two tables: 40 cases of 20 people, a label, a number, a site, and a rare class."""
    rng = random.Random(seed)
    root.mkdir()
    rows = []
    for number in range(40):
        soundfile.write(root / f"{number}.wav", noise(2 + rng.random(), 500, number), RATE)
        rows.append({"case": f"c{number}", "state": rng.choice(["ill", "well", "well"]), "age": number + 0.5})
    cases = pd.DataFrame(rows)
    cases.loc[[0, 10, 20], "state"] = "odd"
    if subject:
        cases[subject] = [f"p{number // 2}" for number in range(40)]
    cases.to_csv(root / "cases.csv", index=False)
    names = [f"{number}.wav" for number in range(40)]
    pd.DataFrame({"recording": cases["case"], "case": cases["case"], "path": names}).to_csv(
        root / "recordings.csv", index=False
    )


@pytest.mark.parametrize("seed", range(3))
def test_tables_are_used_by_what_their_columns_hold(tmp_path, seed):
    tables(tmp_path / "sounds", seed, "subject")
    mark = fingerprint(tmp_path / "sounds", "mine", None, 1)
    assert (
        mark.manifest.subjects_known and list(mark.labels) == ["state"] and mark.manifest.columns.covariates == ["age"]
    )
    values = planned(mark, tmp_path)
    # every label is a class (folds refuse others), and every fold trains on every class
    classes = values["targets"]["state"]["classes"]
    assert set(classes) == {"ill", "odd", "well"} and classes == sorted(
        classes, key=lambda name: mark.labels["state"][name]
    )
    study = load_study("mine", tmp_path)
    folds = assign(study.protocol, study.targets, study.tasks, mark.manifest.cases, Path())
    assert folds.groupby("role")["case"].nunique()["test"] == 40
    labels = mark.manifest.cases.set_index("case")["state"]
    for _, part in folds[folds["role"] == "train"].groupby("fold"):
        assert set(labels[part["case"]]) == {"ill", "odd", "well"}


@pytest.mark.parametrize("column", ["patient_no", "Person", "Subject ID", "PatientID"])
def test_a_column_that_names_subjects_is_to_be_renamed(tmp_path, column):
    """It becomes no class, no group and no number."""
    tables(tmp_path / "sounds", 0, column)
    with pytest.raises(FirstStudyError, match="'subject'"):
        fingerprint(tmp_path / "sounds", "mine", None, 1)


@pytest.mark.parametrize("column", ["fold", "Split", "partition", "note"])
def test_columns_without_a_use_are_said(tmp_path, column):
    tables(tmp_path / "sounds", 0, "subject")
    file = tmp_path / "sounds" / "cases.csv"
    cases = pd.read_csv(file)
    words = ["train", "test"] if column != "note" else [f"text {number}" for number in range(40)]
    cases.insert(1, column, [words[number % len(words)] for number in range(40)])
    cases.to_csv(file, index=False)
    mark = fingerprint(tmp_path / "sounds", "mine", None, 1)
    assert list(mark.labels) == ["state"] and mark.unused == [column]
    planned(mark, tmp_path)
    assert f"not used: {column}" in (tmp_path / "mine.yaml").read_text().replace("\n# ", " ").replace("  # ", "")


@pytest.mark.parametrize("column", ["the speaker", "who"])
def test_columns_that_may_name_subjects_are_said(tmp_path, column):
    tables(tmp_path / "sounds", 0, column)
    mark = fingerprint(tmp_path / "sounds", "mine", None, 1)
    assert mark.candidates == [column] or column == "who"  # 20 values that repeat are a label's or a group's
    planned(mark, tmp_path)
    assert "Who was recorded is not known" in (tmp_path / "mine.yaml").read_text().replace("\n# ", " ")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "no recordings in a form that is known"),
        (lambda root: (root / "a.wav").write_bytes(b"x"), "no recordings in a form that is known"),
        (lambda root: (root / "cases.csv").write_text("case\nc"), "no recordings in a form that is known"),
        (
            lambda root: [(root / f"{name}.csv").write_text("case,x\nc,1") for name in ("cases", "recordings")],
            "no column 'recording'",
        ),
    ],
)
def test_folders_without_recordings_are_refused(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(FirstStudyError, match=message):
        fingerprint(tmp_path, "mine", None, 1)
    with pytest.raises(FirstStudyError, match="form: 'cricor' is not one of"):
        fingerprint(tmp_path, "mine", "cricor", 1)


def test_one_class_is_refused(folders):
    fingerprint(folders, "mine", None, 1)
    table = pd.read_csv(folders / "cases.csv").assign(label="normal")
    table.to_csv(folders / "cases.csv", index=False)
    with pytest.raises(FirstStudyError, match="no column of labels has two to 20 classes"):
        fingerprint(folders, "mine", None, 1)


NAMES = (
    st.text("abcXYZ019 :#&*!|>'\"%@`{}[],?-_äé心", min_size=1, max_size=8)
    .map(str.strip)
    .filter(lambda text: text and "|" not in text)
)


@settings(deadline=None, max_examples=15)
@given(
    classes=st.dictionaries(NAMES, st.integers(3, 150), min_size=2, max_size=6),
    rate=st.sampled_from([50, 100, 500, 1000, 2000, 4000, 16000, 44100]),
    channels=st.sampled_from([1, 2, 12]),
    seconds=st.floats(0.3, 90),
    several=st.booleans(),
    known=st.booleans(),
    speed=st.sampled_from([1.0, 50.0, 5000.0]),
    spread=st.sampled_from([0.0, 1e-4, 0.049, 0.05, 0.3, 5.0, 5.1, 800.0]),
)
def test_whatever_is_seen_the_study_loads_and_keeps_its_time(
    tmp_path_factory, classes, rate, channels, seconds, several, known, speed, spread
):
    total = sum(classes.values())
    ids = range(total)
    cases = pd.DataFrame({"case": [f"c{k}" for k in ids], "subject": [f"s{k}" for k in ids]})
    cases["kind"] = [name for name, count in classes.items() for _ in range(count)]
    recordings = cases[["case"]].assign(recording=cases["case"], rate_hz=rate, frames=rate, channels=channels)
    quality = pd.DataFrame(columns=["recording", "problem", "action", "detail"])
    manifest = Manifest(cases, recordings, quality, Columns(labels=["kind"]), subjects_known=known)
    mark = Fingerprint(
        Dataset(name="mine", adapter="circor", root="x"),
        manifest,
        {"kind": {name: (n, n) for name, n in sorted(classes.items(), key=lambda pair: -pair[1])}},
        {"kind"} if several else set(),
        [],
        [],
        [],
        {rate: total},
        {channels: total},
        np.full(total, seconds),
        0.4 * rate,
        spread,
        [],
    )
    values = planned(mark, tmp_path_factory.mktemp("study"), windows_per_s=speed)
    assert values["dataset"]["rate_hz"] <= rate
    front_end = values["systems"]["first"]["front_end"]
    if front_end["name"] == "samples":  # amplitudes count where they are in units such as mV
        assert front_end["settings"]["normalise"] == ("none" if 0.05 <= spread <= 5 else "channel")
    study = choose(mark, 2, speed)
    assert study.minutes <= MINUTES or values["systems"]["first"]["training"]["epochs"] == EPOCHS[-1]
    assert study.trainings == values["protocol"]["folds"] * (4 if "inner_folds" in values else 1)


@pytest.mark.parametrize("column", ["Murmur", "murmur grade", "2nd", "心音", "État"])
def test_columns_of_any_name_become_targets(tmp_path, column):
    tables(tmp_path / "sounds", 0, "subject")
    file = tmp_path / "sounds" / "cases.csv"
    pd.read_csv(file).rename(columns={"state": column}).to_csv(file, index=False)
    values = planned(fingerprint(tmp_path / "sounds", "mine", None, 1), tmp_path)
    assert [target["label"] for target in values["targets"].values()] == [column]


def test_an_error_of_a_known_release_is_said_and_nothing_is_written(tmp_path):
    """A release whose table is missing is no folder of classes."""
    for name in ("training-a", "training-b"):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "a0001.wav", noise(6, 300, 0), 2000)
    (tmp_path / "training-a" / "REFERENCE.csv").write_text("a0001,1\n")
    with pytest.raises(FirstStudyError, match="in the form cinc2016"):
        fingerprint(tmp_path, "mine", None, 1)
    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize("names", [["pt00", "pt1", "pt02"], ["subject-1", "subject-2"], ["Patient 3", "Patient 4"]])
def test_folders_of_persons_are_no_classes(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "a.wav", noise(2, 300, 0), RATE)
    with pytest.raises(FirstStudyError, match="look like persons, not like classes"):
        fingerprint(tmp_path, "mine", None, 1)
    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize(
    "names", [["S1", "S2"], ["P1", "P2", "P3"], ["cv", "resp"], ["-1", "1"], ["grade 1", "grade 2"]]
)
def test_classes_may_have_short_names_and_numbers(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
        for number in range(4):
            soundfile.write(tmp_path / name / f"{number}.wav", noise(2, 300, number), RATE)
    assert set(fingerprint(tmp_path, "mine", None, 1).labels["label"]) == set(names)


@pytest.mark.parametrize("columns", [("start", "end"), ("Onset (s)", "offset")])
def test_times_of_intervals_are_no_labels(tmp_path, columns):
    tables(tmp_path / "sounds", 0, "subject")
    file = tmp_path / "sounds" / "recordings.csv"
    table = pd.read_csv(file)
    table[columns[0]], table[columns[1]] = [0.0, 0.5] * 20, [1.0, 1.5] * 20
    table.to_csv(file, index=False)
    with pytest.raises(FirstStudyError, match="no column 'onset_s', but"):
        fingerprint(tmp_path / "sounds", "mine", None, 1)


def test_sounds_beside_the_folders_are_not_left_out_silently(folders):
    soundfile.write(folders / "loose.wav", noise(2, 300, 0), RATE)
    with pytest.raises(FirstStudyError, match=r"1 sound files lie beside the folders of classes, as loose\.wav"):
        fingerprint(folders, "mine", None, 1)


@pytest.mark.parametrize("name", ["train", "Test", "validation", "fold1", "train_set", "Split-2"])
def test_parts_of_a_split_are_no_classes(tmp_path, name):
    for folder in (name, "other"):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / "a.wav", noise(2, 300, 0), RATE)
    with pytest.raises(FirstStudyError, match=r"looks like a part of a split|in the form breath_phase"):
        fingerprint(tmp_path, "mine", None, 1)
    assert not list(tmp_path.glob("*.csv"))


def test_a_class_that_no_fold_can_have_is_said(tmp_path):
    """Three cases of one subject are in one part of every fold."""
    tables(tmp_path / "sounds", 0, "subject")
    file = tmp_path / "sounds" / "cases.csv"
    cases = pd.read_csv(file)
    cases.loc[cases["state"] == "odd", "state"] = "well"
    cases.loc[[4, 5], "state"] = "odd"  # of one subject
    cases.to_csv(file, index=False)
    with pytest.raises(FirstStudyError, match="no folds train on every class; the rarest is 'odd'"):
        choose(fingerprint(tmp_path / "sounds", "mine", None, 1), 2, 200.0)


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index", "row", "nr"])
@pytest.mark.parametrize("first", [0, 1])
def test_numbers_of_rows_are_no_covariate(tmp_path, name, first):
    """They tell the class where the rows are sorted by it."""
    tables(tmp_path / "sounds", 0, "subject")
    file = tmp_path / "sounds" / "cases.csv"
    cases = pd.read_csv(file)
    cases.insert(0, name, range(first, first + len(cases)))
    cases.to_csv(file, index=False)
    mark = fingerprint(tmp_path / "sounds", "mine", None, 1)
    assert mark.manifest.columns.covariates == ["age"] and list(mark.labels) == ["state"]
    assert mark.unused == [name or "one without a name"]
    planned(mark, tmp_path)


@pytest.mark.parametrize("word", ["NA", "n/a", "NaN", "null", "#N/A"])
@pytest.mark.parametrize("column", ["state", "age"])
def test_a_word_for_a_missing_value_is_no_class(tmp_path, word, column):
    tables(tmp_path / "sounds", 0, "subject")
    file = tmp_path / "sounds" / "cases.csv"
    cases = pd.read_csv(file).astype(object)
    row = random.Random(word).randrange(len(cases))
    cases.loc[row, column] = word
    cases.to_csv(file, index=False)
    with pytest.raises(FirstStudyError, match=rf"row {row + 2}, column '{column}': '{word}' is no value; leave"):
        fingerprint(tmp_path / "sounds", "mine", None, 1)


def test_a_folder_that_was_added_after_the_tables_is_said(folders, tmp_path):
    fingerprint(folders, "mine", None, 1)
    (folders / "third").mkdir()
    for number in range(3):
        soundfile.write(folders / "third" / f"{number}.wav", noise(6, 300, 50 + number), RATE)
    study = choose(fingerprint(folders, "mine", None, 1), 2, 200.0)
    assert "3 sound files that recordings.csv does not list, as third/0.wav" in study.why["dataset"]


@pytest.mark.parametrize("pair", [("r1", "r01"), ("a b", "a_b"), ("Ä", "ä")])
def test_files_whose_names_differ_in_writing_only_are_cases_of_their_own(tmp_path, pair):
    root = tmp_path / "sounds"
    for number, name in enumerate([*pair, "x", "y", "z", "u", "v", "w"]):
        path = root / ("ill" if number < 4 else "well") / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise(6, 300, number), RATE)
    values = planned(fingerprint(root, "mine", None, 1), tmp_path)
    assert values["dataset"]["distinct_ids"] is True
    build(
        own_tables.ingest(root, own_tables.Options.model_validate(values["dataset"]["options"])),
        root,
        "mean",
        1.0,
        1,
        distinct_ids=True,
    )


def test_subjects_that_differ_in_writing_only_are_refused_by_the_plan_too(tmp_path):
    tables(tmp_path / "sounds", 0, "subject")
    file = tmp_path / "sounds" / "cases.csv"
    file.write_text(file.read_text().replace("p7\n", "P7\n", 1))
    with pytest.raises(DatasetError, match=r"'[pP]7' and '[pP]7' differ in writing only"):
        fingerprint(tmp_path / "sounds", "mine", None, 1)


@pytest.mark.parametrize("other", ["train.csv", "audio"])
def test_form_folder_settles_what_a_folder_is(folders, other):
    """Another form claims these folders."""
    if other == "audio":
        (folders / "audio").mkdir()
        soundfile.write(folders / "audio" / "a.wav", noise(6, 300, 99), RATE)
    else:
        (folders / other).write_text("file,y\na.wav,1\n")
    with pytest.raises(FirstStudyError, match=r"in the form .*; if the folder has another form, name it: form=…"):
        fingerprint(folders, "mine", None, 1)
    assert fingerprint(folders, "mine", "folder", 1).dataset.adapter == "folder"


@pytest.mark.parametrize("name", [" ill", "ill ", b"ill\xe4"])
def test_folders_with_names_that_no_table_can_hold_are_refused(folders, name):
    (folders / "wheeze").rename(folders / os.fsdecode(name))
    with pytest.raises(FirstStudyError, match=r"begins or ends with a blank|not in UTF-8"):
        fingerprint(folders, "mine", None, 1)
    assert not list(folders.glob("*.csv"))


def test_a_column_with_a_long_name_becomes_a_target(tmp_path):
    tables(tmp_path / "sounds", 0, "subject")
    file, column = tmp_path / "sounds" / "cases.csv", "does the patient cough at night or " * 6
    pd.read_csv(file).rename(columns={"state": column.strip()}).to_csv(file, index=False)
    (name,) = planned(fingerprint(tmp_path / "sounds", "mine", None, 1), tmp_path)["targets"]
    assert len(name) <= 60


@pytest.mark.parametrize("speed", [0.05, 1e6])
def test_a_plan_that_cannot_keep_its_time_says_so(folders, speed):
    study = choose(fingerprint(folders, "mine", None, 1), 1, speed)
    limit = "more than the 60 aimed at" if study.minutes > MINUTES else "at most 60"
    assert limit in study.why["systems.first.training"] and (study.minutes > MINUTES) == (speed < 1)


@pytest.mark.parametrize("name", ["Unnamed: 0", "index", "Row no", "#"])
def test_numbers_of_rows_with_gaps_are_no_covariate_either(tmp_path, name):
    tables(tmp_path / "sounds", 0, "subject")
    file = tmp_path / "sounds" / "cases.csv"
    cases = pd.read_csv(file)
    numbers = sorted(random.Random(name).sample(range(100), len(cases)))
    cases.assign(**{name: numbers}).to_csv(file, index=False)
    assert fingerprint(tmp_path / "sounds", "mine", None, 1).manifest.columns.covariates == ["age"]
