"""The ICBHI adapter on a few generated recordings, and on the real data set."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.datasets import icbhi
from auscult.datasets.build import build
from auscult.datasets.errors import DatasetError

FIRST, SECOND = "101_1b1_Al_sc_Meditron", "156_5b3_Tc_mc_AKGC417L"


@pytest.fixture
def root(tmp_path: Path, sine) -> Path:
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / f"{FIRST}.wav", sine(100, 4.0, 44100), 44100)
    soundfile.write(tmp_path / "audio" / f"{SECOND}.wav", sine(110, 4.0, 4000), 4000)
    (tmp_path / "audio" / f"{FIRST}.txt").write_text("0.0\t1.5\t0\t0\r\n1.5\t4.0005\t1\t0\r\n")
    (tmp_path / "audio" / f"{SECOND}.txt").write_text("0.5\t2.0\t0\t1\n2.0\t3.8\t1\t1\n")
    (tmp_path / "official_split.txt").write_text(f"{FIRST}\ttrain\n{SECOND}\ttest\n")
    (tmp_path / "patient_diagnosis.csv").write_text("101,URTI\n156,COPD\n")
    return tmp_path


def read(root: Path):
    return build(icbhi.ingest(root, icbhi.Options()), root, "mean", 0.5, workers=1)


def assert_refused(root: Path, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(root)


def test_a_cycle_is_a_case(root):
    manifest = read(root)
    assert manifest.quality.empty
    cases = manifest.cases.set_index("case")
    assert cases["sound"].tolist() == ["normal", "crackle", "wheeze", "both"]
    assert cases["abnormal"].tolist() == ["normal", "abnormal", "abnormal", "abnormal"]
    assert cases["subject"].tolist() == ["101", "101", "156", "156"]
    assert cases["official"].tolist() == ["train", "train", "test", "test"]
    assert cases["diagnosis"].tolist() == ["URTI", "URTI", "COPD", "COPD"]
    assert cases["device"].tolist() == ["Meditron", "Meditron", "AKGC417L", "AKGC417L"]
    # device and split are attributes, not groups: the audit does not count roles that share them
    assert (manifest.columns.groups, manifest.columns.attributes) == (["source"], ["device", "official"])
    recordings = manifest.recordings
    assert recordings["site"].tolist() == ["Al", "Al", "Tc", "Tc"]
    assert recordings["rate_hz"].tolist() == [44100, 44100, 4000, 4000]


def test_a_last_offset_may_be_beyond_the_end_by_rounding(root):
    frames = read(root).recordings["frames"].tolist()
    assert frames == [round(1.5 * 44100), round(2.5 * 44100), 6000, 7200]


def test_an_empty_cycle_is_left_out_and_reported(root):
    (root / "audio" / f"{SECOND}.txt").write_text("0.5\t2.0\t0\t1\n2.0\t2.0\t1\t1\n")
    manifest = read(root)
    assert len(manifest.cases) == 3
    assert manifest.quality[["recording", "problem", "action"]].to_numpy().tolist() == [[SECOND, "cycle", "dropped"]]


@pytest.mark.parametrize("text", ["", "\n \n", "1.0 1.0 0 0\n"])
def test_a_recording_without_cycles_is_reported(root, text):
    (root / "audio" / f"{SECOND}.txt").write_text(text)
    table = read(root).quality
    assert (table["recording"] == SECOND).any() and "no cycles" in " ".join(table["detail"])


@pytest.mark.parametrize("diagnosis", ["Healthy", "urti", "COPD"])
def test_a_patient_has_one_diagnosis(root, diagnosis):
    lines = (root / "patient_diagnosis.csv").read_text().splitlines()
    lines.insert(len(diagnosis) % 3, f"101,{diagnosis}")
    (root / "patient_diagnosis.csv").write_text("\n".join(lines) + "\n")
    assert_refused(root, "the patient 101 has two diagnoses")


def test_a_split_with_suffixes_is_the_same_and_one_of_other_names_is_refused(root):
    cases = read(root).cases
    path = root / "official_split.txt"
    path.write_text(path.read_text().replace("\t", ".wav\t"))
    assert read(root).cases.equals(cases)
    path.write_text(path.read_text().replace("1", "9"))
    assert_refused(root, "has no line for any of the recordings")


def test_a_cycle_outside_its_recording_is_dropped(root):
    (root / "audio" / f"{SECOND}.txt").write_text("0.5\t2.0\t0\t1\n2.0\t9.0\t1\t1\n")
    assert read(root).quality[["problem", "action"]].to_numpy().tolist() == [["interval", "dropped"]]


def test_annotations_without_a_recording_are_reported(root):
    (root / "audio" / f"{SECOND}.wav").unlink()
    assert read(root).quality[["recording", "problem", "action"]].to_numpy().tolist() == [
        [SECOND, "missing", "dropped"]
    ]


@pytest.mark.parametrize("line", ["1.0\t2.0\t0", "1.0\t2.0\t2\t0", "a\t2.0\t0\t0", "1.0\t2.0\t0\t0\t1", "1,0 2,0 0 0"])
def test_bad_lines_are_refused(root, line):
    (root / "audio" / f"{FIRST}.txt").write_text(f"0.0\t1.0\t0\t0\n{line}\n")
    assert_refused(root, f"{FIRST}.txt: line 2 should be `onset offset crackle wheeze`")


def test_every_recording_needs_a_side_and_a_diagnosis(root):
    (root / "official_split.txt").write_text(f"{FIRST}\ttrain\n")
    manifest = read(root)
    assert set(manifest.cases["source"]) == {FIRST}
    assert manifest.quality[["recording", "problem", "action"]].to_numpy().tolist() == [[SECOND, "unlisted", "dropped"]]
    (root / "official_split.txt").write_text(f"{FIRST}\ttrain\n{SECOND}\tboth\n")
    assert_refused(root, "official_split.txt: line 2 should be")
    (root / "official_split.txt").write_text(f"{FIRST}\ttrain\n{SECOND}\ttest\n")
    (root / "patient_diagnosis.csv").write_text("101,URTI\n")
    assert_refused(root, "patient_diagnosis.csv: no line for the patient '156'")
    (root / "patient_diagnosis.csv").write_text("101;URTI\n")
    assert_refused(root, "patient_diagnosis.csv: line 1 should be")


def test_an_annotation_file_must_be_there(root):
    (root / "audio" / f"{FIRST}.txt").unlink()
    assert_refused(root, f"{FIRST}.txt: the file is not there")


def test_a_strange_name_is_refused(root):
    (root / "audio" / f"{FIRST}.wav").rename(root / "audio" / "heart.wav")
    assert_refused(root, "heart.wav: the name is not")


DEVICES = ["Meditron", "LittC2SE", "AKGC417L", "Litt3200"]


@pytest.mark.parametrize("seed", range(5))
def test_a_recording_with_another_device_in_the_split_is_found(root, sine, seed):
    """As 226_1b1_Pl_sc of the published release: Meditron in the split, LittC2SE in the file names."""
    rng = np.random.default_rng(seed)
    names = {}  # in the split, by file
    for number in range(6):
        device, other = rng.choice(DEVICES, 2, replace=False)
        stem = f"{200 + number}_1b{rng.integers(1, 9)}_{rng.choice(icbhi.PLACES)}_sc"
        names[f"{stem}_{device}"] = f"{stem}_{other}" if number < 2 else f"{stem}_{device}"
        soundfile.write(root / "audio" / f"{stem}_{device}.wav", sine(120 + number, 3.0, 4000), 4000)
        (root / "audio" / f"{stem}_{device}.txt").write_text("0.5\t2.0\t0\t1\n")
    sides = {name: str(rng.choice(["train", "test"])) for name in names.values()}
    lines = rng.permutation([f"{name}\t{side}\n" for name, side in sides.items()])
    with (root / "official_split.txt").open("a") as file:
        file.writelines(lines)
    with (root / "patient_diagnosis.csv").open("a") as file:
        file.writelines(f"{200 + number},COPD\n" for number in range(6))
    manifest = read(root)
    official = manifest.cases.set_index("source")["official"]
    assert {file: official[file] for file in names} == {file: sides[name] for file, name in names.items()}
    assert manifest.quality[["recording", "problem", "action"]].to_numpy().tolist() == sorted(
        [file, "name", "kept"] for file, name in names.items() if file != name
    )


def test_a_recording_that_two_lines_may_mean_is_dropped(root):
    stem = SECOND.rpartition("_")[0]
    (root / "official_split.txt").write_text(f"{FIRST}\ttrain\n{stem}_Meditron\ttest\n{stem}_LittC2SE\ttrain\n")
    manifest = read(root)
    assert set(manifest.cases["source"]) == {FIRST}
    assert manifest.quality[["recording", "problem", "action"]].to_numpy().tolist() == [[SECOND, "unlisted", "dropped"]]


@pytest.mark.parametrize(
    "header", ["Patient number,Diagnosis", "\ufeffpatient_id,diagnosis", "\n\npatient , diagnosis "]
)
def test_tables_may_have_a_header(root, header):
    expected = read(root).digest()
    for name, line in (("patient_diagnosis.csv", header), ("official_split.txt", "recording\tset")):
        path = root / name
        path.write_text(f"{line}\n{path.read_text()}")
    assert read(root).digest() == expected
    (root / "patient_diagnosis.csv").write_text(f"101,URTI\n{header.strip()}\n156,COPD\n")
    assert_refused(root, "patient_diagnosis.csv: line . should be")


@pytest.mark.real
@pytest.mark.skipif(not os.environ.get("AUSCULT_REAL_ICBHI"), reason="AUSCULT_REAL_ICBHI is not set")
def test_the_real_recordings():
    manifest = read(Path(os.environ["AUSCULT_REAL_ICBHI"]))
    cases = manifest.cases
    assert cases["sound"].value_counts().to_dict() == {"normal": 979, "crackle": 157, "wheeze": 141, "both": 22}
    assert (cases["subject"].nunique(), cases["source"].nunique()) == (48, 114)
    assert set(manifest.quality["action"]) == {"kept"}


@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_a_recording_on_both_sides_of_the_split_is_refused(root, name):
    path = root / "official_split.txt"
    path.write_text(path.read_text() + f"{name}\ttrain\n{name}\ttest\n")
    assert_refused(root, f"'{name}' is listed as train and as test")


@pytest.mark.parametrize(("sound", "text"), [(".WAV", ".txt"), (".wav", ".TXT"), (".Wav", ".Txt")])
def test_suffixes_may_be_in_any_case(root, sound, text):
    before = read(root).cases
    for path in list((root / "audio").iterdir()):
        path.rename(path.with_suffix(sound if path.suffix == ".wav" else text))
    assert read(root).cases.equals(before)
    assert len(icbhi.files(root, icbhi.Options())) == 6


@pytest.mark.parametrize("folder", icbhi.FOLDERS)
@pytest.mark.parametrize("split", icbhi.SPLITS)
@pytest.mark.parametrize("diagnoses", icbhi.DIAGNOSES)
def test_the_names_of_the_release_and_of_its_copies(root, folder, split, diagnoses):
    expected = read(root)
    (root / "audio").rename(root / folder)
    (root / "official_split.txt").rename(root / split)
    text = (root / "patient_diagnosis.csv").read_text()
    (root / "patient_diagnosis.csv").unlink()
    (root / diagnoses).write_text(text if diagnoses.endswith("csv") else text.replace(",", "\t"))
    manifest = read(root)
    assert manifest.quality.empty and manifest.cases.equals(expected.cases)
    assert manifest.recordings.drop(columns="path").equals(expected.recordings.drop(columns="path"))
    assert {path.split("/")[0] for path in manifest.recordings["path"]} == {folder}
    assert len(icbhi.files(root, icbhi.Options())) == 6
