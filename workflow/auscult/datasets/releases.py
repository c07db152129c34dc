"""The raw files of a data set before any rule has run: which files exist, and a digest of their contents."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from auscult.config.dataset import Dataset
from auscult.datasets import adapter
from auscult.datasets.errors import DatasetError
from auscult.provenance import digest, write_json


@dataclass(frozen=True)
class Release:
    """The raw files of a data set.

    `is_generated`: the workflow generates the files, so that none need to exist. `files` is empty for a generated data
    set, and if nothing has been downloaded yet.
    """

    dataset: Dataset
    is_generated: bool
    files: list[Path]


def find(dataset: Dataset) -> Release:
    """Return the raw files that the data set's adapter reads."""
    module = adapter(dataset.adapter)
    if getattr(module, "GENERATED", False):
        return Release(dataset, True, [])
    try:
        return Release(dataset, False, module.files(Path(dataset.root), module.Options.model_validate(dataset.options)))
    except (FileNotFoundError, NotADirectoryError):
        return Release(dataset, False, [])
    except OSError as error:
        raise DatasetError(f"data set {dataset.name}: {dataset.root} cannot be read: {error}") from error


def require(release: Release, folder: str) -> None:
    """Raise DatasetError if a release has no files, or no place for them, even if results of earlier files exist.

    folder: name of the data set below results/datasets.
    """
    root = release.dataset.root
    if release.is_generated and Path(root).is_file():
        raise DatasetError(f"data set {folder}: {root} is a file; its recordings are generated into a folder: name one")
    if not release.files and not release.is_generated:
        advice = "name their folder with `--config studies=… root=DIR`"
        if Path(root).is_file():
            advice = f"this is a file; unpack it if it is an archive, and {advice}"
        raise DatasetError(
            f"data set {folder}: no recordings below {root}: {advice}, or, for a public release, run `snakemake "
            "download --config studies=…`"
        )


def require_all(release_of_folder: dict[str, Release]) -> None:
    """Call `require` for every release."""
    for folder, release in release_of_folder.items():
        require(release, folder)


def state(release: Release, digests: Path) -> str:
    """Return a digest of the files' contents, or of the options that generate them.

    digests: a file with the digests of single files, so that only changed files are read again.
    """
    if release.is_generated:
        return digest([release.dataset.adapter, release.dataset.options])
    if not release.files:
        return "nothing there"
    return raw_digest(release.files, Path(release.dataset.root), digests)


def raw_digest(files: Iterable[Path], root: Path, memory: Path) -> str:
    """Return the SHA-256 of names and contents of a release's files.

    `memory` is a JSON file with the size, time stamp and digest of each file. A file is read again only if its size
    or time stamp has changed, so that the digest of an unchanged release takes milliseconds, and a new time stamp
    alone does not change it. One change is not noticed: new content of the same size with the old time stamp.
    """
    try:
        old_entries = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        old_entries = {}
    old_entries = old_entries if isinstance(old_entries, dict) else {}
    entries = {}
    for file in sorted(files):
        stat = file.stat()
        name = os.path.relpath(file, root)  # a table may name a file by its absolute path
        entry = old_entries.get(name)
        if entry and entry[:2] == [stat.st_size, stat.st_mtime_ns]:
            entries[name] = entry
        else:
            with file.open("rb") as stream:
                entries[name] = [
                    stat.st_size,
                    stat.st_mtime_ns,
                    hashlib.file_digest(stream, "sha256").hexdigest(),
                ]
    if entries != old_entries:
        write_json(memory, entries)
    return hashlib.sha256(json.dumps([[name, entry[2]] for name, entry in entries.items()]).encode()).hexdigest()
