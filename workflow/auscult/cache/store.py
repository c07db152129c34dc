"""HDF5 shards: arrays of many recordings one after another in a file, with an index and attributes.

A shard contains one contiguous dataset `values` (rows, …) and `index/{recording, offset, length}`. Its attributes
describe configuration, code and inputs, and have a checksum of the values. A reader refuses a shard with another
configuration; a writer keeps a shard with the attributes that it would write; both refuse damaged values. Readers map
contiguous datasets into memory, so that many processes share one copy and opening is fast.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import json
import math
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from auscult.progress import note
from auscult.provenance import digest

FORMAT = 2
CHECKSUM = "values_crc32"
ABANDONED_S = 86_400  # a file that is written may be another process's, of a second study on the same data set
BUFFER = 2**22  # bytes that are copied or compared at a time
LIBRARIES = (
    *("ai-edge-litert", "antropy", "librosa", "numba", "numpy", "onnxruntime", "scipy", "soundfile", "soxr", "torch"),
    "wfdb",
)
INPUTS = ("recording", "sha256", "rate_hz", "channels")  # columns that identify the samples of a recording
DAMAGE = (OSError, KeyError, ValueError, RuntimeError)  # what h5py raises for a damaged file


class CacheError(Exception):
    """A shard is missing, damaged or of another configuration; the message names it and states what to do."""


def versions() -> dict[str, str]:
    """Return the versions of the libraries that compute what caches have, without the patch number.

    They are parameters of the jobs that write caches, train and score, and attributes of the shards: another version
    computes them anew. A library that is not installed, because the study needs none of it, is left out.
    """
    installed = {}
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            installed[name] = ".".join(metadata.version(name).split(".")[:2])
    return installed


def shard_of(recording: str, shards: int) -> int:
    """Return the number of the shard that contains a recording: a stable hash of its id."""
    return int.from_bytes(hashlib.sha256(recording.encode()).digest()[:8], "big") % shards


def shard_names(shards: int) -> list[str]:
    """Return the file names of the shards of a cache."""
    return [f"shard-{number:03d}.h5" for number in range(shards)]


def write_cache(
    folder: Path,
    recordings: pd.DataFrame,
    make: Callable[[Any], np.ndarray],
    config: dict[str, Any],
    code: str,
    shards: int,
    workers: int = 1,
) -> dict[str, int]:
    """Write all shards of a cache; an unchanged shard is kept and gets a new time stamp.

    Parameters
    ----------
    folder : folder of the shards.
    recordings : `recording, sha256`, if known `rate_hz, channels`, and the columns that `make` reads (picklable).
    make : function of a row (a namedtuple) that returns an array (rows, …); called in worker processes.
    config : what the values depend on besides the samples; readers compare it.
    code : digest of the code that computes the values.
    shards, workers : numbers of files and of processes.

    Returns the numbers of shards `written` and `reused`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shard_numbers = recordings["recording"].map(lambda name: shard_of(name, shards))
    parts = [recordings[shard_numbers == number].sort_values("recording") for number in range(shards)]
    write_shard = partial(_write_shard, make=make, config=config, code=code)
    paths = [folder / name for name in shard_names(shards)]
    counts = {"written": 0, "reused": 0}
    # one thread per worker: the rule's threads are the number of workers
    with ProcessPoolExecutor(workers, initializer=threadpool_limits, initargs=(1,)) as pool:
        for number, outcome in enumerate(pool.map(write_shard, paths, parts), start=1):
            counts[outcome] += 1
            note(f"{folder.name}: shard {number} of {shards} {outcome}")
    for old_shard in set(folder.glob("shard-*.h5")) - set(paths):  # written when the cache had more shards
        old_shard.unlink()
    return counts


def _write_shard(path: Path, recordings: pd.DataFrame, make: Callable, config: dict, code: str) -> str:
    attributes = _attributes(config, code, recordings)
    try:
        with h5py.File(path, "r") as file:
            if {key: value for key, value in file.attrs.items() if key != CHECKSUM} == attributes:
                _contents(path, file)
                path.touch()
                return "reused"
    except DAMAGE:
        pass  # missing or damaged: it is written again
    with tempfile.TemporaryFile(dir=path.parent) as rows_file:
        rows = _write_rows(rows_file, recordings, make)
        if len(rows.shapes) > 1:
            raise CacheError(_shapes_message(path.parent, rows.shapes))
        with HDF5Writer(path) as file:
            _copy_rows(rows_file, rows, file)
            names = np.array([name.encode() for name in recordings["recording"]], dtype=bytes)
            text = h5py.string_dtype(length=max(1, names.dtype.itemsize))
            lengths = np.array(rows.lengths, dtype=np.int64)
            columns = {"recording": names.astype(text), "offset": np.cumsum(lengths) - lengths, "length": lengths}
            options = {"chunks": lengths.shape, "fletcher32": True} if len(lengths) else {}
            for column, data in columns.items():
                file.create_dataset(f"index/{column}", data=data, **options)
            file.attrs.update({**attributes, CHECKSUM: np.uint32(rows.checksum)})
    return "written"


