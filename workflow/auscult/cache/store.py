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
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from auscult.progress import note
from auscult.provenance import digest

FORMAT = 1


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
    recordings : `recording, sha256` and whatever `make` reads of a row (picklable).
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
    with ProcessPoolExecutor(workers) as pool:
        for number, outcome in enumerate(pool.map(work, paths, parts), start=1):
            done[outcome] += 1
            note(f"{folder.name}: shard {number} of {shards} {outcome}")
    return done


def _write_shard(path: Path, part: pd.DataFrame, make: Callable, config: dict, code: str) -> str:
    wanted = _attributes(config, code, part)
    try:
        with h5py.File(path, "r") as file:
            if dict(file.attrs) == wanted:
                path.touch()
                return "reused"
    except OSError:
        pass  # absent or damaged: written anew
    arrays = [np.asarray(make(row)) for row in part.itertuples(index=False)]
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    values = np.concatenate(arrays) if arrays else np.zeros((0, 1), np.float32)
    with replacing(path) as file:
        file.create_dataset("values", data=values)
        names = part["recording"].to_numpy(dtype=object)
        file.create_dataset("index/recording", data=names, dtype=h5py.string_dtype())
        file.create_dataset("index/offset", data=np.cumsum(lengths) - lengths)
        file.create_dataset("index/length", data=lengths)
        file.attrs.update(wanted)
    return "written"


def _attributes(config: dict, code: str, part: pd.DataFrame) -> dict[str, Any]:
    inputs = digest(list(zip(part["recording"], part["sha256"], strict=True)))
    text = json.dumps(config, sort_keys=True)
    return {"format": FORMAT, "config": text, "code": code, "inputs": inputs}


class replacing:
    """An HDF5 file under a temporary name, renamed to `path` on success and removed on any failure."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}")

    def __enter__(self) -> h5py.File:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = h5py.File(self.temporary, "w")
        return self.file

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self.file.close()
            if kind is None:
                self.temporary.replace(self.path)
        finally:
            self.temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class Cache:
    """An opened cache: `index` has `offset, length, shard` by recording; `values` are memory maps by shard."""

    index: pd.DataFrame
    values: tuple[np.ndarray, ...]

    def read(self, recording: str) -> np.ndarray:
        """Rows of one recording, a view of the memory map."""
        row = self.index.loc[recording]
        return self.values[row["shard"]][row["offset"] : row["offset"] + row["length"]]

    def lengths(self, recordings: Iterable[str]) -> np.ndarray:
        """Numbers of rows."""
        return self.index.loc[list(recordings), "length"].to_numpy()

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
                if file.attrs["format"] != FORMAT or file.attrs["config"] != wanted:
                    raise CacheError(
                        f"{path}: made with {file.attrs['config']}, asked for {wanted}; delete it, run snakemake again"
                    )
                names = file["index/recording"].asstr()[:]
                part = pd.DataFrame({"offset": file["index/offset"][:], "length": file["index/length"][:]}, index=names)
                values.append(_map(path, file["values"]))
        except (OSError, KeyError, ValueError) as error:
            raise CacheError(f"{path}: damaged ({error}); delete it and run snakemake again") from error
        if len(part) and (part["offset"] + part["length"]).max() > len(values[-1]):
            raise CacheError(f"{path}: damaged (its index passes its end); delete it and run snakemake again")
        parts.append(part.assign(shard=number))
    return Cache(pd.concat(parts), tuple(values))


def _map(path: Path, dataset: h5py.Dataset) -> np.ndarray:
    offset = dataset.id.get_offset()
    if offset is None or dataset.size == 0:
        return np.zeros(dataset.shape, dataset.dtype)
    return np.memmap(path, dtype=dataset.dtype, mode="r", offset=offset, shape=dataset.shape)
