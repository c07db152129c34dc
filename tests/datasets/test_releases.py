"""Where a release may be: roots that are no folder, and roots that hold more than the release."""

import gc
import os
import re
from pathlib import Path

import numpy as np
import pytest

from auscult import datasets
from auscult.config.command_line import Settings
from auscult.config.dataset import Dataset
from auscult.datasets import challenge2021, folder, releases
from auscult.datasets.base import DatasetError
from auscult.datasets.walk import files_below
from auscult.run import RunError, lock, new_recordings, require_plain_interpreter

OPTIONS = {"folder": {"labels": {}}, "challenge2021": {"codes": {"1": "a"}}}
NOT_GENERATED = [name for name in datasets.names() if not getattr(datasets.adapter(name), "GENERATED", False)]
STRANGERS = [
    "results/logs/a.log", "results/networks/x/y.hea", ".snakemake/log/b.mat", ".git/objects/c.hea", ".venv/lib/d.mat",
    ".hidden/e.hea", "deep/.hidden/f.mat", "env/lib/python3.11/scipy/io/g.mat", "deep/__pycache__/h.hea",
]  # fmt: skip


def write(path: Path, content: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.mark.parametrize("name", NOT_GENERATED)
@pytest.mark.parametrize("place", ["a.zip", "a.zip/release", "nowhere/release", ""])
def test_a_root_without_a_release_is_named(name: str, place: str, tmp_path: Path) -> None:
    write(tmp_path / "a.zip") if place else (tmp_path / "training_data").touch()
    root = str(tmp_path / place)
    release = releases.find(Dataset(name="d", adapter=name, root=root, options=OPTIONS.get(name, {})))
    if place or name != "folder":
        with pytest.raises(DatasetError, match=re.escape(f"data set d: no recordings below {root}")) as error:
            releases.require(release, "d")
        assert ("is a file; unpack it" in str(error.value)) == (place == "a.zip")


@pytest.mark.parametrize("name", ["recordings", "demo.zip", "a b"])
def test_a_file_is_no_place_for_generated_recordings(name: str, tmp_path: Path) -> None:
    root = tmp_path / name
    root.write_text("something")
    release = releases.find(Dataset(name="made", adapter="simulate", root=str(root), rate_hz=4000))
    with pytest.raises(DatasetError, match=f"{re.escape(str(root))} is a file; .* name one"):
        releases.require(release, "made")


@pytest.mark.parametrize("seed", range(4))
def test_results_and_hidden_folders_are_no_part_of_a_release(tmp_path: Path, monkeypatch, seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.permutation(["", "deep", "deep/er", "my results", "audio/results"])[:3]
    own_files = sorted(str(Path(place, name)) for place in places for name in ("r.hea", "r.mat"))
    for name in own_files:
        write(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    root = Path(str(rng.choice([".", str(tmp_path), f"../{tmp_path.name}"])))
    options = challenge2021.Options(codes={"1": "a"})

    def listed() -> list[str]:
        return sorted(os.path.relpath(path, tmp_path) for path in challenge2021.files(root, options))

    before = new_recordings(Settings(studies=["x"], recordings=str(root))).digest
    assert listed() == own_files
    write(tmp_path / "env" / "pyvenv.cfg")
    for name in STRANGERS:
        write(tmp_path / name)
    assert listed() == own_files
    assert new_recordings(Settings(studies=["x"], recordings=str(root))).digest == before


def test_a_release_inside_the_results_is_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "results" / "release" / "results" / "a.wav")
    assert len(list(files_below(Path("results/release")))) == 1 and not list(files_below(Path()))


def test_a_folder_is_its_tables_and_what_they_name(own, sine, tmp_path: Path) -> None:
    options = folder.Options(labels={})
    expected = {"cases.csv", "recordings.csv", "a.wav", "b.wav", "deep/c.wav"}

    def listed() -> set[str]:
        return {str(path.relative_to(own.root)) for path in folder.files(own.root, options)}

    assert listed() == expected
    for name in (*STRANGERS, "notes.txt", "workflow/auscult/run.py", "deep/other.wav"):
        write(own.root / name)
    assert listed() == expected
    write(own.root / "ecg" / "x.hea", "x 1 100 16\nx_samples.dat 16 1 16 0 0 0 0 I\n# a comment\n")
    for name in ("ecg/x_samples.dat", "ecg/y.dat"):
        write(own.root / name)
    rows = ["recording,case,path", "ra,a, a.wav ", "rb,b,gone.wav", "rc,c,../outside.wav", "rd,c,ecg/x.hea"]
    own.write("recordings.csv", *rows)
    write(own.root.parent / "outside.wav")
    assert listed() == {"cases.csv", "recordings.csv", "a.wav", "ecg/x.hea", "ecg/x_samples.dat"}


@pytest.mark.parametrize("letter", [" ", "\t", "'", '"', "$", "&", ";", "(", "*"])
def test_an_interpreter_that_snakemake_cannot_start_is_named(letter: str) -> None:
    path = f"/home/my{letter}study/.venv/bin/python"
    with pytest.raises(RunError, match=re.escape(f"{path}, contains {letter!r}")):
        require_plain_interpreter(path)
    require_plain_interpreter("/home/müller/my-study_2+3/.venv/bin/python3.11")


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_study_stays_locked_until_the_process_ends(name: str, tmp_path: Path, monkeypatch) -> None:
    """Whatever its caller keeps: the rules keep nothing."""
    monkeypatch.chdir(tmp_path)
    lock(["one", "two"])
    gc.collect()
    with pytest.raises(RunError, match=f"study {name}: another Snakemake is running it"):
        lock([name])
