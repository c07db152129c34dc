"""The CirCor adapter on generated releases of a few patients with one fault each, and on the real recordings."""

import hashlib
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.datasets import circor
from auscult.datasets.base import load
from auscult.datasets.errors import DatasetError

TRAPS = ["2530", "9979", "9983", "13918", "50782"]  # lexicographic and numeric order differ


@pytest.fixture
def two_patients(release):
    """Patients 2530 (Absent) and 13918 (Present at AV only)."""
    release.patient("2530")
    release.patient("13918", Murmur="Present", Murmur_locations="AV", Outcome="Abnormal")
    return release


def quality(manifest) -> list[tuple]:
    return list(manifest.quality.itertuples(index=False, name=None))


def error_of(release) -> str:
    with pytest.raises(DatasetError) as error:
        release.read()
    return str(error.value)


def subjects(release) -> dict[str, str]:
    cases = circor.ingest(release.root, circor.Options()).cases
    return dict(zip(cases["case"], cases["subject"], strict=True))


# ---------------------------------------------------------------- what is read


def test_a_clean_release(two_patients) -> None:
    manifest = two_patients.read()
    assert quality(manifest) == []
    assert list(manifest.cases["case"]) == ["13918", "2530"]
    assert list(manifest.recordings["recording"]) == ["13918_AV", "13918_MV", "2530_AV", "2530_MV"]
    assert list(manifest.recordings["site"]) == ["AV", "MV", "AV", "MV"]
    assert manifest.recordings["path"].iloc[0] == "training_data/13918_AV.wav"
    assert set(manifest.recordings["frames"]) == {20000}
    case = manifest.cases.iloc[0]
    assert (case["murmur"], case["outcome"], case["campaign"]) == ("Present", "Abnormal", "CC2015")
    numbers = [case[name] for name in circor.COVARIATES]
    assert numbers == [72.0, 1.0, 0.0, 98.0, 15.9, 0.0]
    states = manifest.states[manifest.states["recording"] == "2530_AV"]
    assert list(states["state"]) == ["S1", "systole", "S2", "diastole", "unannotated"]
    assert list(states["onset_s"]) == [0.0, 0.3, 0.5, 0.6, 1.1]


def test_labels_are_never_covariates(two_patients) -> None:
    columns = two_patients.read().columns
    assert set(columns.labels).isdisjoint(columns.covariates)
    assert {"murmur", "outcome", "campaign", "most_audible_location", "systolic_murmur_grading"} <= set(columns.labels)
    assert columns.recording_labels == ["murmur_audible"]


@pytest.mark.parametrize(("age", "months"), circor.AGE_MONTHS.items())
def test_ages(release, age: str, months: float) -> None:
    release.patient("13918", Age=age)
    assert release.read().cases["age_months"].tolist() == [months]


def test_unknown_facts_are_missing_not_zero(release) -> None:
    unknown_facts = dict.fromkeys(("Age", "Sex", "Height", "Weight", "Pregnancy_status"), "nan")
    release.patient("13918", Systolic_murmur_timing="Holosystolic", **unknown_facts)
    case = release.read().cases.iloc[0]
    assert [np.isnan(case[name]) for name in circor.COVARIATES] == [True] * 6
    assert (case["age_group"], case["murmur_locations"]) == ("", "")
    assert case["systolic_murmur_timing"] == "Holosystolic"


@pytest.mark.parametrize(
    ("facts", "audible"),
    [
        ({"Murmur": "Present", "Murmur_locations": "MV+TV"}, {"AV": "inaudible", "MV": "audible", "TV": "audible"}),
        ({"Murmur": "Present"}, {"AV": "", "MV": "", "TV": ""}),
        ({"Murmur": "Absent"}, dict.fromkeys(("AV", "MV", "TV"), "inaudible")),
        ({"Murmur": "Unknown"}, dict.fromkeys(("AV", "MV", "TV"), "unclear")),
        ({"Murmur": "nan"}, dict.fromkeys(("AV", "MV", "TV"), "")),
    ],
)
def test_sites_at_which_a_murmur_is_audible(release, facts: dict, audible: dict[str, str]) -> None:
    release.patient("13918", "AV MV TV", **facts)
    recordings = release.read().recordings
    assert dict(zip(recordings["site"], recordings["murmur_audible"], strict=True)) == audible


