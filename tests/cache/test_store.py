"""Shards: what is written is read back, what has not changed is kept, and what is damaged is said to be."""

import errno
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from threadpoolctl import threadpool_info, threadpool_limits

from auscult.cache import store
from auscult.cache.store import CacheError, open_cache, shard_of, write_cache

CONFIG = {"kind": "test", "rate_hz": 4000}
NAMES = [f"r{i:02d}" for i in range(12)]
SHARDS = 4


def listing(names: list[str], **changed: str) -> pd.DataFrame:
    shas = [changed.get(name, f"sha-{name}") for name in names]
    return pd.DataFrame({"recording": names, "sha256": shas, "rate_hz": 4000, "channels": 1})


def threads(row: Any) -> np.ndarray:
    """How many threads the libraries of the process that makes a recording would use."""
    return np.array([[max(library["num_threads"] for library in threadpool_info())]])


def look_up(row: Any, arrays: dict[str, np.ndarray]) -> np.ndarray:
    return arrays[row.recording]


def numbered(row: Any) -> np.ndarray:
    """A few rows that tell which recording, and which version of it, they are of."""
    seed = int.from_bytes(f"{row.recording}{row.sha256}".encode()[-8:], "big")
    return np.random.default_rng(seed).integers(-9, 9, (5 + seed % 7, 2)).astype(np.int16)


def write(
    folder: Path, table: pd.DataFrame, make: Callable = numbered, code: str = "1", shards: int = SHARDS, **config
):
    return write_cache(folder, table, make, CONFIG | config, code, shards)


def stamp(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Inode and content by file; and the files are made to look old."""
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}


def check(folder: Path, table: pd.DataFrame) -> None:
    cache = open_cache(folder, CONFIG)
    assert sorted(cache.index.index) == sorted(table["recording"])
    for row in table.itertuples():
        np.testing.assert_array_equal(cache.read(row.recording), numbered(row))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cache of twelve recordings in four shards."""
    write(tmp_path / "cache", listing(NAMES))
    return tmp_path / "cache"


# ---------------------------------------------------------------- round trip

DTYPES = st.sampled_from(["int16", "float16", "float32", "float64"])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.text(min_size=1, max_size=12), max_size=8, unique=True).map(_storable))
    dtype, tail = data.draw(DTYPES), data.draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=3))
    lengths = [data.draw(st.integers(0, 6)) for _ in names]
    arrays = {n: data.draw(hnp.arrays(dtype, (k, *tail))) for n, k in zip(names, lengths, strict=True)}
    folder = tmp_path_factory.mktemp("cache")
    shards = data.draw(st.integers(1, 5))
    table = listing(names)
    done = write(folder, table.sample(frac=1, random_state=0), partial(look_up, arrays=arrays), shards=shards)
    assert done == {"written": shards, "reused": 0}
    cache = open_cache(folder, CONFIG)
    assert sorted(cache.index.index) == sorted(names)
    assert cache.lengths(names).tolist() == lengths
    for name, array in arrays.items():
        assert cache.read(name).dtype == dtype
        np.testing.assert_array_equal(cache.read(name), array)
    if any(lengths):
        assert cache.shape == tail


def _storable(names: list[str]) -> list[str]:
    """Ids as a CSV can hold them: no NUL, no half of a surrogate pair."""
    return sorted({n.encode("utf-8", "ignore").decode().replace("\0", "") or "x" for n in names})


def test_values_lie_back_to_back_in_the_order_of_ids(folder: Path) -> None:
    cache = open_cache(folder, CONFIG)
    for _, part in cache.index.groupby("shard"):
        assert part.index.is_monotonic_increasing
        assert part["offset"].tolist() == [0, *part["length"].cumsum()[:-1]]
    with h5py.File(folder / "shard-000.h5") as file:
        assert file["values"].chunks is None


@pytest.mark.parametrize(
    ("recording", "of_4", "of_16"),
    [("2530_AV", 1, 1), ("9979_MV", 3, 7), ("50001_Phc_2", 0, 4), ("patient/1", 0, 12), ("Müller", 2, 14)],
)
def test_the_shard_of_a_recording_never_changes(recording: str, of_4: int, of_16: int) -> None:
    assert shard_of(recording, 1) == 0
    assert shard_of(recording, 4) == of_4
    assert shard_of(recording, 16) == of_16


def test_shards_hold_the_recordings_that_belong_to_them(folder: Path) -> None:
    index = open_cache(folder, CONFIG).index
    assert all(shard_of(name, SHARDS) == shard for name, shard in index["shard"].items())
    assert sorted(path.name for path in folder.iterdir()) == store.shard_names(SHARDS)


def test_reading_is_a_view_of_the_file(folder: Path) -> None:
    cache = open_cache(folder, CONFIG)
    for name in NAMES:
        part, whole = cache.read(name), cache.values[cache.index.loc[name, "shard"]]
        assert isinstance(whole, np.memmap)
        assert np.shares_memory(part, whole)
        assert not part.flags.writeable


