"""Shards: written and read arrays are equal, unchanged shards are kept, damaged shards are reported."""

import errno
import multiprocessing
import os
import random
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
from auscult.cache.store import LIBRARIES, CacheError, open_cache, shard_of, write_cache

CONFIG = {"kind": "test", "rate_hz": 4000}
NAMES = [f"r{i:02d}" for i in range(12)]
SHARDS = 4


def listing(names: list[str], **hash_of_recording: str) -> pd.DataFrame:
    shas = [hash_of_recording.get(name, f"sha-{name}") for name in names]
    return pd.DataFrame({"recording": names, "sha256": shas, "rate_hz": 4000, "channels": 1})


def threads(row: Any) -> np.ndarray:
    """The number of threads that the libraries of a worker process use."""
    return np.array([[max(library["num_threads"] for library in threadpool_info())]])


def look_up(row: Any, arrays: dict[str, np.ndarray]) -> np.ndarray:
    return arrays[row.recording]


def rows_of(row: Any) -> np.ndarray:
    """A few rows that depend on the recording and its version."""
    seed = int.from_bytes(f"{row.recording}{row.sha256}".encode()[-8:], "big")
    return np.random.default_rng(seed).integers(-9, 9, (5 + seed % 7, 2)).astype(np.int16)


def write(folder: Path, table: pd.DataFrame, make: Callable = rows_of, code: str = "1", shards: int = SHARDS, **config):
    return write_cache(folder, table, make, CONFIG | config, code, shards)


