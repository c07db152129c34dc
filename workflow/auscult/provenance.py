"""What a result came from: import closures of code, digests of slices of the data, versions of the environment."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).resolve().parent
ONLY_REPORT = {"progress.py", "tracking.py"}  # they write logs and MLflow: no result depends on them
PACKAGES = ("torch", "xgboost", "numpy", "scipy", "pandas", "scikit-learn", "h5py", "soxr", "soundfile")


def closure(files: Iterable[Path]) -> list[Path]:
    """Python files of the library that `files` import, directly or not, and `files` themselves, sorted.

    Only `import auscult...` and `from auscult... import ...` statements count, wherever they stand in a file;
    plug-ins that are loaded by name are added by the caller.
    """
    seen: set[Path] = set()
    todo = [Path(file).resolve() for file in files]
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += _imports(file)
    return sorted(seen)


@cache
def _imports(file: Path) -> tuple[Path, ...]:
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), filename=str(file))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
    library = [path for name in found for path in module_files(name)]
    # a script may import a sibling, which stands beside it on the path
    beside = [file.with_name(f"{name}.py") for name in found if file.parent.name == "scripts" and "." not in name]
    return tuple(library + [path for path in beside if path.is_file()])


def module_files(name: str) -> list[Path]:
    """Files that importing the module `name` runs (its packages' `__init__.py` too); [] outside the library."""
    parts = name.split(".")
    if parts[0] != LIBRARY.name:
        return []
    paths = [LIBRARY.joinpath(*parts[1:i], "__init__.py") for i in range(1, len(parts) + 1)]
    paths.append(LIBRARY.joinpath(*parts[1:-1], f"{parts[-1]}.py"))
    return [path for path in paths if path.is_file()]


def code_files(script: Path, modules: Iterable[str] = ()) -> list[str]:
    """Files that a script and some modules import, directly or not, as relative paths; see `closure`."""
    files = [script, *(file for module in modules for file in module_files(module))]
    return [os.path.relpath(file) for file in closure(files)]


def code_digest(files: Iterable[Path | str]) -> str:
    """SHA-256 of the content and the names (not the folders above) of `files`, but for those that only report."""
    files = sorted(path for file in files if (path := Path(file).resolve()).name not in ONLY_REPORT)
    return digest({str(f.relative_to(LIBRARY.parent)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files})


def digest(thing: Any) -> str:
    """SHA-256 of anything that JSON can write, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(thing, sort_keys=True, default=str).encode()).hexdigest()


def environment() -> dict[str, str]:
    """Versions of Python, the platform and the packages that can change a number."""
    versions = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "auscult": _own_version(),
    }
    for package in PACKAGES:
        versions[package] = metadata.version(package)
    return versions


def _own_version() -> str:
    from auscult import __version__

    return __version__


def commit() -> str:
    """Commit of the code, with `+changes` when the files differ from it; `unknown` outside a checkout."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(LIBRARY), *arguments], capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()

    try:
        head = git("rev-parse", "--short=12", "HEAD")
        return head + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def write_json(path: Path, thing: Any) -> None:
    """Write JSON to a temporary name and rename it, so that a killed job leaves nothing half."""
    write_text(path, json.dumps(thing, indent=1, sort_keys=True, default=str) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to a temporary name and rename it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