@dataclass(frozen=True)
class _Rows:
    """What is known of rows that are on disk one after another.

    `lengths`: rows of each recording. `shapes`: a recording by shape of a row. `dtype`: of the values. `checksum`: of
    all bytes.
    """

    lengths: list[int]
    shapes: dict[tuple[int, ...], str]
    dtype: np.dtype
    checksum: int


def _write_rows(rows_file: BinaryIO, recordings: pd.DataFrame, make: Callable) -> _Rows:
    """Make the rows of one recording after another and write them, so that memory holds one recording."""
    lengths, shapes, checksum, dtype = [], {}, 0, None
    for recording in recordings.itertuples(index=False):
        array = np.ascontiguousarray(make(recording))
        if dtype is not None and array.dtype != dtype:
            raise CacheError(f"recording {recording.recording!r}: values are {array.dtype}, those before it {dtype}")
        dtype = array.dtype
        rows_file.write(array.data)
        checksum = zlib.crc32(array.view(np.uint8).data, checksum) if array.size else checksum
        lengths.append(len(array))
        shapes[array.shape[1:]] = recording.recording
    return _Rows(lengths, shapes, dtype or np.dtype(np.float32), checksum)


def _copy_rows(rows_file: BinaryIO, rows: _Rows, file: h5py.File) -> None:
    """Copy rows from disk to the dataset `values`, some MiB at a time."""
    shape = next(iter(rows.shapes), (1,))
    values = file.create_dataset("values", (sum(rows.lengths), *shape), rows.dtype)
    buffer = np.empty((max(1, BUFFER // (rows.dtype.itemsize * math.prod(shape))), *shape), rows.dtype)
    rows_file.seek(0)
    for start in range(0, len(values), len(buffer)):
        part = buffer[: len(values) - start]
        rows_file.readinto(part.data)
        values[start : start + len(part)] = part


def _attributes(config: dict, code: str, recordings: pd.DataFrame) -> dict[str, Any]:
    inputs = recordings[[column for column in INPUTS if column in recordings]]
    inputs_digest = digest(inputs.astype(str).to_numpy().tolist())
    # numpy's bytes have a fixed length: HDF5 stores them in the header, which has a checksum
    texts = {"config": json.dumps(config, sort_keys=True), "code": code, "inputs": inputs_digest}
    texts["versions"] = json.dumps(versions())
    return {"format": FORMAT, **{key: np.bytes_(text.encode()) for key, text in texts.items()}}


def _shapes_message(folder: Path, shapes: dict[tuple[int, ...], str]) -> str:
    rows = "; ".join(f"{name!r} has rows of {shape}" for shape, name in sorted(shapes.items()))
    advice = "set dataset.channels: mean, or leave the recordings of one shape out"
    return f"{folder}: recordings of unlike shape: {rows}; {advice}"


class HDF5Writer:
    """Context manager for an HDF5 file that is written under a temporary name and renamed to `path`.

    After an error, an older file at `path` is unchanged and no temporary file remains.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}")

    def __enter__(self) -> h5py.File:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in self.path.parent.glob(f".{glob.escape(self.path.name)}.*"):  # by a job that was killed
            with contextlib.suppress(FileNotFoundError):  # another process may remove it too
                if time.time() - leftover.stat().st_mtime > ABANDONED_S:
                    leftover.unlink()
        self.disk_file = _DiskFile(self.temporary, "w+")
        # "latest": headers have checksums, so that a reader notices damage
        self.file = h5py.File(self.disk_file, "w", libver="latest")
        return self.file

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            with self.disk_file:
                try:
                    self.file.close()
                finally:  # HDF5 may complain about what was not written
                    if self.disk_file.failure:
                        raise self.disk_file.failure
                if kind is not None:
                    return
                os.fsync(self.disk_file.fileno())
            self.temporary.replace(self.path)
        finally:
            self.temporary.unlink(missing_ok=True)


class _DiskFile(io.FileIO):
    """A file that keeps its first failure to write and then pretends to write: HDF5 may crash when a write fails."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of `data`; return its bytes."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while len(rest) and not self.failure:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.failure = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file, by default to the present position."""
        if not self.failure:
            try:
                return super().truncate(size)
            except OSError as error:
                self.failure = error
        return size or 0


@dataclass(frozen=True)
class Cache:
    """An opened cache: `index` has `offset, length, shard` by recording; `values` has a memory map per shard."""

    index: pd.DataFrame
    values: tuple[np.ndarray, ...]

    def read(self, recording: str) -> np.ndarray:
        """Return the rows of a recording, a view of the memory map. Raises CacheError for an unknown recording."""
        if recording not in self._places:
            raise CacheError(_missing_message(recording))
        shard, offset, length = self._places[recording]
        return self.values[shard][offset : offset + length]

    def copy(self, recording: str) -> np.ndarray:
        """Return the rows of a recording, read from its file: unlike those of `read`, they do not stay in memory."""
        rows = self.read(recording)
        if not rows.size:
            return rows
        shard, offset, _ = self._places[recording]
        values = self.values[shard]
        place = values.offset + offset * values.strides[0]
        return np.fromfile(values.filename, values.dtype, rows.size, offset=place).reshape(rows.shape)

    @cached_property
    def _places(self) -> dict[str, tuple[int, int, int]]:
        """Shard, offset and length of each recording; a lookup in `index` takes twenty times as long."""
        columns = (self.index[name].tolist() for name in ("shard", "offset", "length"))
        return dict(zip(self.index.index, zip(*columns, strict=True), strict=True))

    def lengths(self, recordings: Iterable[str]) -> np.ndarray:
        """Return the numbers of rows of recordings. Raises CacheError for an unknown recording."""
        names = list(recordings)
        if missing := set(names) - set(self.index.index):
            raise CacheError(_missing_message(min(missing)))
        return self.index.loc[names, "length"].to_numpy()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a row: (channels,) of audio, (channels, bands) of frames."""
        return next((v.shape[1:] for v in self.values if len(v)), (1, 1))


def open_cache(folder: Path, config: dict[str, Any]) -> Cache:
    """Open all shards of a cache as memory maps. Raises CacheError for a damaged shard or one of another `config`."""
    paths = sorted(folder.glob("shard-*.h5"))
    if not paths:
        raise CacheError(f"{folder}: no shards; run snakemake again")
    expected = json.dumps(config, sort_keys=True)
    indices, values = [], []
    for number, path in enumerate(paths):
        try:
            with h5py.File(path, "r") as file:
                actual = file.attrs["config"].decode()
                if file.attrs["format"] != FORMAT or actual != expected:
                    raise CacheError(
                        f"{path}: written with {actual}, expected {expected}; delete it and run snakemake again"
                    )
                rows, array = _contents(path, file)
        except DAMAGE as error:
            raise CacheError(f"{path}: damaged ({error}); delete it and run snakemake again") from error
        indices.append(rows.assign(shard=number))
        values.append(array)
    index = pd.concat(indices)
    if index.index.has_duplicates:
        name = index.index[index.index.duplicated()][0]
        raise CacheError(f"{folder}: {name!r} is in two shards; delete the folder and run snakemake again")
    shapes = {array.shape[1:]: rows.index[0] for rows, array in zip(indices, values, strict=True) if len(rows)}
    if len(shapes) > 1:
        raise CacheError(_shapes_message(folder, shapes))
    return Cache(index, tuple(values))


def _contents(path: Path, file: h5py.File) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the index and the memory-mapped values of an opened shard, which are read once to compare their checksum.

    Raises one of `DAMAGE`.
    """
    names = file["index/recording"].asstr()[:]
    index = pd.DataFrame({"offset": file["index/offset"][:], "length": file["index/length"][:]}, index=names)
    values = _map(path, file["values"])
    if len(index) and (index["offset"] + index["length"]).max() > len(values):
        raise ValueError("its index refers to rows beyond its end")
    if file.attrs[CHECKSUM] != _checksum(values):
        raise ValueError("its values do not have their checksum")
    return index, values


def _checksum(values: np.ndarray) -> int:
    """CRC-32 of mapped values, 4 GB per second; they are read from the file, so that they do not stay in memory."""
    checksum, missing = 0, values.nbytes
    if missing:
        with Path(values.filename).open("rb") as file:
            file.seek(values.offset)
            while missing and (part := file.read(min(missing, BUFFER))):
                checksum, missing = zlib.crc32(part, checksum), missing - len(part)
    return checksum


def _missing_message(recording: str) -> str:
    return f"the cache has no recording {recording!r}: a shard is missing or old; run snakemake again"


def _map(path: Path, dataset: h5py.Dataset) -> np.ndarray:
    offset = dataset.id.get_offset()
    if offset is None or dataset.size == 0:
        return np.zeros(dataset.shape, dataset.dtype)
    return np.memmap(path, dtype=dataset.dtype, mode="r", offset=offset, shape=dataset.shape)