def files_with_old_stamps(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return inode and content of each file, and set an old time stamp."""
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}


def check(folder: Path, table: pd.DataFrame) -> None:
    cache = open_cache(folder, CONFIG)
    assert sorted(cache.index.index) == sorted(table["recording"])
    for row in table.itertuples():
        np.testing.assert_array_equal(cache.read(row.recording), rows_of(row))


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
    counts = write(folder, table.sample(frac=1, random_state=0), partial(look_up, arrays=arrays), shards=shards)
    assert counts == {"written": shards, "reused": 0}
    cache = open_cache(folder, CONFIG)
    assert sorted(cache.index.index) == sorted(names)
    assert cache.lengths(names).tolist() == lengths
    for name, array in arrays.items():
        assert cache.read(name).dtype == dtype
        np.testing.assert_array_equal(cache.read(name), array)
    if any(lengths):
        assert cache.shape == tail


def _storable(names: list[str]) -> list[str]:
    """Return ids that a CSV can contain: no NUL, no half of a surrogate pair."""
    return sorted({n.encode("utf-8", "ignore").decode().replace("\0", "") or "x" for n in names})


def test_values_are_stored_one_after_another_in_the_order_of_ids(folder: Path) -> None:
    cache = open_cache(folder, CONFIG)
    for _, rows in cache.index.groupby("shard"):
        assert rows.index.is_monotonic_increasing
        assert rows["offset"].tolist() == [0, *rows["length"].cumsum()[:-1]]
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


def test_shards_contain_the_recordings_of_their_number(folder: Path) -> None:
    index = open_cache(folder, CONFIG).index
    assert all(shard_of(name, SHARDS) == shard for name, shard in index["shard"].items())
    assert sorted(path.name for path in folder.iterdir()) == store.shard_names(SHARDS)


def test_reading_is_a_view_of_the_file(folder: Path) -> None:
    cache = open_cache(folder, CONFIG)
    for name in NAMES:
        rows, values = cache.read(name), cache.values[cache.index.loc[name, "shard"]]
        assert isinstance(values, np.memmap)
        assert np.shares_memory(rows, values)
        assert not rows.flags.writeable


def test_more_shards_than_recordings(tmp_path: Path) -> None:
    table = listing(["b", "a"])
    assert write(tmp_path, table, shards=16) == {"written": 16, "reused": 0}
    check(tmp_path, table)
    assert open_cache(tmp_path, CONFIG).shape == (2,)
    assert write(tmp_path, table, shards=16) == {"written": 0, "reused": 16}


def test_a_cache_without_recordings(tmp_path: Path) -> None:
    write(tmp_path, listing([]))
    assert len(open_cache(tmp_path, CONFIG).index) == 0


# ---------------------------------------------------------------- which shards are written again


def test_an_unchanged_cache_is_kept_with_a_new_time_stamp(folder: Path) -> None:
    before = files_with_old_stamps(folder)
    assert write(folder, listing(NAMES).sample(frac=1, random_state=1)) == {"written": 0, "reused": SHARDS}
    now = [path.stat().st_mtime for path in folder.iterdir()]
    assert files_with_old_stamps(folder) == before
    assert min(now) > 1e9 + 1


@pytest.mark.parametrize(
    ("column", "value"), [("sha256", "other"), ("rate_hz", 2000), ("channels", 2)], ids=["samples", "rate", "channels"]
)
def test_a_changed_recording_rewrites_its_shard_only(folder: Path, column: str, value: Any) -> None:
    before = files_with_old_stamps(folder)
    table = listing(NAMES)
    table.loc[3, column] = value
    assert write(folder, table) == {"written": 1, "reused": SHARDS - 1}
    changed_shard = f"shard-{shard_of(NAMES[3], SHARDS):03d}.h5"
    after = files_with_old_stamps(folder)
    assert {name for name in after if after[name] != before[name]} == {changed_shard}
    check(folder, table)


def test_adding_and_removing_a_recording_rewrites_its_shard_only(folder: Path) -> None:
    for names in ([*NAMES, "new"], NAMES, NAMES[1:]):
        table = listing(names)
        assert write(folder, table) == {"written": 1, "reused": SHARDS - 1}
        check(folder, table)


def test_other_code_or_configuration_rewrites_everything(folder: Path) -> None:
    all_written = {"written": SHARDS, "reused": 0}
    assert write(folder, listing(NAMES), code="2") == all_written
    assert write(folder, listing(NAMES), code="2", rate_hz=100) == all_written


@pytest.mark.parametrize("library", LIBRARIES)
def test_another_version_of_a_library_rewrites_a_shard_but_no_patch_does(tmp_path: Path, monkeypatch, library) -> None:
    table, versions = listing(NAMES), dict.fromkeys(LIBRARIES, "1.2.3")
    monkeypatch.setattr(store.metadata, "version", versions.__getitem__)
    outcomes = []
    for version in ("1.2.3", "1.2.3", "1.2.9", "1.3.0", "2.3.0"):
        versions[library] = version
        outcomes.append(store._write_shard(tmp_path / "shard-000.h5", table, rows_of, CONFIG, "1"))
    assert outcomes == ["written", "reused", "reused", "written", "written"]


@pytest.mark.parametrize("shards", [1, 3, 6])
def test_another_number_of_shards_leaves_no_old_ones(folder: Path, shards: int) -> None:
    write(folder, listing(NAMES), shards=shards)
    assert sorted(path.name for path in folder.iterdir()) == store.shard_names(shards)
    check(folder, listing(NAMES))


# ---------------------------------------------------------------- what a reader refuses


def test_a_reader_refuses_another_configuration(folder: Path) -> None:
    with pytest.raises(CacheError, match=r"shard-000\.h5: written with .*4000.*, expected .*100.*delete it and run"):
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


@pytest.mark.parametrize("place", ["in a shard", "in two shards"])
def test_recordings_of_different_shapes_are_named(tmp_path: Path, place: str) -> None:
    odd = {"r07"} if place == "in a shard" else {name for name in NAMES if shard_of(name, SHARDS) == 1}
    arrays = {name: np.zeros((4, 12 if name in odd else 1), np.int16) for name in NAMES}
    with pytest.raises(CacheError, match=r"rows of \(1,\).*'r\d\d' has rows of \(12,\); .*dataset\.channels"):
        write(tmp_path, listing(NAMES), partial(look_up, arrays=arrays))
        open_cache(tmp_path, CONFIG)


def _header(raw: bytes, text: bytes) -> bytes:
    """Replace eight bytes in the header of the object that contains `text` by noise."""
    place = raw.index(text) - 8
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


@pytest.mark.parametrize("damage", ["flip", "zeros", "cut", "swap"])
def test_damage_at_any_place_is_seen_by_reader_and_writer(folder: Path, damage: str) -> None:
    """At every byte of a shard a change is named, or changes neither the index nor the values."""
    files = {path: path.read_bytes() for path in sorted(folder.glob("shard-*.h5"))}
    rng, named = np.random.default_rng(len(damage)), 0
    for attempt in range(60):
        path = list(files)[rng.integers(SHARDS)]
        contents = bytearray(files[path])
        with h5py.File(path) as file:
            start, size = file["values"].id.get_offset(), file["values"].id.get_storage_size()
        # anywhere, and every other time among the values, which are few of a small shard's bytes
        place = int(rng.integers(start, start + size) if attempt % 2 and size else rng.integers(len(contents)))
        if damage == "flip":
            contents[place] ^= 1 << int(rng.integers(8))
        elif damage == "zeros":
            contents[place : place + 16] = bytes(len(contents[place : place + 16]))
        elif damage == "cut":
            del contents[place:]
        else:
            other = int(rng.integers(len(contents)))
            contents[place], contents[other] = contents[other], contents[place]
        path.unlink()  # its pages may be mapped
        path.write_bytes(contents)
        try:
            check(folder, listing(NAMES))
        except CacheError as error:
            named += 1
            assert path.name in str(error)
            if attempt < 10:
                assert write(folder, listing(NAMES)) == {"written": 1, "reused": SHARDS - 1}
        path.unlink()
        path.write_bytes(files[path])
    assert named >= 20


def test_an_index_beyond_the_end_is_damage(folder: Path) -> None:
    with h5py.File(folder / "shard-002.h5", "r+") as file:
        file["index/length"][-1] += 1
    with pytest.raises(CacheError, match=r"shard-002\.h5: damaged \(its index refers to rows beyond its end\)"):
        open_cache(folder, CONFIG)
    assert write(folder, listing(NAMES))["written"] == 1


# ---------------------------------------------------------------- failures while writing


def _fail(row: Any) -> np.ndarray:
    if row.recording == "r05":
        raise ValueError("cannot make r05")
    return rows_of(row)


def test_a_failure_of_make_leaves_nothing(tmp_path: Path) -> None:
    changed_shard = f"shard-{shard_of('r05', SHARDS):03d}.h5"
    with pytest.raises(ValueError, match="cannot make r05"):
        write(tmp_path, listing(NAMES), _fail)
    assert changed_shard not in [path.name for path in tmp_path.iterdir()]
    assert not list(tmp_path.glob(".*"))


def test_a_failure_of_make_keeps_the_old_shard(folder: Path) -> None:
    changed_shard = folder / f"shard-{shard_of('r05', SHARDS):03d}.h5"
    before = files_with_old_stamps(folder)[changed_shard.name]
    with pytest.raises(ValueError, match="cannot make r05"):
        write(folder, listing(NAMES, r05="changed"), _fail)
    assert files_with_old_stamps(folder)[changed_shard.name] == before
    assert not list(folder.glob(".*"))


def test_a_failure_while_filling_keeps_the_old_file(folder: Path) -> None:
    before = files_with_old_stamps(folder)
    for name in ("shard-000.h5", "new.h5"):
        with pytest.raises(ValueError, match="half"), store.HDF5Writer(folder / name) as file:
            file.create_dataset("values", data=np.zeros(5))
            raise ValueError("half")
    assert files_with_old_stamps(folder) == before


def _write_with_size_limit(path: Path, recordings: pd.DataFrame, limit: int, sender: Any) -> None:
    """In a child process: no file may be larger than `limit` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        store._write_shard(path, recordings, rows_of, CONFIG, "2")
    except OSError as error:
        sender.send(error.errno)
    else:
        sender.send(None)


@pytest.mark.parametrize("seed", range(12))
def test_a_file_that_cannot_be_written_keeps_the_old_one(folder: Path, seed: int) -> None:
    """Whatever byte is the last that the disk takes."""
    limit = random.Random(seed).randrange((folder / "shard-000.h5").stat().st_size) if seed else 0
    before = files_with_old_stamps(folder)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe()
    recordings = listing([name for name in NAMES if shard_of(name, SHARDS) == 0])
    path = folder / "shard-000.h5"
    process = context.Process(target=_write_with_size_limit, args=(path, recordings, limit, sender))
    process.start()
    process.join(30)
    assert process.exitcode == 0  # HDF5 itself may crash when it cannot write
    assert receiver.poll(0)
    assert receiver.recv() == errno.EFBIG
    assert files_with_old_stamps(folder) == before
    check(folder, listing(NAMES))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_keeps_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = files_with_old_stamps(folder)
    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), full)
    with pytest.raises(OSError, match="No space left"):
        write(folder, listing(NAMES), code="2")
    assert files_with_old_stamps(folder) == before