def test_a_site_recorded_twice_and_the_rare_site(release) -> None:
    release.patient("50782", "AV MV_1 MV_2 Phc")
    recordings = release.read().recordings
    assert list(recordings["recording"]) == ["50782_AV", "50782_MV_1", "50782_MV_2", "50782_Phc"]
    assert list(recordings["site"]) == ["AV", "MV", "MV", "Phc"]


def test_a_case_without_labels_or_recordings_is_kept(two_patients) -> None:
    two_patients.patient("9979", Murmur="nan", Outcome="nan")
    two_patients.patient("9983", sites="")
    manifest = two_patients.read()
    cases = manifest.cases.set_index("case")
    assert (cases.loc["9979", "murmur"], cases.loc["9979", "outcome"]) == ("", "")
    assert "9983" in cases.index
    assert "9983" not in set(manifest.recordings["case"])
    assert quality(manifest) == [("9983", "no_recordings", "kept", "no recording of this case is listed")]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_ends_do_not_matter(release, newline: str) -> None:
    release.patient("13918", newline=newline, Additional_ID="99999", Murmur="Present", Murmur_locations="AV")
    manifest = release.read()
    case = manifest.cases.iloc[0]
    assert quality(manifest) == []
    assert (case["murmur"], case["weight_kg"], len(manifest.states)) == ("Present", 15.9, 10)
    assert list(manifest.recordings["murmur_audible"]) == ["audible", "inaudible"]


def test_blank_lines_and_a_byte_order_mark_do_not_matter(two_patients) -> None:
    clean = two_patients.read().digest()
    text = (two_patients.data / "2530.txt").read_text()
    two_patients.write("2530.txt", "\ufeff" + text.replace("\n", "\n\n"))
    assert two_patients.read().digest() == clean


# ---------------------------------------------------------------- order and ids


def test_listing_order_changes_nothing(release, monkeypatch, tmp_path: Path) -> None:
    for case in TRAPS:
        release.patient(case)
    release.read().write(tmp_path / "a")
    lines = (release.data / "9983.txt").read_text().splitlines()
    release.write("9983.txt", "\n".join([lines[0], lines[2], lines[1], *lines[3:]]))
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: sorted(glob(self, pattern), reverse=True))
    release.read().write(tmp_path / "b")
    for name in ("cases", "recordings", "quality", "states"):
        assert (tmp_path / "a" / f"{name}.csv").read_bytes() == (tmp_path / "b" / f"{name}.csv").read_bytes()


def test_ids_are_strings_and_keep_their_own_samples(release, tmp_path: Path) -> None:
    for case in TRAPS:
        release.patient(case, Height=case)  # a fact that identifies the row
    release.read().write(tmp_path / "made")
    manifest = load(tmp_path / "made")
    assert list(manifest.cases["case"]) == sorted(TRAPS)
    assert [f"{height:.0f}" for height in manifest.cases["height_cm"]] == list(manifest.cases["case"])
    for row in manifest.recordings.itertuples():
        assert (row.recording.split("_")[0], row.path.split("/")[1].split("_")[0]) == (row.case, row.case)
        samples, _ = soundfile.read(release.root / row.path, dtype="int16")
        assert row.sha256 == hashlib.sha256(samples.tobytes()).hexdigest()


# ---------------------------------------------------------------- subjects


@pytest.mark.parametrize("suffix", ["", ".0"])
@pytest.mark.parametrize("sides", ["first", "second", "both"])
def test_two_ids_of_one_person(release, suffix: str, sides: str) -> None:
    release.patient("9979", Additional_ID=f"13918{suffix}" if sides != "second" else "nan")
    release.patient("13918", Additional_ID=f"9979{suffix}" if sides != "first" else "nan")
    release.patient("2530")
    assert subjects(release) == {"9979": "9979+13918", "13918": "9979+13918", "2530": "2530"}


def test_an_additional_id_that_is_not_in_the_release(two_patients) -> None:
    two_patients.edit("2530.txt", "#Additional ID: nan", "#Additional ID: 77777")
    assert subjects(two_patients) == {"2530": "2530", "13918": "13918"}


@pytest.mark.parametrize(
    "links",
    [
        {"1001": "1002", "1002": "1003"},
        {"1001": "1002", "1003": "1002"},
        {"1001": "1002", "1002": "1001", "1003": "1002"},
        {"1001": "1002", "1002": "1003", "1003": "1001"},
    ],
)
def test_three_ids_in_a_chain_stop(release, links: dict[str, str]) -> None:
    for case in ("1001", "1002", "1003"):
        release.patient(case, Additional_ID=links.get(case, "nan"))
    message = error_of(release)
    assert "#Additional ID" in message
    assert "1002" in message or len(links) == 3
    assert "is in two pairs, with 100" in message


