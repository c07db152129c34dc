"""Data sets: one adapter per file, which reads a raw release for the manifest.

An adapter is a file in this folder with

- `Options`: a pydantic model of the study's `dataset.options`,
- `files(root, options)`, which returns the raw files that it reads, and
- `ingest(root, options)`, which returns a `base.Listing`.

It may have `fetch(root, options, log)`, which downloads or generates the raw files, and `GENERATED = True`, which lets
the workflow call `fetch` by itself.
"""

import importlib
from pathlib import Path
from types import ModuleType

from auscult.datasets.errors import DatasetError

NOT_ADAPTERS = {
    "__init__",
    "audio",
    "audio_length",
    "base",
    "build",
    "download",
    "errors",
    "ids",
    "paths_nearby",
    "releases",
    "simulated_sound",
    "tables",
    "walk",
    "wfdb_header",
    "wfdb_record",
}


def names() -> list[str]:
    """Return the names of the adapters."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in NOT_ADAPTERS)


def adapter(name: str) -> ModuleType:
    """Return the module of the adapter `name`. Raises DatasetError for an unknown one."""
    if name not in names():
        raise DatasetError(f"there is no adapter {name!r}; there are {', '.join(names())}")
    return importlib.import_module(f"auscult.datasets.{name}")