def test_more_shards_than_recordings(tmp_path: Path) -> None:
    table = listing(["b", "a"])
    assert write(tmp_path, table, shards=16) == {"written": 16, "reused": 0}
    check(tmp_path, table)
    assert open_cache(tmp_path, CONFIG).shape == (2,)
    assert write(tmp_path, table, shards=16) == {"written": 0, "reused": 16}


def test_a_cache_of_nothing(tmp_path: Path) -> None:
    write(tmp_path, listing([]))
    assert len(open_cache(tmp_path, CONFIG).index) == 0


# ---------------------------------------------------------------- what is written again


def test_an_unchanged_cache_is_kept_and_looks_new(folder: Path) -> None:
    before = stamp(folder)
    assert write(folder, listing(NAMES).sample(frac=1, random_state=1)) == {"written": 0, "reused": SHARDS}
    now = [path.stat().st_mtime for path in folder.iterdir()]
    assert stamp(folder) == before
    assert min(now) > 1e9 + 1


@pytest.mark.parametrize(
    ("column", "value"), [("sha256", "other"), ("rate_hz", 2000), ("channels", 2)], ids=["samples", "rate", "channels"]
)
def test_a_changed_recording_rewrites_its_shard_only(folder: Path, column: str, value: Any) -> None:
    before = stamp(folder)
    table = listing(NAMES)
    table.loc[3, column] = value
    assert write(folder, table) == {"written": 1, "reused": SHARDS - 1}
    mine = f"shard-{shard_of(NAMES[3], SHARDS):03d}.h5"
    after = stamp(folder)
    assert {name for name in after if after[name] != before[name]} == {mine}
    check(folder, table)


def test_adding_and_removing_a_recording_rewrites_its_shard_only(folder: Path) -> None:
    for names in ([*NAMES, "new"], NAMES, NAMES[1:]):
        table = listing(names)
        assert write(folder, table) == {"written": 1, "reused": SHARDS - 1}
        check(folder, table)


def test_other_code_or_configuration_rewrites_everything(folder: Path) -> None:
    everything = {"written": SHARDS, "reused": 0}
    assert write(folder, listing(NAMES), code="2") == everything
    assert write(folder, listing(NAMES), code="2", rate_hz=100) == everything


@pytest.mark.parametrize("shards", [1, 3, 6])
def test_another_number_of_shards_leaves_no_old_ones(folder: Path, shards: int) -> None:
    write(folder, listing(NAMES), shards=shards)
    assert sorted(path.name for path in folder.iterdir()) == store.shard_names(shards)
    check(folder, listing(NAMES))


# ---------------------------------------------------------------- what a reader refuses


def test_a_reader_refuses_another_configuration(folder: Path) -> None:
    with pytest.raises(CacheError, match=r"shard-000\.h5: made with .*4000.*, asked for .*100.*delete it and run"):
        open_cache(folder, CONFIG | {"rate_hz": 100})


