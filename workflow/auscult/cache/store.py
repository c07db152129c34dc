"""HDF5 shards: arrays of many recordings stored back to back, with an index, attributes and safe writing.

A shard holds one contiguous dataset `values` (rows, …) and `index/{recording, offset, length}`. Its attributes say
what made it; a reader refuses a shard made otherwise, a writer keeps one that is already what it would write.
Contiguous datasets are memory-mapped by readers, so many processes share one copy and open in no time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from auscult.progress import note
from auscult.provenance import digest

FORMAT = 1
INPUTS = ("recording", "sha256", "rate_hz", "channels")  # columns that say what a recording's samples are
DAMAGE = (OSError, KeyError, ValueError, RuntimeError)  # what h5py raises over a damaged file


class CacheError(Exception):
    """A shard is missing, damaged, or not what was asked for; the message says which and what to do."""


def shard_of(recording: str, shards: int) -> int:
    """Number of the shard that holds a recording: a stable hash of its id."""
    return int.from_bytes(hashlib.sha256(recording.encode()).digest()[:8], "big") % shards


def shard_names(shards: int) -> list[str]:
    """File names of the shards of one cache."""
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
    """Write all shards of a cache; a shard that is already right is kept, and its time stamp renewed.

    Parameters
    ----------
    folder : where the shards lie.
    recordings : `recording, sha256`, where known `rate_hz, channels`, and whatever `make` reads of a row (picklable).
    make : row (a namedtuple) to an array (rows, …); called in worker processes.
    config : what the values depend on besides the samples; readers ask for it.
    code : digest of the code that makes them.
    shards, workers : numbers of files and of processes.

    Returns counts of shards `written` and `reused`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    homes = recordings["recording"].map(lambda name: shard_of(name, shards))
    parts = [recordings[homes == number].sort_values("recording") for number in range(shards)]
    work = partial(_write_shard, make=make, config=config, code=code)
    paths = [folder / name for name in shard_names(shards)]
    done = {"written": 0, "reused": 0}
    # one thread each: the rule's threads are the workers
    with ProcessPoolExecutor(workers, initializer=threadpool_limits, initargs=(1,)) as pool:
        for number, outcome in enumerate(pool.map(work, paths, parts), start=1):
            done[outcome] += 1
            note(f"{folder.name}: shard {number} of {shards} {outcome}")
    for left in set(folder.glob("shard-*.h5")) - set(paths):  # of a time with more shards
        left.unlink()
    return done


def _write_shard(path: Path, part: pd.DataFrame, make: Callable, config: dict, code: str) -> str:
    wanted = _attributes(config, code, part)
    try:
        with h5py.File(path, "r") as file:
            if dict(file.attrs) == wanted:
                _contents(path, file)
                path.touch()
                return "reused"
    except DAMAGE:
        pass  # absent or damaged: written anew
    arrays = [np.asarray(make(row)) for row in part.itertuples(index=False)]
    shapes = {array.shape[1:]: name for name, array in zip(part["recording"], arrays, strict=True)}
    if len(shapes) > 1:
        raise CacheError(_unlike(path.parent, shapes))
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    values = np.concatenate(arrays) if arrays else np.zeros((0, 1), np.float32)
    del arrays
    with replacing(path) as file:
        file.create_dataset("values", data=values)
        names = np.array([name.encode() for name in part["recording"]], dtype=bytes)
        text = h5py.string_dtype(length=max(1, names.dtype.itemsize))
        columns = {"recording": names.astype(text), "offset": np.cumsum(lengths) - lengths, "length": lengths}
        checked = {"chunks": lengths.shape, "fletcher32": True} if len(lengths) else {}
        for column, data in columns.items():
            file.create_dataset(f"index/{column}", data=data, **checked)
        file.attrs.update(wanted)
    return "written"


def _attributes(config: dict, code: str, part: pd.DataFrame) -> dict[str, Any]:
    known = part[[column for column in INPUTS if column in part]]
    inputs = digest(known.astype(str).to_numpy().tolist())
    # numpy's bytes have a fixed length: no heap beside the checksummed header
    texts = {"config": json.dumps(config, sort_keys=True), "code": code, "inputs": inputs}
    return {"format": FORMAT, **{key: np.bytes_(text.encode()) for key, text in texts.items()}}


def _unlike(folder: Path, shapes: dict[tuple[int, ...], str]) -> str:
    rows = "; ".join(f"{name!r} has rows of {shape}" for shape, name in sorted(shapes.items()))
    return f"{folder}: recordings of unlike shape: {rows}; set dataset.channels: mean, or leave one kind out"