def test_two_patients_who_name_the_same_absent_id_stop(release) -> None:
    """They would be one person under two subjects."""
    release.patient("1001", Additional_ID="7777")
    release.patient("1002", Additional_ID="7777")
    message = error_of(release)
    assert message == f"{release.data / '1001.txt'}: #Additional ID: 7777 is in two pairs, with 1001 and 1002"


@pytest.mark.parametrize("own", ["1001", "1001.0"])
def test_a_patients_own_id_stops(release, own: str) -> None:
    release.patient("1001", Additional_ID=own)
    assert error_of(release) == f"{release.data / '1001.txt'}: #Additional ID is the patient's own id"


# ---------------------------------------------------------------- faults of a patient file


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2530 2 4000", "2530 3 4000", "line 1 announces 3 recordings, 2 are listed"),
        ("2530 2 4000", "2530 1 4000", "line 1 announces 1 recordings, 2 are listed"),
        ("2530 2 4000", "9999 2 4000", "line 1 names patient '9999', the file name '2530'"),
        ("2530 2 4000", "2530 two", "line 1 should be `id recordings rate`, it is '2530 two'"),
        ("MV 2530", "LV 2530", "line 3 should be `site .hea .wav .tsv` with a site of AV/MV/PV/TV/Phc"),
        ("MV 2530_MV.hea", "\nMV", "line 4 should be `site .hea .wav .tsv`"),
        ("Murmur: Absent", "Murmur: Perhaps", "#Murmur: 'Perhaps' is not one of Present, Unknown, Absent"),
        ("Murmur: Absent", "Murmur: absent", "#Murmur: 'absent' is not one of Present, Unknown, Absent"),
        ("#Murmur: ", "#Murmer: ", "#Murmer: unknown key, and #Murmur is missing; is #Murmur meant?"),
        ("#Murmur: ", "#Murmur= ", "line 9 should be `#key: value`, it is '#Murmur= Absent'"),
        ("#Outcome: ", "#Outcom: ", "#Outcom: unknown key, and #Outcome is missing; is #Outcome meant?"),
        ("Outcome: Normal", "Outcome: Fine", "#Outcome: 'Fine' is not one of Abnormal, Normal"),
        ("Age: Child", "Age: 6", "#Age: '6' is not one of Neonate, Infant, Child"),
        ("Sex: Female", "Sex: F", "#Sex: 'F' is not one of Female, Male"),
        ("status: False", "status: no", "#Pregnancy status: 'no' is not one of True, False"),
        ("Height: 98.0", "Height: tall", "#Height: 'tall' is not a number; write `nan`"),
        ("Weight: 15.9", "Weight: inf", "#Weight: 'inf' is not a number; write `nan`"),
    ],
)
def test_a_patient_file_that_does_not_fit_stops(two_patients, old: str, new: str, message: str) -> None:
    two_patients.edit("2530.txt", old, new)
    assert error_of(two_patients).startswith(f"{two_patients.data / '2530.txt'}: {message}")


def test_an_empty_patient_file_stops(two_patients) -> None:
    two_patients.write("2530.txt", "")
    assert (
        error_of(two_patients) == f"{two_patients.data / '2530.txt'}: line 1 should be `id recordings rate`, it is ''"
    )


@pytest.mark.parametrize("name", ["2530.txt", "2530_AV.hea", "2530_AV.tsv"])
def test_text_that_is_not_utf_8_stops(two_patients, name: str) -> None:
    raw = (two_patients.data / name).read_bytes()
    (two_patients.data / name).write_bytes(raw + "#Notes: Zoë\n".encode("latin-1"))
    line = raw.count(b"\n") + 1
    assert error_of(two_patients) == f"{two_patients.data / name}: line {line}: not UTF-8 (byte 0xeb); save it as UTF-8"


def test_a_recording_of_two_patients_stops(two_patients) -> None:
    two_patients.edit("2530.txt", "MV 2530_MV.hea 2530_MV.wav", "MV 2530_MV.hea 13918_AV.wav")
    message = error_of(two_patients)
    assert (
        message == f"{two_patients.data / '2530.txt'}: recording '13918_AV' is already listed by 13918.txt; remove one"
    )