def test_a_reader_refuses_another_format(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FORMAT", store.FORMAT + 1)
    with pytest.raises(CacheError, match=r"shard-000\.h5"):
        open_cache(folder, CONFIG)
    assert write(folder, listing(NAMES)) == {"written": SHARDS, "reused": 0}


def test_no_shards_at_all(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="no shards; run snakemake"):
        open_cache(tmp_path / "nowhere", CONFIG)


def test_a_recording_of_a_missing_shard_is_named(folder: Path) -> None:
    (folder / f"shard-{shard_of('r05', SHARDS):03d}.h5").unlink()
    cache = open_cache(folder, CONFIG)
    for call in (lambda: cache.read("r05"), lambda: cache.lengths(NAMES)):
        with pytest.raises(CacheError, match=r"no recording 'r\d\d'.*run snakemake"):
            call()


def test_shards_of_two_numberings_are_refused(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "other", listing(NAMES), shards=1)
    (tmp_path / "other" / "shard-000.h5").rename(folder / "shard-004.h5")
    with pytest.raises(CacheError, match="is in two shards; delete the folder"):
        open_cache(folder, CONFIG)


@pytest.mark.parametrize("where", ["in a shard", "in two shards"])
def test_recordings_of_unlike_shape_are_named(tmp_path: Path, where: str) -> None:
    odd = {"r07"} if where == "in a shard" else {name for name in NAMES if shard_of(name, SHARDS) == 1}
    arrays = {name: np.zeros((4, 12 if name in odd else 1), np.int16) for name in NAMES}
    with pytest.raises(CacheError, match=r"rows of \(1,\).*'r\d\d' has rows of \(12,\); .*dataset\.channels"):
        write(tmp_path, listing(NAMES), partial(look_up, arrays=arrays))
        open_cache(tmp_path, CONFIG)


def _header(raw: bytes, where: bytes) -> bytes:
    """Eight bytes inside the header of the object that mentions `where` become noise."""
    place = raw.index(where) - 8
    return raw[:place] + b"\xa5" * 8 + raw[place + 8 :]


DAMAGES = {
    "empty": lambda raw: b"",
    "first bytes": lambda raw: raw[:100],
    "half": lambda raw: raw[: len(raw) // 2],
    "last byte": lambda raw: raw[:-1],
    "zeros": lambda raw: bytes(len(raw)),
    "zeros to the end": lambda raw: raw[:200] + bytes(len(raw) - 200),
    "zeros at the start": lambda raw: bytes(64) + raw[64:],
    "text": lambda raw: b"recording,offset\nr00,0\n" * 40,
    "root header": lambda raw: _header(raw, b"values"),
    "attributes": lambda raw: raw.replace(b'"kind": "test"', b'"kind": "tost"'),
    "name of an attribute": lambda raw: raw.replace(b"inputs", b"inpots"),
    "ids": lambda raw: raw.replace(b"r0", b"x0"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_named_and_written_anew(folder: Path, damage: str) -> None:
    path = folder / f"shard-{shard_of('r00', SHARDS):03d}.h5"
    raw = path.read_bytes()
    broken = DAMAGES[damage](raw)
    assert broken != raw
    path.unlink()  # its pages may be mapped
    path.write_bytes(broken)
    with pytest.raises(CacheError, match=rf"{path.name}: .*delete it and run snakemake") as caught:
        open_cache(folder, CONFIG)
    assert str(path) in str(caught.value)
    assert write(folder, listing(NAMES)) == {"written": 1, "reused": SHARDS - 1}
    check(folder, listing(NAMES))


def test_an_index_that_passes_the_end_is_damage(folder: Path) -> None:
    with h5py.File(folder / "shard-002.h5", "r+") as file:
        file["index/length"][-1] += 1
    with pytest.raises(CacheError, match=r"shard-002\.h5: damaged \(its index passes its end\)"):
        open_cache(folder, CONFIG)
    assert write(folder, listing(NAMES))["written"] == 1


# ---------------------------------------------------------------- failures while writing


def _fail(row: Any) -> np.ndarray:
    if row.recording == "r05":
        raise ValueError("cannot make r05")
    return numbered(row)


def test_a_failure_of_make_leaves_nothing(tmp_path: Path) -> None:
    mine = f"shard-{shard_of('r05', SHARDS):03d}.h5"
    with pytest.raises(ValueError, match="cannot make r05"):
        write(tmp_path, listing(NAMES), _fail)
    assert mine not in [path.name for path in tmp_path.iterdir()]
    assert not list(tmp_path.glob(".*"))


def test_a_failure_of_make_keeps_the_old_shard(folder: Path) -> None:
    mine = folder / f"shard-{shard_of('r05', SHARDS):03d}.h5"
    before = stamp(folder)[mine.name]
    with pytest.raises(ValueError, match="cannot make r05"):
        write(folder, listing(NAMES, r05="changed"), _fail)
    assert stamp(folder)[mine.name] == before
    assert not list(folder.glob(".*"))


def test_a_failure_while_filling_keeps_the_old_file(folder: Path) -> None:
    before = stamp(folder)
    for name in ("shard-000.h5", "new.h5"):
        with pytest.raises(ValueError, match="half"), store.replacing(folder / name) as file:
            file.create_dataset("values", data=np.zeros(5))
            raise ValueError("half")
    assert stamp(folder) == before


def _write_with_little_room(path: Path, part: pd.DataFrame, room: int, answer: Any) -> None:
    """In a process of its own: no file may grow beyond `room` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        store._write_shard(path, part, numbered, CONFIG, "2")
    except OSError as error:
        answer.send(error.errno)
    else:
        answer.send(None)


@pytest.mark.parametrize("room", [0, 100, 2000])
def test_no_room_for_the_file_keeps_the_old_one(folder: Path, room: int) -> None:
    before = stamp(folder)
    context = multiprocessing.get_context("fork")
    there, here = context.Pipe()
    part = listing([name for name in NAMES if shard_of(name, SHARDS) == 0])
    path = folder / "shard-000.h5"
    process = context.Process(target=_write_with_little_room, args=(path, part, room, here))
    process.start()
    process.join(30)
    assert process.exitcode == 0  # HDF5 itself may crash when it cannot write
    assert there.poll(0)
    assert there.recv() == errno.EFBIG
    assert stamp(folder) == before
    check(folder, listing(NAMES))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_keeps_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = stamp(folder)
    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), full)
    with pytest.raises(OSError, match="No space left"):
        write(folder, listing(NAMES), code="2")
    assert stamp(folder) == before


def test_a_worker_uses_one_thread(tmp_path: Path) -> None:
    with threadpool_limits(2):
        write_cache(tmp_path, listing(NAMES[:2]), threads, CONFIG, "code", SHARDS, 2)
    assert {int(open_cache(tmp_path, CONFIG).read(name)[0, 0]) for name in NAMES[:2]} == {1}