def test_what_a_killed_job_left_is_removed(folder: Path) -> None:
    left, of_another = folder / ".shard-000.h5.12345", folder / ".shard-000.h5.6789"
    for path in (left, of_another):
        path.write_bytes(b"half")
    os.utime(left, (0, 0))
    write(folder, listing(NAMES), code="2")
    assert not left.exists() and of_another.exists()  # the other may be being written


def _of_two_types(row: Any) -> np.ndarray:
    return rows_of(row).astype(np.int16 if row.recording == "r05" else np.float32)


def test_values_of_two_types_are_refused(tmp_path: Path) -> None:
    """Numbers below 1 would become 0 without a word."""
    with pytest.raises(CacheError, match="values are"):
        write_cache(tmp_path, listing(NAMES), _of_two_types, CONFIG, "1", 1)


def _big(row: Any) -> np.ndarray:
    """8 MiB of numbers that depend on the recording."""
    return np.full((2**20, 2), len(row.recording), np.float32)


def _peak_mib(folder: Path, count: int, sender: Any) -> None:
    names = [f"r{number:03d}" for number in range(count)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    store._write_shard(folder / "shard-000.h5", listing(names), _big, CONFIG, "1")
    cache = open_cache(folder, CONFIG)
    assert all((cache.copy(name) == len(name)).all() for name in names)
    sender.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def test_memory_does_not_grow_with_the_recordings(tmp_path: Path) -> None:
    """A shard of 20 recordings of 8 MiB is written, compared with its checksum and copied in the memory of a few."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=_peak_mib, args=(tmp_path, 20, sender))
    process.start()
    process.join(60)
    assert process.exitcode == 0 and receiver.recv() < 60


def test_copies_are_equal_to_views(folder: Path) -> None:
    cache = open_cache(folder, CONFIG)
    for name in NAMES:
        np.testing.assert_array_equal(cache.copy(name), cache.read(name))
    with pytest.raises(CacheError, match="no recording 'unknown'"):
        cache.copy("unknown")


def test_a_worker_uses_one_thread(tmp_path: Path) -> None:
    with threadpool_limits(2):
        write_cache(tmp_path, listing(NAMES[:2]), threads, CONFIG, "code", SHARDS, 2)
    assert {int(open_cache(tmp_path, CONFIG).read(name)[0, 0]) for name in NAMES[:2]} == {1}