def test_a_recording_listed_twice_stops(two_patients) -> None:
    two_patients.edit("2530.txt", "MV 2530_MV.hea 2530_MV.wav", "MV 2530_MV.hea 2530_AV.wav")
    assert "recording '2530_AV' is already listed by 2530.txt" in error_of(two_patients)


def test_a_path_outside_the_release_stops(two_patients) -> None:
    shutil.copytree(two_patients.data, two_patients.root.parent / "elsewhere")
    two_patients.edit("2530.txt", "2530_MV.wav", "../../elsewhere/2530_MV.wav")
    assert "'training_data/../../elsewhere/2530_MV.wav' is outside this folder" in error_of(two_patients)


def test_a_folder_without_patients_stops(release) -> None:
    (release.root / "training_data").mkdir(parents=True)
    assert error_of(release) == f"{release.root}: no cases found"


def test_hidden_files_are_ignored(two_patients) -> None:
    clean = two_patients.read()
    for name in ("2530.txt", "2530_AV.wav"):
        (two_patients.data / f"._{name}").write_bytes(b"\0\x05\x16\x07")
    assert two_patients.read().digest() == clean.digest()
    assert quality(two_patients.read()) == []
    names = {path.name for path in circor.files(two_patients.root, circor.Options())}
    assert len(names) == 14
    assert not any(name.startswith(".") for name in names)


# ---------------------------------------------------------------- faults of a recording


def test_a_listed_recording_that_is_missing_is_dropped(two_patients) -> None:
    (two_patients.data / "2530_AV.wav").unlink()
    manifest = two_patients.read()
    assert quality(manifest) == [("2530_AV", "missing", "dropped", "there is no file 'training_data/2530_AV.wav'")]
    assert len(manifest.recordings) == 3
    assert "2530_AV" not in set(manifest.states["recording"])


def test_a_wav_that_no_patient_lists_is_reported(two_patients) -> None:
    shutil.copy(two_patients.data / "2530_AV.wav", two_patients.data / "2530_PV.wav")
    manifest = two_patients.read()
    assert quality(manifest) == [("2530_PV", "unlisted", "dropped", "no patient file lists 2530_PV.wav")]
    assert len(manifest.recordings) == 4


@pytest.mark.parametrize(
    ("old", "new", "problem", "detail"),
    [
        ("1 4000 20000", "1 2000 20000", "rate", "the header states 2000 Hz, the file 4000: the file's is used"),
        ("1 4000 20000", "1 4000 19999", "header", "the header states 19999 samples, the file has 20000"),
        ("1 4000 20000", "1 4000", "header", "2530_AV.hea: line 1 is not `record signals rate samples`"),
        ("1 4000 20000", "one four 2 x", "header", "2530_AV.hea: line 1 is not `record signals rate samples`"),
    ],
)
def test_a_header_that_disagrees(two_patients, old: str, new: str, problem: str, detail: str) -> None:
    two_patients.edit("2530_AV.hea", old, new)
    manifest = two_patients.read()
    assert quality(manifest) == [("2530_AV", problem, "kept", detail)]
    assert set(manifest.recordings["rate_hz"]) == {4000}


def test_a_recording_at_another_rate_than_its_header(two_patients, sine) -> None:
    soundfile.write(two_patients.data / "2530_AV.wav", sine(50, 5, 8000), 8000)
    manifest = two_patients.read()
    assert [row[:3] for row in quality(manifest)] == [("2530_AV", "header", "kept"), ("2530_AV", "rate", "kept")]
    assert manifest.recordings.set_index("recording").loc["2530_AV", "rate_hz"] == 8000


def test_a_missing_header_and_missing_states_are_reported(two_patients) -> None:
    (two_patients.data / "2530_AV.hea").unlink()
    (two_patients.data / "2530_MV.tsv").unlink()
    manifest = two_patients.read()
    assert quality(manifest) == [
        ("2530_AV", "header", "kept", "2530_AV.hea is not there"),
        ("2530_MV", "states", "kept", "2530_MV.tsv is not there"),
    ]
    assert len(manifest.recordings) == 4


def test_an_empty_header_and_empty_states(two_patients) -> None:
    two_patients.write("2530_AV.hea", "")
    two_patients.write("2530_AV.tsv", "")
    manifest = two_patients.read()
    assert [row[:3] for row in quality(manifest)] == [("2530_AV", "header", "kept")]
    assert "2530_AV" not in set(manifest.states["recording"])


