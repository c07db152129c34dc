"""The adapters cinc2016 and yaseen on generated releases with records at random places."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.datasets import cinc2016, yaseen
from auscult.datasets.build import build
from auscult.datasets.errors import DatasetError

LABELS, QUALITIES = {"-1": "normal", "1": "abnormal"}, {"0": "poor", "1": "good"}


def cinc_release(root: Path, sine, seed: int = 0) -> dict[str, tuple[str, str, str]]:
    """Write three databases of four records; return database, `abnormal` and `quality` of each record."""
    rng, expected = np.random.default_rng(seed), {}
    for number, database in enumerate(rng.permutation(list("abcdef"))[:3]):
        folder = root / f"training-{database}"
        folder.mkdir()
        lines = []
        for index in rng.permutation(4):
            name, label, quality = f"{database}{index:04d}", rng.choice(list(LABELS)), rng.choice(list(QUALITIES))
            samples = sine(30 + 4 * number + index, 5.0, 2000)
            soundfile.write(folder / f"{name}.wav", samples, 2000)
            (folder / f"{name}.hea").write_text(f"{name} 1 2000 {len(samples)}\n")
            lines.append(f"{name},{label},{quality}\n")
            expected[name] = database, LABELS[label], QUALITIES[quality]
        (folder / "REFERENCE-SQI.csv").write_text("".join(lines))
        (folder / "REFERENCE.csv").write_text("".join(line.rpartition(",")[0] + "\n" for line in lines))
    return expected


def read(adapter, root: Path):
    return build(adapter.ingest(root, adapter.Options()), root, "mean", 1.0, workers=1)


@pytest.mark.parametrize("seed", range(3))
def test_cinc2016_reads_labels_quality_and_database_of_every_record(tmp_path, sine, seed):
    expected = cinc_release(tmp_path, sine, seed)
    manifest = read(cinc2016, tmp_path)
    rows = manifest.cases[["database", "abnormal", "quality"]].itertuples(index=False, name=None)
    assert dict(zip(manifest.cases["case"], rows, strict=True)) == expected
    assert manifest.cases["subject"].tolist() == manifest.cases["case"].tolist()
    assert not manifest.subjects_known
    assert manifest.columns.groups == ["database"]
    assert manifest.recordings["frames"].tolist() == [10000] * 12
    assert manifest.quality.empty


def test_cinc2016_without_quality_has_empty_labels(tmp_path, sine):
    expected = cinc_release(tmp_path, sine)
    for table in tmp_path.glob("*/REFERENCE-SQI.csv"):
        table.unlink()
    cases = read(cinc2016, tmp_path).cases.set_index("case")
    assert cases["abnormal"].to_dict() == {name: labels[1] for name, labels in expected.items()}
    assert set(cases["quality"]) == {""}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("change", ["label", "quality", "cell", "separator"])
def test_cinc2016_names_file_and_line_of_a_bad_line(tmp_path, sine, change, seed):
    cinc_release(tmp_path, sine, seed)
    rng = np.random.default_rng(seed)
    table = rng.choice(sorted(tmp_path.glob("*/REFERENCE-SQI.csv")))
    lines, number = table.read_text().splitlines(), rng.integers(4)
    name, label, quality = lines[number].split(",")
    lines[number] = {
        "label": f"{name},{rng.choice(['0', '2', 'Abnormal', ''])},{quality}",
        "quality": f"{name},{label},{rng.choice(['-1', '2', 'good', ''])}",
        "cell": f"{name},{label}",
        "separator": f"{name};{label};{quality}",
    }[change]
    table.write_text("\n".join(lines))
    with pytest.raises(DatasetError, match=f"{table.parent.name}/REFERENCE-SQI.csv: line {number + 1} should be"):
        read(cinc2016, tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_cinc2016_reports_files_and_lines_without_the_other(tmp_path, sine, seed):
    expected = cinc_release(tmp_path, sine, seed)
    first, second, third = (
        str(name) for name in np.random.default_rng(seed).choice(sorted(expected), 3, replace=False)
    )
    folders = {name: tmp_path / f"training-{expected[name][0]}" for name in expected}
    (folders[first] / f"{first}.wav").unlink()
    (folders[second] / f"{second}.wav").rename(folders[second] / "x1.wav")
    (folders[third] / f"{third}.hea").unlink()
    quality = read(cinc2016, tmp_path).quality[["recording", "problem", "action"]].to_numpy().tolist()
    assert quality == sorted(
        [
            [first, "missing", "dropped"],
            [second, "missing", "dropped"],
            ["x1", "unlisted", "dropped"],
            [third, "header", "kept"],
        ]
    )


def test_cinc2016_needs_a_table_in_every_folder_and_reads_no_copies(tmp_path, sine):
    expected = cinc_release(tmp_path, sine)
    (tmp_path / "validation").mkdir()
    soundfile.write(tmp_path / "validation" / "a0001.wav", sine(40, 5.0, 2000), 2000)
    assert len(read(cinc2016, tmp_path).cases) == len(expected)
    assert not [path for path in cinc2016.files(tmp_path, cinc2016.Options()) if path.parent.name == "validation"]
    folder = next(tmp_path.glob("training-?"))
    for table in folder.glob("*.csv"):
        table.unlink()
    with pytest.raises(DatasetError, match=f"{folder.name}: neither REFERENCE-SQI.csv nor REFERENCE.csv"):
        read(cinc2016, tmp_path)


def yaseen_release(root: Path, sine) -> None:
    for pitch, (folder, name) in enumerate(
        [("AS_New_3", "AS"), ("MR", "MR"), ("MS_New_3", "MS"), ("MVP_New_3", "MVP"), ("N_New_3", "N")]
    ):
        (root / folder).mkdir()
        for number in range(2):
            samples = sine(40 + 2 * pitch + number, 2.0, 8000)
            soundfile.write(root / folder / f"New_{name}_{number + 1:03d}.wav", samples, 8000)


def test_yaseen_takes_the_class_from_the_folder(tmp_path, sine):
    yaseen_release(tmp_path, sine)
    manifest = read(yaseen, tmp_path)
    diagnosis = {row.case.split("_")[1]: row.diagnosis for row in manifest.cases.itertuples()}
    assert diagnosis == yaseen.DIAGNOSES
    assert manifest.cases.groupby("abnormal").size().to_dict() == {"abnormal": 8, "normal": 2}
    assert not manifest.subjects_known
    assert len(yaseen.files(tmp_path, yaseen.Options())) == 10


@pytest.mark.parametrize("seed", range(3))
def test_yaseen_refuses_a_recording_in_two_classes(tmp_path, sine, seed):
    yaseen_release(tmp_path, sine)
    files = sorted(yaseen.files(tmp_path, yaseen.Options()))
    source, other = np.random.default_rng(seed).choice(files, 2, replace=False)
    target = other.with_name(source.name)
    if target.exists():
        target = tmp_path / ("N_copies" if source.parent.name != "N_copies" else "AS_copies") / source.name
        target.parent.mkdir()
    target.write_bytes(source.read_bytes())
    with pytest.raises(DatasetError, match="has a recording of this name too"):
        read(yaseen, tmp_path)


@pytest.mark.parametrize("name", ["New_N_3", "Notes", "x AS", "Mitral stenosis"])
def test_yaseen_refuses_sounds_in_a_folder_of_no_class(tmp_path, sine, name):
    yaseen_release(tmp_path, sine)
    folder = np.random.default_rng(len(name)).choice([path for path in tmp_path.iterdir() if path.is_dir()])
    folder.rename(tmp_path / name)
    with pytest.raises(DatasetError, match=f"{name}: has WAV files, but its name does not begin with a class"):
        read(yaseen, tmp_path)


@pytest.mark.parametrize("name", ["TRAINING-{}", "training_{}", "train-{}", "training {}", "Training{}"])
def test_cinc2016_knows_a_folder_in_other_writing(tmp_path, sine, name):
    expected = cinc_release(tmp_path, sine, len(name))
    folder = np.random.default_rng(len(name)).choice(sorted(tmp_path.glob("training-*")))
    folder.rename(tmp_path / name.format(folder.name[-1]))
    manifest = read(cinc2016, tmp_path)
    assert len(manifest.cases) == len(expected)
    assert set(manifest.cases["database"]) <= set("abcdef")


@pytest.mark.parametrize("name", ["{} (1)", "x/{}", "copy of {}", "old-{}"])
def test_cinc2016_refuses_a_database_in_a_folder_that_it_would_not_read(tmp_path, sine, name):
    cinc_release(tmp_path, sine, len(name))
    folder = np.random.default_rng(len(name)).choice(sorted(tmp_path.glob("training-*")))
    (tmp_path / "x").mkdir()
    folder.rename(tmp_path / name.format(folder.name))
    with pytest.raises(DatasetError, match=r"does not lie in .* with a name from training-a"):
        read(cinc2016, tmp_path)


@pytest.mark.parametrize("name", ["Validation", "annotations", "trains", "training-1"])
def test_cinc2016_leaves_other_folders_alone(tmp_path, sine, name):
    expected = cinc_release(tmp_path, sine)
    (tmp_path / name).mkdir()
    (tmp_path / name / "REFERENCE.csv").write_text("a0001,1\n")
    if name == "Validation":
        soundfile.write(tmp_path / name / "a0001.wav", sine(40, 5.0, 2000), 2000)
    assert len(read(cinc2016, tmp_path).cases) == len(expected)


@pytest.mark.parametrize("seed", range(3))
def test_cinc2016_lists_records_whose_label_depends_on_the_table(tmp_path, sine, seed):
    cinc_release(tmp_path, sine, seed)
    rng = np.random.default_rng(seed)
    folder = rng.choice(sorted(tmp_path.glob("training-*")))
    lines = [line.split(",")[:2] for line in (folder / "REFERENCE-SQI.csv").read_text().split()]
    name, label = lines[rng.integers(len(lines))]
    text = "".join(f"{record},{-int(label) if record == name else other}\n" for record, other in lines)
    (folder / "REFERENCE.csv").write_text(text)
    problems = read(cinc2016, tmp_path).quality
    assert problems.loc[problems["problem"] == "label", "recording"].tolist() == [name]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("other_folder", [False, True])
def test_cinc2016_refuses_a_record_that_is_listed_twice(tmp_path, sine, seed, other_folder):
    cinc_release(tmp_path, sine, seed)
    rng = np.random.default_rng(seed)
    first, second = rng.permutation(sorted(tmp_path.glob("training-*")))[:2]
    line = rng.choice((first / "REFERENCE-SQI.csv").read_text().splitlines())
    with ((second if other_folder else first) / "REFERENCE-SQI.csv").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(
        DatasetError, match=f"training-.: '{line.split(',')[0]}' is listed twice, (again|also in training-)"
    ):
        read(cinc2016, tmp_path)


@pytest.mark.parametrize("name", ["as_New", "AS New", "AS-New", "As"])
def test_yaseen_folders_may_be_written_otherwise(tmp_path, sine, name):
    for folder, pitch in ((name, 50), ("N", 60)):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / f"{folder[0]}1.WAV", sine(pitch, 2.0, 8000), 8000, format="WAV")
    assert sorted(read(yaseen, tmp_path).cases["diagnosis"]) == ["aortic stenosis", "normal"]


@pytest.mark.parametrize("seed", range(2))
def test_cinc2016_suffixes_may_be_in_any_case(tmp_path, sine, seed):
    cinc_release(tmp_path, sine, seed)
    before = read(cinc2016, tmp_path).cases
    for number, path in enumerate(sorted(tmp_path.glob("*/*.wav"))):
        path.rename(path.with_suffix([".WAV", ".Wav", ".wav"][number % 3]))
    manifest = read(cinc2016, tmp_path)
    assert manifest.cases.equals(before) and len(manifest.recordings) == 12 and manifest.quality.empty
