"""The simulated data set: the format of CirCor, correct labels, the same bytes from the same options."""

import csv
import hashlib
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from pydantic import ValidationError
from scipy.signal import butter, sosfilt

from auscult.datasets import simulate
from auscult.datasets.errors import DatasetError
from auscult.datasets.simulate import Options, fetch

OPTIONS = Options(subjects=80, seed=3, seconds=(5.0, 8.0))
SMALL = {"subjects": 6, "seconds": (2.0, 3.0), "twins": 0.2}


def no_log(_text: str) -> None:
    pass


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("simulated") / "release"
    fetch(root, OPTIONS, log=no_log)
    return root


@pytest.fixture(scope="module")
def table(root: Path) -> list[dict[str, str]]:
    with (root / "training_data.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def states_of(path: Path) -> list[tuple[float, float, int]]:
    rows = (line.split("\t") for line in path.read_text().splitlines())
    return [(float(start), float(end), int(state)) for start, end, state in rows]


def read_header(path: Path) -> tuple[list[str], list[list[str]], dict[str, str]]:
    lines = path.read_text().splitlines()
    facts = dict(line[1:].split(": ", 1) for line in lines if line.startswith("#"))
    return lines[0].split(), [line.split() for line in lines[1:] if not line.startswith("#")], facts


def systole_over_diastole(wav: Path, band: tuple[float, float]) -> float:
    """dB, median over beats, from the middle of each state."""
    samples, rate = sf.read(wav)
    filtered = sosfilt(butter(3, band, "band", fs=rate, output="sos"), samples)
    level: dict[int, list[float]] = {2: [], 4: []}
    for start, end, state in states_of(wav.with_suffix(".tsv")):
        if state in level:
            edge = 0.15 * (end - start)
            part = filtered[int((start + edge) * rate) : int((end - edge) * rate)]
            level[state].append(20 * np.log10(part.std() + 1e-9))
    return float(np.median(level[2]) - np.median(level[4])) if level[2] and level[4] else np.nan


def test_same_options_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fetch(tmp_path / name, Options(seed=seed, **SMALL), log=no_log)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert set(digests(tmp_path / "a").values()).isdisjoint(digests(tmp_path / "c").values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_patients_do_not_depend_on_the_number_of_subjects(tmp_path: Path) -> None:
    fetch(tmp_path / "few", Options(subjects=4, seconds=(2, 3), twins=0), log=no_log)
    fetch(tmp_path / "more", Options(subjects=7, seconds=(2, 3), twins=0), log=no_log)
    few, more = digests(tmp_path / "few"), digests(tmp_path / "more")
    shared = {name for name in few if name.startswith("training_data/")}
    assert len(shared) > 12
    assert {name: more[name] for name in shared} == {name: few[name] for name in shared}


@pytest.mark.parametrize("subjects", [30, 47, 80, 300])
def test_class_shares(subjects: int) -> None:
    for seed in range(3):
        patients = simulate.plan(Options(subjects=subjects, seed=seed, twins=0))
        counts = Counter(patient.fields["Murmur"] for patient in patients)
        assert counts["Present"] >= max(4, 0.19 * subjects - 1)
        assert counts["Unknown"] >= max(4, 0.072 * subjects - 1)
        assert 0.6 * subjects <= counts["Absent"] <= 0.76 * subjects


def test_outcome_follows_murmur() -> None:
    patients = simulate.plan(Options(subjects=2000))
    for label, share in (("Present", 0.84), ("Unknown", 0.63), ("Absent", 0.38)):
        outcomes = [p.fields["Outcome"] == "Abnormal" for p in patients if p.fields["Murmur"] == label]
        assert abs(np.mean(outcomes) - share) < 0.12


def test_twins_name_each_other(table: list[dict[str, str]]) -> None:
    by_id = {row["Patient ID"]: row for row in table}
    assert len(by_id) == len(table) == 86
    pairs = [row for row in table if row["Additional ID"] != "nan"]
    assert len(pairs) == 12
    for row in pairs:
        twin = by_id[row["Additional ID"]]
        assert twin["Additional ID"] == row["Patient ID"]
        assert twin["Sex"] == row["Sex"]
        assert {row["Campaign"], twin["Campaign"]} == {"CC2014", "CC2015"}
    assert not any(patient.fields["Additional ID"] != "nan" for patient in simulate.plan(Options(twins=0)))


def test_ids_set_order_traps(table: list[dict[str, str]]) -> None:
    ids = [row["Patient ID"] for row in table]
    assert ids == sorted(ids, key=int) != sorted(ids)
    assert set(map(len, ids)) == {4, 5}
    assert not any(a != b and b.startswith(a) for a in ids for b in ids)


def test_text_files_are_as_in_the_release(root: Path, table: list[dict[str, str]]) -> None:
    folder = root / "training_data"
    expected = {"training_data.csv"}
    for row in table:
        first, lines, facts = read_header(folder / f"{row['Patient ID']}.txt")
        assert first == [row["Patient ID"], str(len(lines)), "4000"]
        assert "+".join(line[0] for line in lines) == row["Recording locations:"]
        assert facts == {key: row[key] for key in list(row)[2:]}
        expected.add(f"training_data/{row['Patient ID']}.txt")
        for site, *files in lines:
            stem = files[0].removesuffix(".hea")
            assert files == [f"{stem}.hea", f"{stem}.wav", f"{stem}.tsv"]
            assert stem.split("_")[:2] == [row["Patient ID"], site]
            expected |= {f"training_data/{name}" for name in files}
    assert set(digests(root)) == expected
    assert list(table[0])[:8] == [
        *("Patient ID", "Recording locations:", "Age", "Sex", "Height", "Weight"),
        *("Pregnancy status", "Murmur"),
    ]


def test_signals_headers_and_states_agree(root: Path) -> None:
    wavs = sorted((root / "training_data").glob("*.wav"))
    for wav in wavs:
        info = sf.info(wav)
        assert (info.samplerate, info.channels, info.subtype) == (4000, 1, "PCM_16")
        assert wav.stat().st_size == 44 + 2 * info.frames
        assert info.frames % 64 == 0
        assert 4.9 < info.duration < 8.1
        site = wav.stem.split("_")[1]
        header = f"{wav.stem} 1 4000 {info.frames}\r\n{wav.name} 16+44 1 16 0 0 0 0 {site}\r\n"
        assert wav.with_suffix(".hea").read_bytes() == header.encode()
        rows = states_of(wav.with_suffix(".tsv"))
        assert rows[0][0] == 0
        assert rows[-1][1] == pytest.approx(info.duration, abs=1e-6)
        assert all(a[1] == b[0] and a[0] < a[1] for a, b in pairwise(rows))
        inner = [state for _, _, state in rows[1:-1]]
        assert inner == ([1, 2, 3, 4] * len(inner))[: len(inner)]
        assert rows[0][2] == rows[-1][2] == 0


def test_murmurs_are_at_the_labelled_sites(root: Path, table: list[dict[str, str]]) -> None:
    listed, absent, loud = [], [], []
    for row in table:
        if row["Murmur"] == "Unknown":
            assert row["Murmur locations"] == "nan"
            continue
        sites = row["Murmur locations"].split("+")
        if row["Murmur"] == "Present":
            assert row["Most audible location"] in sites
            assert set(sites) <= set(row["Recording locations:"].split("+"))
        for wav in (root / "training_data").glob(f"{row['Patient ID']}_*.wav"):
            ratio = systole_over_diastole(wav, (90, 450))
            if row["Murmur"] == "Absent":
                absent.append(ratio)
            elif row["Systolic murmur grading"] != "nan" and wav.stem.split("_")[1] in sites:
                listed.append(ratio)
                if row["Systolic murmur grading"] == "III/VI":
                    loud.append(ratio)
    assert np.nanmean(listed) > np.nanmean(absent) + 2.5
    assert np.nanmean(loud) > np.nanmean(absent) + 5
    assert np.nanpercentile(listed, 20) < np.nanpercentile(absent, 95)  # not too easy


def test_unknown_recordings_are_poor(root: Path, table: list[dict[str, str]]) -> None:
    level: dict[str, list[float]] = {"Unknown": [], "Absent": []}
    for row in table:
        for wav in (root / "training_data").glob(f"{row['Patient ID']}_*.wav"):
            if row["Murmur"] in level:
                samples, rate = sf.read(wav)
                sos = butter(3, (200, 800), "band", fs=rate, output="sos")
                level[row["Murmur"]].append(20 * np.log10(sosfilt(sos, samples).std()))
    assert np.mean(level["Unknown"]) > np.mean(level["Absent"]) + 3


def test_covariates_are_plausible() -> None:
    rows = [patient.fields for patient in simulate.plan(Options(subjects=1000))]
    ages = Counter(row["Age"] for row in rows)
    assert set(ages) == {"Neonate", "Infant", "Child", "Adolescent", "nan"}
    assert 0.6 < ages["Child"] / len(rows) < 0.8
    heights = {}
    for age in set(ages) - {"nan"}:
        known_heights = [float(row["Height"]) for row in rows if row["Age"] == age and row["Height"] != "nan"]
        heights[age] = np.mean(known_heights)
    assert heights["Neonate"] < heights["Infant"] < heights["Child"] < heights["Adolescent"] < 170
    pregnant = [row for row in rows if row["Pregnancy status"] == "True"]
    assert 20 < len(pregnant) < 120
    assert {(row["Sex"], row["Age"], row["Height"]) for row in pregnant} == {("Female", "nan", "nan")}
    assert 10 < sum(row["Weight"] == "nan" for row in rows) - len(pregnant) < 100


def test_complete_root_is_left_as_it_is(tmp_path: Path) -> None:
    root, options = tmp_path / "release", Options(**SMALL)
    fetch(root, options, log=no_log)
    wav = next((root / "training_data").glob("*.wav"))
    wav.write_bytes(b"edited")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    fetch(root, options, log=no_log)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    for change in ({"seed": 1}, {"subjects": 7}, {"seconds": (3.0, 4.0)}):
        with pytest.raises(DatasetError, match="remove it"):
            fetch(root, Options(**{**SMALL, **change}), log=no_log)


def test_other_content_at_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine")
    for name in ("file", "folder"):
        with pytest.raises(DatasetError, match=name):
            fetch(tmp_path / name, Options(**SMALL), log=no_log)
    assert (tmp_path / "folder" / "notes.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    fetch(tmp_path / "empty", Options(**SMALL), log=no_log)
    assert (tmp_path / "empty" / "training_data.csv").is_file()


def test_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = simulate._write_patient

    def stop(folder: Path, patient: simulate.Patient, seed: int) -> None:
        write(folder, patient, seed)
        raise KeyboardInterrupt

    monkeypatch.setattr(simulate, "_write_patient", stop)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path / "release", Options(**SMALL), log=no_log)
    assert not list(tmp_path.iterdir())


def test_killed_run_leaves_no_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "release"
    code = (
        "import os, sys; from pathlib import Path; from auscult.datasets import simulate as s\n"
        "write = s._write_patient\n"
        "s._write_patient = lambda folder, patient, seed: (write(folder, patient, seed), os._exit(9))\n"
        "s.fetch(Path(sys.argv[1]), s.Options(subjects=6, seconds=(2.0, 3.0), twins=0.2))"
    )
    source = Path(simulate.__file__).parents[2]
    process = subprocess.run([sys.executable, "-c", code, root], env={"PYTHONPATH": str(source)}, check=False)
    assert process.returncode == 9
    assert not root.exists()
    assert len(list(tmp_path.iterdir())) == 1  # the hidden incomplete folder
    monkeypatch.setattr(simulate, "STALE", -1.0)
    fetch(root, Options(**SMALL), log=no_log)
    assert list(tmp_path.iterdir()) == [root]


@pytest.mark.parametrize(
    "options",
    [{"subjects": 0}, {"twins": 1.5}, {"seconds": (9.0, 8.0)}, {"seconds": (0.5, 8.0)}, {"subject": 80}],
)
def test_wrong_options_are_refused(options: dict) -> None:
    with pytest.raises(ValidationError):
        Options(**options)


def test_every_option_is_described() -> None:
    assert all(field.description for field in Options.model_fields.values())