@pytest.mark.parametrize(
    "row", ["0\t0\t28", "1.1\t1.1\t0", "2\t1\t1", "-1\t1\t1", "0\t1\t9", "0\t1", "a\tb\t1", "0\tinf\t1"]
)
def test_an_invalid_state_is_left_out_and_reported(two_patients, row: str) -> None:
    """As row 1 of 50782_MV_1.tsv (state 28, no length), and the rows without length at the end of others."""
    text = (two_patients.data / "2530_AV.tsv").read_text()
    two_patients.write("2530_AV.tsv", f"{text}\n{row}\n")
    manifest = two_patients.read()
    assert quality(manifest) == [("2530_AV", "states", "kept", f"2530_AV.tsv: line 7 left out: {row!r}")]
    assert (manifest.states["recording"] == "2530_AV").sum() == 5


def test_the_same_audio_under_two_patients(two_patients) -> None:
    shutil.copy(two_patients.data / "2530_AV.wav", two_patients.data / "13918_MV.wav")
    assert quality(two_patients.read()) == [("2530_AV", "duplicate", "kept", "the same samples as 13918_MV")]


def test_bad_audio_is_dropped_and_odd_audio_is_kept(two_patients, sine) -> None:
    raw = (two_patients.data / "2530_AV.wav").read_bytes()
    (two_patients.data / "2530_AV.wav").write_bytes(raw[:-100])
    soundfile.write(two_patients.data / "2530_MV.wav", np.c_[sine(70), sine(80)], 4000, subtype="PCM_24")
    rows = [row[:3] for row in quality(two_patients.read())]
    assert rows == [
        ("2530_AV", "truncated", "dropped"),
        ("2530_MV", "channels", "kept"),
        ("2530_MV", "sample_format", "kept"),
    ]


# ---------------------------------------------------------------- the real recordings


@pytest.mark.real
@pytest.mark.skipif(not os.environ.get("AUSCULT_REAL_DATA"), reason="AUSCULT_REAL_DATA is not set")
def test_the_real_patients() -> None:
    from auscult.datasets.build import build

    root = Path(os.environ["AUSCULT_REAL_DATA"])
    manifest = build(circor.ingest(root, circor.Options()), root, "mean", 4.0, workers=2)
    cases, recordings = manifest.cases, manifest.recordings
    assert (len(cases), cases["subject"].nunique(), len(recordings)) == (501, 475, 1679)
    assert (cases.groupby("subject").size() == 2).sum() == 26
    assert Counter(cases["murmur"]) == {"Absent": 374, "Present": 93, "Unknown": 34}
    assert Counter(cases["outcome"]) == {"Normal": 268, "Abnormal": 233}
    assert Counter(recordings["murmur_audible"]) == {"inaudible": 1327, "audible": 271, "unclear": 81}
    assert set(manifest.quality["action"]) == {"kept"}
    assert Counter(manifest.quality["problem"]) == {"states": 12, "clipped": 10}
    assert set(recordings["rate_hz"]) == {4000}
    assert recordings["sha256"].is_unique
    assert set(recordings["case"]) == set(cases["case"])
    assert set(manifest.states["recording"]) <= set(recordings["recording"])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("twin", ["0{}", "{}.0", "{}.00", " {} ", "+{}", "{}, 103", "{} (twin)", "{}/103"])
def test_an_additional_id_in_another_writing_is_matched_or_refused(release, twin: str, seed: int) -> None:
    first, second = np.random.default_rng(seed).permutation(TRAPS)[:2]
    release.patient(first, Additional_ID=twin.format(second))
    release.patient(second)
    try:
        found = subjects(release)
    except DatasetError as error:
        assert f"{first}.txt: #Additional ID" in str(error) and "write the id alone" in str(error)
    else:
        assert found[first] == found[second]


@pytest.mark.parametrize("cell", ["AV,PV", "AV + PV", "av+pv", "PV;AV", "AV PV"])
def test_sites_of_a_murmur_may_be_joined_otherwise(release, cell: str) -> None:
    release.patient("2530", sites="AV MV PV", Murmur="Present", Murmur_locations=cell, Outcome="Abnormal")
    assert release.read().recordings["murmur_audible"].tolist() == ["audible", "inaudible", "audible"]