class replacing:
    """An HDF5 file made in memory, written under a temporary name and renamed to `path`; a failure leaves nothing.

    HDF5 must not meet a full disk by itself: where it cannot write what it holds, closing may crash the process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}")

    def __enter__(self) -> h5py.File:
        # "latest": headers with checksums, so that a reader sees damage instead of following it
        self.file = h5py.File(self.path.name, "w", driver="core", backing_store=False, libver="latest")
        return self.file

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        with self.file:
            self.file.flush()
            image = self.file.id.get_file_image() if kind is None else b""
        if kind is not None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.temporary.open("wb") as out:
                out.write(image)
                out.flush()
                os.fsync(out.fileno())
            self.temporary.replace(self.path)
        finally:
            self.temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class Cache:
    """An opened cache: `index` has `offset, length, shard` by recording; `values` are memory maps by shard."""

    index: pd.DataFrame
    values: tuple[np.ndarray, ...]

    def read(self, recording: str) -> np.ndarray:
        """Rows of one recording, a view of the memory map. Raises CacheError for one that is not there."""
        if recording not in self._places:
            raise CacheError(_lost(recording))
        shard, offset, length = self._places[recording]
        return self.values[shard][offset : offset + length]

    @cached_property
    def _places(self) -> dict[str, tuple[int, int, int]]:
        """Shard, offset and length of every recording: a row of the table takes twenty times as long to find."""
        columns = (self.index[name].tolist() for name in ("shard", "offset", "length"))
        return dict(zip(self.index.index, zip(*columns, strict=True), strict=True))

    def lengths(self, recordings: Iterable[str]) -> np.ndarray:
        """Numbers of rows. Raises CacheError for a recording that is not there."""
        names = list(recordings)
        if lost := set(names) - set(self.index.index):
            raise CacheError(_lost(min(lost)))
        return self.index.loc[names, "length"].to_numpy()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row: (channels,) of audio, (channels, bands) of frames."""
        return next((v.shape[1:] for v in self.values if len(v)), (1, 1))


def open_cache(folder: Path, config: dict[str, Any]) -> Cache:
    """Map all shards of a cache. Raises CacheError for a damaged shard, or one made with another `config`."""
    paths = sorted(folder.glob("shard-*.h5"))
    if not paths:
        raise CacheError(f"{folder}: no shards; run snakemake again")
    wanted = json.dumps(config, sort_keys=True)
    parts, values = [], []
    for number, path in enumerate(paths):
        try:
            with h5py.File(path, "r") as file:
                made = file.attrs["config"].decode()
                if file.attrs["format"] != FORMAT or made != wanted:
                    raise CacheError(f"{path}: made with {made}, asked for {wanted}; delete it and run snakemake again")
                part, array = _contents(path, file)
        except DAMAGE as error:
            raise CacheError(f"{path}: damaged ({error}); delete it and run snakemake again") from error
        parts.append(part.assign(shard=number))
        values.append(array)
    index = pd.concat(parts)
    if index.index.has_duplicates:
        name = index.index[index.index.duplicated()][0]
        raise CacheError(f"{folder}: {name!r} is in two shards; delete the folder and run snakemake again")
    shapes = {array.shape[1:]: part.index[0] for part, array in zip(parts, values, strict=True) if len(part)}
    if len(shapes) > 1:
        raise CacheError(_unlike(folder, shapes))
    return Cache(index, tuple(values))


def _contents(path: Path, file: h5py.File) -> tuple[pd.DataFrame, np.ndarray]:
    """Index and mapped values of an opened shard; raises one of `DAMAGE`."""
    names = file["index/recording"].asstr()[:]
    part = pd.DataFrame({"offset": file["index/offset"][:], "length": file["index/length"][:]}, index=names)
    values = _map(path, file["values"])
    if len(part) and (part["offset"] + part["length"]).max() > len(values):
        raise ValueError("its index passes its end")
    return part, values


def _lost(recording: str) -> str:
    return f"the cache has no recording {recording!r}: a shard is missing or old; run snakemake again"


def _map(path: Path, dataset: h5py.Dataset) -> np.ndarray:
    offset = dataset.id.get_offset()
    if offset is None or dataset.size == 0:
        return np.zeros(dataset.shape, dataset.dtype)
    return np.memmap(path, dtype=dataset.dtype, mode="r", offset=offset, shape=dataset.shape)
