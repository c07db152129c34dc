"""The complete options of a network, and what a study must know of its file.

The file of a network loads PyTorch, which takes longer than the rest of a dry run. What it says about some options is
therefore remembered on disk, under a digest of the options and of all code that the file imports.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from auscult.provenance import closure, code_digest, digest, module_files, write_text

MOST_ENTRIES = 500
"""Entries that the memory keeps, the newest."""


@dataclass(frozen=True)
class NetworkFacts:
    """Options with the network's defaults, whether it reads cases, and whether it can start from a file of weights."""

    options: dict[str, Any]
    reads_cases: bool
    takes_weights: bool


def network_facts(
    name: str, options: dict[str, Any], check: Callable[[Any], Any], memory: Path | None = None
) -> NetworkFacts:
    """Return what the file of a network says about some options.

    check: called with the model `Options` of the file; returns `options` as this model, or raises. memory: a JSON file
    of earlier answers, to which this one is added; None: the file of the network is loaded.
    """
    key = _key(name, options) if memory else ""
    earlier_facts = _read(memory) if memory else {}
    if key in earlier_facts:
        return NetworkFacts(**earlier_facts[key])
    module = importlib.import_module(f"auscult.networks.{name}")
    reads_cases, takes_weights = getattr(module, "READS_CASES", False), hasattr(module, "load_pretrained")
    facts = NetworkFacts(check(module.Options).model_dump(), reads_cases, takes_weights)
    if memory:
        newest = dict(list(earlier_facts.items())[1 - MOST_ENTRIES :]) | {key: asdict(facts)}
        # options that JSON does not have, or a folder that cannot be written: asked again next time
        with contextlib.suppress(TypeError, OSError):
            if json.loads(json.dumps(facts.options)) == facts.options:
                write_text(memory, json.dumps({"entries": newest, "digest": digest(newest)}, indent=1))
    return facts


def _key(name: str, options: dict[str, Any]) -> str:
    code = code_digest(closure(module_files(f"auscult.networks.{name}")))
    return digest([name, options, code, platform.python_version(), metadata.version("pydantic")])


def _read(memory: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of a memory by key; none where the file is missing or damaged."""
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
        return content["entries"] if content["digest"] == digest(content["entries"]) else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
