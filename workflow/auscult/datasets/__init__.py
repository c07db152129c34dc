"""Data sets: one adapter per file, from a raw release to the manifest.

An adapter is a file here with

- `Options`: a pydantic model of what a study may say under `dataset.options`,
- `files(root, options)`: the raw files that it reads, and
- `ingest(root, options)`: a `base.Listing`.

It may have `fetch(root, options, log)` (downloads, or makes, the raw files) and `GENERATED = True` (the workflow may
call `fetch` by itself).
"""

import importlib
from pathlib import Path
from types import ModuleType

NOT_ADAPTERS = {"__init__", "base", "audio", "download", "releases", "simulated_sound", "unusable", "wfdb_record"}


def names() -> list[str]:
    """Names of the adapters."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in NOT_ADAPTERS)


def adapter(name: str) -> ModuleType:
    """The adapter `name`."""
    return importlib.import_module(f"auscult.datasets.{name}")
