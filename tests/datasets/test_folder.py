"""Own data: two tables and audio files, and every inconsistency between them."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from auscult.config.dataset import Dataset
from auscult.datasets import folder, releases
from auscult.datasets.errors import DatasetError
from auscult.datasets.releases import raw_digest


def quality(manifest) -> list[tuple]:
    return list(manifest.quality.itertuples(index=False, name=None))


def error_of(own, **options) -> str:
    with pytest.raises(DatasetError) as error:
        own.read(**options)
    return str(error.value)


# ---------------------------------------------------------------- what is read


def test_own_data_becomes_a_manifest(own) -> None:
    manifest = own.read(groups=["day"], covariates=["weight"])
    assert quality(manifest) == []
    assert list(manifest.cases.columns) == ["case", "subject", "day", "sound", "weight"]
    assert manifest.cases["subject"].tolist() == ["s1", "s2", "s1"]
    assert manifest.cases["sound"].tolist() == ["crackle", "wheeze", ""]  # a case without label is kept
    assert manifest.cases["weight"].tolist()[::2] == [3.0, 4.5]
    assert np.isnan(manifest.cases["weight"][1])
    assert manifest.recordings["recording"].tolist() == ["ra", "rb", "rc"]
    assert manifest.recordings["path"].tolist() == ["a.wav", "b.wav", "deep/c.wav"]
    assert manifest.recordings["site"].tolist() == ["", "", ""]
    assert manifest.subjects_known


def test_columns_that_no_option_names_are_left_out(own) -> None:
    assert list(own.read().cases.columns) == ["case", "subject", "sound"]


def test_without_a_subject_column_subjects_are_unknown(own) -> None:
    own.write("cases.csv", "case,sound", "a,crackle", "b,wheeze", "c,")
    manifest = own.read()
    assert not manifest.subjects_known
    assert manifest.cases["subject"].tolist() == ["a", "b", "c"]


def test_intervals_sites_and_labels_of_recordings(own) -> None:
    own.write(
        "recordings.csv",
        "recording,case,path,site,onset_s,offset_s,phase",
        "r1,a,a.wav,left,0,0.5,in",
        "r2,b,a.wav,left,0.5,2.01,out",
        "r3,c,deep/c.wav,right,,,",
    )
    manifest = own.read(recording_labels=["phase"])
    assert manifest.recordings["frames"].tolist() == [2000, 6000, 8000]
    assert manifest.recordings["site"].tolist() == ["left", "left", "right"]
    assert manifest.recordings["phase"].tolist() == ["in", "out", ""]
    assert [row[:2] for row in quality(manifest)] == [("b", "unlisted"), ("r1", "short")]


def test_several_labels_of_a_case(own) -> None:
    own.write("cases.csv", "case,subject,sound", "a,s1,crackle|wheeze", "b,s2,wheeze", "c,s3,")
    assert own.read().cases["sound"].tolist() == ["crackle|wheeze", "wheeze", ""]
    own.write("cases.csv", "case,subject,sound", "a,s1,crackle|snore", "b,s2,wheeze", "c,s3,")
    assert "row 2, column 'sound': 'snore' is not one of crackle, wheeze" in error_of(own)


def test_no_allowed_values_allow_any(own) -> None:
    own.write("cases.csv", "case,subject,sound", "a,s1,snore", "b,s2,any|thing", "c,s3,")
    assert own.read(labels={"sound": []}).cases["sound"].tolist() == ["snore", "any|thing", ""]


def test_recordings_at_mixed_rates(own, sine) -> None:
    own.wav("b.wav", sine(50, 2, 44100), 44100)
    manifest = own.read()
    assert manifest.recordings["rate_hz"].tolist() == [4000, 44100, 4000]
    assert quality(manifest) == []


def test_order_of_rows_and_line_ends_change_nothing(own) -> None:
    before = own.read(groups=["day"], covariates=["weight"]).digest()
    own.write(
        "cases.csv", "\ufeffsubject,case,sound,weight,day", "s2,b,wheeze,,tue", "s1,c,,4.5,mon", "s1,a,crackle,3,mon",
        newline="\r\n",
    )  # fmt: skip
    own.write("recordings.csv", "path,recording,case", "deep/c.wav,rc,c", "b.wav,rb,b", "a.wav,ra,a", newline="\r\n")
    assert own.read(groups=["day"], covariates=["weight"]).digest() == before


def test_ids_that_look_like_numbers_stay_as_written(own) -> None:
    own.write("cases.csv", "case,subject,sound", "007,1.0,crackle", "2530,2,wheeze", "1e5,nobody,")
    own.write("recordings.csv", "recording,case,path", "1,007,a.wav", "01,2530,b.wav", "1.0,1e5,deep/c.wav")
    manifest = own.read()
    assert manifest.cases["case"].tolist() == ["007", "1e5", "2530"]
    assert manifest.cases["subject"].tolist() == ["1.0", "nobody", "2"]
    assert manifest.recordings["recording"].tolist() == ["01", "1", "1.0"]


# ---------------------------------------------------------------- faults of the tables


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["case,subject", "a,s1"], "no column 'sound'; it has case, subject"),
        (["id,subject,sound", "a,s1,crackle"], "no column 'case'; it has id, subject, sound"),
        (["case;subject;sound", "a;s1;crackle"], "line 1: the columns are separated by ';'; save them with commas"),
        (["case\tsubject\tsound", "a\ts1\tcrackle"], "line 1: the columns are separated by '\\t'"),
        (["case,subject,sound", "a,s1,crackle", "b,s2,snore"], "row 3, column 'sound': 'snore' is not one of"),
        (["case,subject,sound", "a,s1,Crackle"], "row 2, column 'sound': 'Crackle' is not one of crackle, wheeze"),
        (
            ["case,subject,sound", "a,s1,crackle", "b,,wheeze"],
            "row 3, column 'subject': '' names no subject; name the subject of every case",
        ),
        (["case,subject,sound", "a,s1,crackle", "a,s2,crackle"], "case 'a' is listed under two subjects"),
        (["case,subject,sound", "a,s1,crackle", "a,s1,wheeze"], "row 3: case 'a' is listed twice; ids are unique"),
        (["case,subject,sound", "a,s1,crackle,,x"], "line 2: 5 cells under 3 columns"),
    ],
)
def test_cases_that_do_not_fit_stop(own, rows: list[str], message: str) -> None:
    own.write("cases.csv", *rows)
    assert error_of(own).startswith(f"{own.root / 'cases.csv'}: {message}")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["recording,case", "ra,a"], "no column 'path'; it has recording, case"),
        (["recording,case,path", "ra,a,a.wav", "ra,b,b.wav"], "row 3: recording 'ra' is listed twice"),
        (["recording,case,path,onset_s", "ra,a,a.wav,soon"], "row 2, column 'onset_s': 'soon' is not a number"),
        (["recording,case,path,offset_s", "ra,a,a.wav,inf"], "row 2, column 'offset_s': 'inf' is not a number"),
    ],
)
def test_recordings_that_do_not_fit_stop(own, rows: list[str], message: str) -> None:
    own.write("recordings.csv", *rows)
    assert error_of(own).startswith(f"{own.root / 'recordings.csv'}: {message}")


def test_other_columns_that_options_name_must_be_there_and_fit(own) -> None:
    cases, recordings = own.root / "cases.csv", own.root / "recordings.csv"
    assert error_of(own, groups=["night"]).startswith(f"{cases}: no column 'night'")
    assert error_of(own, covariates=["height"]).startswith(f"{cases}: no column 'height'")
    assert error_of(own, covariates=["day"]).startswith(f"{cases}: row 2, column 'day': 'mon' is not a number; leave")
    assert error_of(own, recording_labels=["phase"]).startswith(f"{recordings}: no column 'phase'")


@pytest.mark.parametrize("name", ["cases.csv", "recordings.csv"])
def test_a_table_that_is_missing_empty_or_not_utf_8_stops(own, name: str) -> None:
    path = own.root / name
    path.write_bytes(path.read_bytes() + "Zoë,x,y\n".encode("latin-1"))
    line = path.read_bytes().count(b"\n")
    assert error_of(own) == f"{path}: line {line}: not UTF-8 (byte 0xeb); save it as UTF-8"
    path.write_bytes(b"")
    assert error_of(own).startswith(f"{path}: line 1 should name the columns")
    path.unlink()
    assert error_of(own) == f"{path}: the file is not there"


def test_a_recording_of_an_unknown_case_stops(own) -> None:
    own.write("recordings.csv", "recording,case,path", "ra,a,a.wav", "rx,x,b.wav")
    assert error_of(own).endswith("recordings.csv: row 3, column 'case': 'x' is not among the cases of cases.csv")


@pytest.mark.parametrize("kind", ["parent", "absolute", "link"])
def test_a_path_outside_the_folder_stops(own, sine, kind: str) -> None:
    outside = own.wav("../outside.wav", sine())
    (own.root / "link.wav").symlink_to(outside)
    path = {"parent": "../outside.wav", "absolute": str(outside.resolve()), "link": "link.wav"}[kind]
    own.write("recordings.csv", "recording,case,path", f"ra,a,{path}")
    assert f"recording 'ra': the path {path!r} is outside this folder" in error_of(own)


# ---------------------------------------------------------------- faults of the recordings


@pytest.mark.parametrize(
    ("interval", "detail"),
    [
        ("1,2.02", "1.0 to 2.02 s is not inside the file's 2.000 s"),
        ("1.5,1.5", "1.5 to 1.5 s is not inside the file's 2.000 s"),
        ("-1,1", "-1.0 to 1.0 s is not inside the file's 2.000 s"),
    ],
)
def test_an_interval_outside_its_file_is_dropped(own, interval: str, detail: str) -> None:
    own.write("recordings.csv", "recording,case,path,onset_s,offset_s", "ra,a,a.wav,,", f"rb,b,b.wav,{interval}")
    manifest = own.read()
    assert ("rb", "interval", "dropped", detail) in quality(manifest)
    assert manifest.cases["case"].tolist() == ["a", "b", "c"]


def test_bad_files_are_dropped_and_their_cases_stay(own, sine) -> None:
    (own.root / "a.wav").unlink()
    own.wav("b.wav", np.zeros(8000))
    manifest = own.read()
    assert [row[:3] for row in quality(manifest)] == [("ra", "missing", "dropped"), ("rb", "constant", "dropped")]
    assert manifest.cases["case"].tolist() == ["a", "b", "c"]


def test_a_folder_without_a_readable_recording_stops(own) -> None:
    for path in own.root.rglob("*.wav"):
        path.unlink()
    assert error_of(own).startswith(f"{own.root}: none of the 3 recordings listed can be read (ra: there is no")


def test_the_same_interval_under_two_ids_is_reported(own) -> None:
    own.write(
        "recordings.csv", "recording,case,path,onset_s,offset_s", "ra,a,a.wav,0,1", "rb,b,a.wav,0,1", "rc,c,a.wav,1,2"
    )
    assert ("rb", "duplicate", "kept", "the same samples as ra") in quality(own.read())


# ---------------------------------------------------------------- options and files


@pytest.mark.parametrize(
    ("options", "column"),
    [
        ({"covariates": ["sound"]}, "sound"),  # a label must not become a feature
        ({"groups": ["day"], "covariates": ["day"]}, "day"),
        ({"groups": ["subject"]}, "subject"),
        ({"labels": {"case": []}}, "case"),
        ({"recording_labels": ["site"]}, "site"),
        ({"recording_labels": ["phase", "phase"]}, "phase"),
        ({"recording_labels": ["header_frames"]}, "header_frames"),  # a number in listings of other data sets
    ],
)
def test_a_column_has_one_use(options: dict, column: str) -> None:
    with pytest.raises(ValidationError, match=f"the column '{column}' is named for two uses"):
        folder.Options(**{"labels": {"sound": []}, **options})


def test_files_are_all_but_hidden_ones(own) -> None:
    for name in (".git/HEAD", ".hidden.wav", "deep/.DS_Store"):
        (own.root / name).parent.mkdir(exist_ok=True)
        (own.root / name).write_text("x")
    names = {str(path.relative_to(own.root)) for path in folder.files(own.root, own.options)}
    assert names == {"cases.csv", "recordings.csv", "a.wav", "b.wav", "deep/c.wav"}
    assert folder.files(own.root / "none", own.options) == []


def test_a_changed_table_or_file_changes_the_raw_digest(own, sine, tmp_path: Path) -> None:
    def digest() -> str:
        return raw_digest(folder.files(own.root, own.options), own.root, tmp_path / "memory.json")

    digests = [digest()]
    os.utime(own.root / "cases.csv", (1, 1))
    assert digest() == digests[0]
    own.wav("a.wav", sine(90, 2.0))
    digests.append(digest())
    own.write("cases.csv", "case,subject,sound", "a,s1,wheeze")
    digests.append(digest())
    assert len(set(digests)) == 3


@pytest.mark.parametrize("column", ["Subject", "SUBJECT", "subjects", "subjec"])
def test_a_misspelt_subject_column_is_refused(own, column: str) -> None:
    own.write("cases.csv", f"case,{column},sound", "a,s1,crackle", "b,s2,wheeze", "c,s1,")
    assert "cases.csv: no column 'subject'" in error_of(own) and "is 'subject' meant?" in error_of(own)


@pytest.mark.parametrize(
    "column",
    ["patient", "Patient ID", "patient_id", "SubjectID", "subject_no", "participant", "person-nr", "Subj"],
)
def test_a_column_that_names_persons_is_not_left_out_silently(own, column: str) -> None:
    own.write("cases.csv", f"case,{column},sound", "a,s1,crackle", "b,s2,wheeze", "c,s1,")
    assert f"no column 'subject', but {column!r}: is it who was recorded?" in error_of(own)
    assert not own.read(groups=[column]).subjects_known


@given(
    person=st.sampled_from(sorted(folder.SUBJECT_WORDS)),
    mark=st.sampled_from(["", *sorted(folder.ID_WORDS)]),
    sign=st.sampled_from(["_", " ", "-", "."]),
    write=st.sampled_from([str.lower, str.upper, str.title]),
)
def test_any_usual_name_of_a_column_of_persons_is_recognised(person, mark, sign, write) -> None:
    column = write(f"{person}{sign}{mark}" if mark else person)
    assert folder.subject_columns(["age", column, "murmur"]) == [column]


@given(
    person=st.sampled_from(sorted(folder.SUBJECT_WORDS)),
    mark=st.sampled_from(["id", "ids", "uid", "uuid"]),
    write=st.sampled_from([str.lower, str.upper]),
)
def test_an_id_that_is_joined_to_the_word_changes_nothing(person, mark, write) -> None:
    assert folder.subject_columns([column := write(person + mark)]) == [column]


@pytest.mark.parametrize("column", ["patient_age", "child", "user_agent", "personality", "speakers_used", "pathology"])
def test_a_column_about_persons_is_left_out(own, column: str) -> None:
    own.write("cases.csv", f"case,{column},sound", "a,s1,crackle", "b,s2,wheeze", "c,s1,")
    assert not own.read().subjects_known


@pytest.mark.parametrize("unit", ["", "_s", " (s)", "_sec", " (seconds)", "-ms", "_sample", " frames"])
@pytest.mark.parametrize(
    ("column", "other"), [("onset", "start"), ("onset", "onset"), ("offset", "end"), ("offset", "Stop")]
)
def test_times_of_intervals_under_another_name_are_not_left_out_silently(own, column, other, unit) -> None:
    if f"{other}{unit}" == f"{column}_s":
        return
    own.write(
        "recordings.csv", f"recording,case,path,{other}{unit}", "ra,a,a.wav,0.5", "rb,b,b.wav,1", "rc,c,deep/c.wav,1"
    )
    assert f"no column '{column}_s', but '{other}{unit}': is '{column}_s' (in seconds) meant?" in error_of(own)


@pytest.mark.parametrize("word", sorted(folder.OTHER_NAMES["site"]))
@pytest.mark.parametrize("write", [str.lower, str.upper, lambda word: word.replace("site", "_site")])
def test_sites_under_another_name_are_not_left_out_silently(own, word: str, write) -> None:
    column = write(word)
    own.write("recordings.csv", f"recording,case,path,{column}", "ra,a,a.wav,AV", "rb,b,b.wav,MV", "rc,c,deep/c.wav,TV")
    assert f"no column 'site', but {column!r}: is 'site' meant?" in error_of(own)


@pytest.mark.parametrize(("table", "column"), [("cases", 0), ("recordings", 0), ("recordings", 1), ("recordings", 2)])
@pytest.mark.parametrize("row", [1, 2, 3])
@pytest.mark.parametrize("blank", ["", " ", "\u00a0"])
def test_a_row_without_a_key_is_named_by_its_number(own, table: str, column: int, row: int, blank: str) -> None:
    rows = {
        "cases": [["case", "subject", "sound"], ["a", "s1", ""], ["b", "s2", ""], ["c", "s1", ""]],
        "recordings": [["recording", "case", "path"], *([f"r{x}", x, "a.wav"] for x in "abc")],
    }[table]
    rows[row][column] = blank
    own.write(f"{table}.csv", *map(",".join, rows))
    assert f"{table}.csv: row {row + 1}, column {rows[0][column]!r}: the cell is empty" in error_of(own)


@pytest.mark.parametrize("column", ["end", "start", "position", "begin"])
def test_words_under_a_name_of_times_are_another_label(own, column: str) -> None:
    own.write(
        "recordings.csv", f"recording,case,path,{column}", "ra,a,a.wav,sitting", "rb,b,b.wav,", "rc,c,deep/c.wav,x"
    )
    assert own.read(recording_labels=[column]).recordings[column].tolist() == ["sitting", "", "x"]
    assert own.read().recordings["onset_s"].isna().all()


def test_a_case_may_be_called_as_a_pair_where_subjects_are_unknown(own) -> None:
    own.write("cases.csv", "case,sound", "a+1,crackle", "b,wheeze", "c,")
    own.write("recordings.csv", "recording,case,path", "ra,a+1,a.wav", "rb,b,b.wav", "rc,c,deep/c.wav")
    assert own.read().cases["case"].tolist() == ["a+1", "b", "c"]


@pytest.mark.parametrize("subject", ["ward+1", "+", "1+2"])
def test_a_subject_that_looks_like_two_is_refused(own, subject: str) -> None:
    own.write("cases.csv", "case,subject,sound", "a,s1,crackle", f"b,{subject},wheeze", "c,s1,")
    assert f"row 3: the subject {subject!r} contains '+', which joins two ids of one person" in error_of(own)


@pytest.mark.parametrize("lost", [["ra"], ["rb"], ["rc", "ra"]])
def test_rows_that_a_cut_table_lost_are_listed(own, lost: list[str]) -> None:
    rows = [row for row in ("ra,a,a.wav", "rb,b,b.wav", "rc,c,deep/c.wav") if row[:2] not in lost]
    own.write("recordings.csv", "recording,case,path", *rows)
    cases = [name[1] for name in sorted(lost)]
    expected = [(case, problem) for case in cases for problem in ("no_recordings", "unlisted")]
    expected = [row for row in expected if row != ("c", "unlisted")]  # no other file of its folder is listed
    assert [row[:2] for row in quality(own.read())] == expected


@pytest.mark.parametrize(
    ("one", "other"), [("D1", "d1"), ("1", "1.0"), ("day 1", "day  1"), ("d-1", "d–1"), ("D1", "D01")]
)
def test_groups_that_differ_in_writing_only_are_refused(own, one: str, other: str) -> None:
    own.write("cases.csv", "case,subject,day,sound", f"a,s1,{one},crackle", f"b,s2,{other},wheeze", "c,s3,x,")
    assert "differ in writing only" in error_of(own, groups=["day"])
    assert own.read().cases["case"].tolist() == ["a", "b", "c"]  # as no group


@pytest.mark.parametrize(("one", "other"), [("MV", "mv"), ("left base", "Left  base"), ("Érb", "erb"), ("A-1", "A–1")])
@pytest.mark.parametrize("seed", range(3))
def test_sites_that_differ_in_writing_only_are_refused(own, one: str, other: str, seed: int) -> None:
    def with_sites(sites: list[str]) -> None:
        paths = ("ra,a,a.wav", "rb,b,b.wav", "rc,c,deep/c.wav")
        lines = [f"{start},{site}" for start, site in zip(paths, sites, strict=True)]
        own.write("recordings.csv", "recording,case,path,site", *lines)

    rng = np.random.default_rng(seed)
    with_sites(list(rng.permutation([one, other, "AV"])))
    text = error_of(own)
    assert repr(one) in text and repr(other) in text and "differ in writing only; write them alike" in text
    with_sites(list(rng.permutation([one, one, ""])))
    assert sorted(own.read().recordings["site"]) == ["", one, one]


@pytest.mark.parametrize("value", ["1e31", "-1e300", "3.5e38"])
def test_a_covariate_that_no_second_stage_could_take_is_refused(own, value: str) -> None:
    own.write("cases.csv", "case,subject,weight,sound", "a,s1,3,crackle", f"b,s2,{value},wheeze", "c,s3,,")
    assert "case 'b': weight is " in error_of(own, covariates=["weight"])


@pytest.mark.parametrize("path", [f"{'x' * 5000}/b.wav", f"{'x/' * 3000}b.wav", "none/b.wav", "b.wav/b.wav"])
def test_a_folder_that_is_none_loses_one_recording(own, path: str) -> None:
    own.write("recordings.csv", "recording,case,path", "ra,a,a.wav", f"rb,b,{path}", "rc,c,deep/c.wav")
    assert ("rb", "missing", "dropped") in [row[:3] for row in quality(own.read())]


def test_sounds_of_other_data_sets_below_the_root_are_not_listed(own) -> None:
    (own.root / "other").mkdir()
    (own.root / "other" / "x.wav").write_bytes((own.root / "a.wav").read_bytes())
    assert quality(own.read()) == []


@pytest.mark.parametrize("length", [256, 300, 5000])
def test_a_path_that_is_too_long_loses_one_recording(own, length: int) -> None:
    own.write("recordings.csv", "recording,case,path", "ra,a,a.wav", f"rb,b,{'x' * length}.wav", "rc,c,deep/c.wav")
    assert ("rb", "missing", "dropped") in [row[:3] for row in quality(own.read())]
    assert len(folder.files(own.root, own.options)) == 4


def test_a_link_to_a_file_counts_as_the_file(own) -> None:
    (own.root / "link.wav").symlink_to("a.wav")
    own.write("recordings.csv", "recording,case,path", "ra,a,a.wav", "rb,b,link.wav", "rc,c,deep/../deep/c.wav")
    assert own.read().recordings["path"].tolist() == ["a.wav", "a.wav", "deep/c.wav"]


def test_a_column_that_an_option_names_is_not_taken_for_another_one(own) -> None:
    own.write("recordings.csv", "recording,case,path,Site", "ra,a,a.wav,x", "rb,b,b.wav,y", "rc,c,deep/c.wav,x")
    assert own.read(recording_labels=["Site"]).recordings["Site"].tolist() == ["x", "y", "x"]
    assert "no column 'site', but 'Site': is 'site' meant?" in error_of(own)


@pytest.mark.parametrize("seed", range(3))
def test_a_name_that_is_not_utf_8_is_listed_and_stops_nothing(own, sine, seed: int) -> None:
    raw = bytes(np.random.default_rng(seed).integers(0x80, 0xFF, 3, dtype=np.uint8))
    own.wav("a.wav", sine())
    (own.root / "a.wav").rename(own.root / "other.wav")
    own.wav("a.wav", sine(70))
    (own.root / "other.wav").rename(own.root / os.fsdecode(b"stray" + raw + b".wav"))
    manifest = own.read()
    stray = manifest.quality[manifest.quality["problem"] == "unlisted"]
    assert len(stray) == 1 and "\\" in stray["detail"].item()
    manifest.quality.to_csv(own.root / "quality.csv", index=False)  # as UTF-8


@pytest.mark.parametrize("root", ["relative", "absolute", "link"])
def test_an_absolute_path_inside_the_folder_is_read(own, root: str, monkeypatch, tmp_path: Path) -> None:
    own.write("recordings.csv", "recording,case,path", f"ra,a,{own.root.resolve() / 'a.wav'}", "rb,b,b.wav")
    monkeypatch.chdir(own.root.parent)
    (own.root.parent / "link").symlink_to(own.root)
    place = {"relative": Path(own.root.name), "absolute": own.root.resolve(), "link": own.root.parent / "link"}[root]
    release = releases.find(Dataset(name="x", adapter="folder", root=str(place), options={"labels": {}}))
    assert len(releases.state(release, tmp_path / f"{root}.json")) == 64
    assert "a.wav" in own.read().recordings["path"].tolist()


@pytest.mark.parametrize("column", ["subject", "patient_id", "Person"])
def test_persons_in_the_table_of_recordings_are_not_left_out_silently(own, column: str) -> None:
    own.write("cases.csv", "case,sound", "a,crackle", "b,wheeze", "c,")
    own.write("recordings.csv", f"recording,case,path,{column}", "ra,a,a.wav,s1", "rb,b,b.wav,s1")
    assert f"the column {column!r} is about persons, and cases.csv has no column 'subject'" in error_of(own)


@pytest.mark.parametrize("row", [0, 1])
def test_persons_that_the_two_tables_contradict_are_refused(own, row: int) -> None:
    rows = ["ra,a,a.wav,s1", "rb,b,b.wav,s2"]
    own.write("recordings.csv", "recording,case,path,subject", *rows)
    own.read()
    rows[row] = rows[row].rpartition(",")[0] + ",s9"
    own.write("recordings.csv", "recording,case,path,subject", *rows)
    assert f"row {row + 2}, column 'subject': 's9', but cases.csv has" in error_of(own)


@pytest.mark.parametrize(
    "word", ["N.A.", "n. a.", "missing", "TBD", "--", "—", "#REF!", "#NAME?", "Not available", "?"]
)
def test_words_for_nobody_are_no_subject(own, word: str) -> None:
    own.write("cases.csv", "case,subject,sound", "a,s1,crackle", f"b,{word},wheeze", "c,s3,")
    assert f"row 3, column 'subject': {word!r} names no subject" in error_of(own)


@pytest.mark.parametrize("name", ["x.raw", "X.RAW"])
def test_samples_without_a_header_lose_one_recording(own, name: str) -> None:
    (own.root / name).write_bytes(bytes(8000))
    own.write("recordings.csv", "recording,case,path", "ra,a,a.wav", f"rb,b,{name}")
    (row,) = [row for row in quality(own.read()) if row[0] == "rb"]
    assert row[1:3] == ("corrupt", "dropped")