@pytest.mark.parametrize("cell", ["AV+XX", "AVPV", "everywhere"])
def test_an_unknown_site_of_a_murmur_is_refused(release, cell: str) -> None:
    release.patient("2530", Murmur="Present", Murmur_locations=cell, Outcome="Abnormal")
    assert "2530.txt: #Murmur locations: " in error_of(release) and "is not one of AV" in error_of(release)


@pytest.mark.parametrize("key", ["Murmur", "Outcome", "Age", "Additional ID"])
def test_a_key_that_is_given_twice_is_refused(two_patients, key: str) -> None:
    path = two_patients.data / "2530.txt"
    path.write_text(path.read_text() + f"#{key}: nan\n")
    assert f"#{key} is given twice" in error_of(two_patients)


@pytest.mark.parametrize("seed", range(6))
def test_keys_may_be_in_any_writing(two_patients, seed: int) -> None:
    expected = two_patients.read()
    rng, path = np.random.default_rng(seed), two_patients.data / "2530.txt"
    writings = [str.upper, str.lower, lambda key: f" {key}", lambda key: key.replace(" ", "_"), lambda key: key]
    lines = []
    for line in path.read_text().splitlines():
        key, colon, value = line.removeprefix("#").partition(":")
        lines.append(f"#{writings[rng.integers(5)](key)}:{value}" if colon else line)
    path.write_text("\n".join(lines) + "\n")
    assert two_patients.read().digest() == expected.digest()


@pytest.mark.parametrize("line", ["#", "# a comment", "#!", "# Doctor said = loud"])
def test_other_comments_are_no_keys(two_patients, line: str) -> None:
    path = two_patients.data / "2530.txt"
    path.write_text(path.read_text() + line + "\n")
    assert quality(two_patients.read()) == []


@pytest.mark.parametrize("seed", range(6))
def test_a_patient_file_that_was_cut_or_lost_a_line_is_listed(two_patients, seed: int) -> None:
    rng, path = np.random.default_rng(seed), two_patients.data / "2530.txt"
    lines = path.read_text().splitlines()
    at = int(rng.integers(4, len(lines)))
    lost = lines[at:] if seed % 2 else lines[at : at + 1]
    path.write_text("\n".join(line for line in lines if line not in lost) + "\n")
    keys = ", ".join(line.partition(":")[0] for line in lost if line.partition(":")[0].removeprefix("#") in circor.KEYS)
    rows = [row for row in quality(two_patients.read()) if row[1] == "keys"]
    assert [row[3].removeprefix("2530.txt has no ") for row in rows] == [
        ", ".join(sorted(keys.split(", "), key=[f"#{key}" for key in circor.KEYS].index))
    ]


@pytest.mark.parametrize(
    ("murmur", "sites", "listed"), [("Absent", "AV", True), ("Present", "PV+TV", True), ("Present", "PV+MV", False)]
)
def test_sites_that_contradict_the_label_are_listed(two_patients, murmur: str, sites: str, listed: bool) -> None:
    two_patients.patient("50782", Murmur=murmur, Murmur_locations=sites)
    rows = [row for row in quality(two_patients.read()) if row[1] == "murmur"]
    assert [row[0] for row in rows] == (["50782"] if listed else [])


@pytest.mark.parametrize("writing", ["ID{}", "P{}", "#{}", "patient {}", "0{}", "{}.0"])
def test_an_additional_id_may_be_in_any_writing(release, writing: str) -> None:
    release.patient("49630", Additional_ID="nan")
    release.patient("36327", Additional_ID=writing.format("49630"))
    assert set(subjects(release).values()) == {"36327+49630"}


@pytest.mark.parametrize("count", ["¹", "٢", "2" * 5000, "-2"])
def test_a_number_in_other_digits_is_refused_and_not_computed_with(two_patients, count: str) -> None:
    path = two_patients.data / "2530.txt"
    path.write_text(path.read_text().replace("2530 2 4000", f"2530 {count} 4000", 1))
    assert "2530.txt: line 1 should be" in error_of(two_patients)


def test_an_additional_id_means_the_id_that_is_written_so(release) -> None:
    """Ids that differ in writing only are legal where the study says so."""
    release.patient("12", Additional_ID="7")
    release.patient("7")
    release.patient("007")
    assert subjects(release) == {"12": "7+12", "7": "7+12", "007": "007"}
