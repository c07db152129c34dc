"""Where a release may be: roots that are no folder, and roots that hold more than the release."""

import gc
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from auscult import datasets
from auscult.config.command_line import Settings
from auscult.config.dataset import Dataset
from auscult.datasets import challenge2021, folder, releases
from auscult.datasets.errors import DatasetError
from auscult.datasets.releases import raw_digest
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


@pytest.fixture
def raw(tmp_path: Path):
    """`raw()` returns the digest of the files in `raw`; `memory.json` is its memory."""
    folder = tmp_path / "raw"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.wav", "b.wav", "deep/c.wav"):
        (folder / name).write_bytes(name.encode() * 100)

    def raw(order: int = 1) -> str:
        files = [path for path in folder.rglob("*") if path.is_file()]
        return raw_digest(sorted(files)[::order], folder, tmp_path / "memory.json")

    raw.folder, raw.memory = folder, tmp_path / "memory.json"
    return raw


def test_touching_and_listing_order_change_nothing(raw) -> None:
    before = raw()
    os.utime(raw.folder / "a.wav", (1, 1))
    assert raw() == before
    assert raw(order=-1) == before


@pytest.mark.parametrize("change", ["edit", "same size", "add", "remove", "rename", "swap"])
def test_every_change_of_the_files_changes_the_digest(raw, change: str) -> None:
    before = raw()
    a, b = raw.folder / "a.wav", raw.folder / "b.wav"
    if change == "edit":
        a.write_bytes(b"other")
    elif change == "same size":
        a.write_bytes(a.read_bytes()[::-1])
    elif change == "add":
        (raw.folder / "d.wav").write_bytes(b"")
    elif change == "remove":
        a.unlink()
    elif change == "rename":
        a.rename(raw.folder / "z.wav")
    else:
        content = a.read_bytes()
        a.write_bytes(b.read_bytes())
        b.write_bytes(content)
    after = raw()
    assert after != before
    raw.memory.unlink()
    assert raw() == after


def test_a_value_set_back_gives_the_old_digest(raw) -> None:
    before, content = raw(), (raw.folder / "a.wav").read_bytes()
    (raw.folder / "a.wav").write_bytes(b"other")
    assert raw() != before
    (raw.folder / "a.wav").write_bytes(content)
    assert raw() == before


def test_an_unchanged_file_is_not_read_again(raw, monkeypatch) -> None:
    before, written = raw(), raw.memory.stat().st_mtime_ns
    monkeypatch.setattr(releases.hashlib, "file_digest", lambda *_: pytest.fail("read a file again"))
    assert raw() == before
    assert raw.memory.stat().st_mtime_ns == written


def test_the_one_change_it_misses(raw) -> None:
    """New content of the same size with the old time stamp is missed: not all gigabytes are read at every start."""
    file = raw.folder / "a.wav"
    before, stat = raw(), file.stat()
    file.write_bytes(file.read_bytes()[::-1])
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert raw() == before
    raw.memory.unlink()
    assert raw() != before


@pytest.mark.parametrize("memory", ["", "{", "[]", "null"])
def test_a_broken_memory_is_written_anew(raw, memory: str) -> None:
    before = raw()
    raw.memory.write_text(memory)
    assert raw() == before
    assert set(json.loads(raw.memory.read_text())) == {"a.wav", "b.wav", "deep/c.wav"}
