"""The files below the root of a release, without those of the workflow and of programs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

RESULTS = "results"  # in the working directory
SOUNDS = {".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".au", ".w64"}  # suffixes of sound files


def files_below(root: Path) -> Iterator[Path]:
    """Yield the files below `root`.

    The root may be the folder of the workflow itself, or above it: left out are hidden files and folders (such as .git,
    .venv and .snakemake), byte code and environments of Python, what archives of a Mac add, and the results of the
    workflow.
    """
    results = os.path.realpath(RESULTS)
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if name[0] != "."
            and name not in ("__pycache__", "__MACOSX")
            and not Path(folder, name, "pyvenv.cfg").is_file()
            and os.path.realpath(Path(folder, name)) != results
        ]
        yield from (path for name in files if name[0] != "." and is_file(path := Path(folder, name)))


def is_file(path: Path) -> bool:
    """Whether a path is a file; False for one that the system refuses, as a name that is too long."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_utf8(name: str) -> bool:
    """Whether a name of the file system is valid UTF-8, as not all names in archives of other systems are."""
    return printable(name) == name


def printable(name: str) -> str:
    """A name of the file system as text that can be written: bytes that are not UTF-8 become escape sequences."""
    return name.encode("utf-8", "backslashreplace").decode()


def files_in(folder: Path, *suffixes: str) -> list[Path]:
    """Return the visible files in a folder with one of the suffixes, written in any case; sorted."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != ".")
