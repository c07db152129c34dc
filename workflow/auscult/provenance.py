"""The origin of a result: the code that it depends on, digests, and versions of the environment."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).resolve().parent
ONLY_REPORT = {
    "auscult/progress.py",
    "auscult/tracking.py",
}  # they write logs and MLflow runs: no result depends on them
TRACKING_SCRIPTS = ("track", "bundle_winner")  # these do nothing else, so that an edit of the former counts
PLANNED = "AUSCULT_PLANNED"
"""The environment variable that tells jobs when their run was planned."""
PACKAGES = ("torch", "xgboost", "numpy", "scipy", "pandas", "scikit-learn", "h5py", "soxr", "soundfile")


class CodeError(Exception):
    """Files of the code changed during a run."""


def closure(files: Iterable[Path]) -> list[Path]:
    """Return `files` and all Python files of the library that they import, directly or indirectly, sorted.

    Only `import auscult...` and `from auscult... import ...` statements count, anywhere in a file. The caller must add
    plug-ins that are imported by name.
    """
    files_in_closure: set[Path] = set()
    remaining = [Path(file).resolve() for file in files]
    while remaining:
        file = remaining.pop()
        if file not in files_in_closure:
            files_in_closure.add(file)
            remaining += _imports(file)
    return sorted(files_in_closure)


@cache
def _imports(file: Path) -> tuple[Path, ...]:
    names = []
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text, filename=str(file))
    # statements are few, expressions are many
    for node in ast.walk(tree) if "import_module" in text else _statements(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = ".".join([*_package(file, node.level), *filter(None, [node.module])])
            names += [module] + [f"{module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            # a name that is computed is added by the rule
            names += [str(argument.value) for argument in node.args[:1] if isinstance(argument, ast.Constant)]
    library_files = [path for name in names for path in module_files(name)]
    # a script may import another script of its folder
    siblings = [file.with_name(f"{name}.py") for name in names if file.parent.name == "scripts" and "." not in name]
    return tuple(library_files + [path for path in siblings if path.is_file()])


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements below a node, at any depth, but no expressions."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for node in getattr(tree, field, []):
            yield node
            yield from _statements(node)


def _package(file: Path, level: int) -> tuple[str, ...]:
    """Return the package that an import with so many dots begins from; () for an import without dots."""
    if not level or not file.is_relative_to(LIBRARY.parent):
        return ()
    folders = file.relative_to(LIBRARY.parent).parent.parts
    return folders[: len(folders) - level + 1]


def module_files(name: str) -> list[Path]:
    """Return the files that an import of the module `name` runs, with `__init__.py`.

    Modules of the library, and others beside its folder; [] for installed packages.
    """
    home, parts = LIBRARY.parent, name.split(".")
    paths = [home.joinpath(*parts[:i], "__init__.py") for i in range(1, len(parts) + 1)]
    paths.append(home.joinpath(*parts[:-1], f"{parts[-1]}.py"))
    return [path for path in paths if path.is_file()]


def job_code(script: str, modules: Iterable[str] = ()) -> dict[str, Any]:
    """Return what identifies the code of a job: `script`, `modules` and their `digest`, see `code_digest`.

    script: name of a file in scripts/. modules: plug-ins that it loads by name.
    """
    file, modules = LIBRARY.parent / "scripts" / f"{script}.py", sorted(set(modules))
    files = closure([file, *(path for module in modules for path in module_files(module))])
    return {"script": script, "modules": modules, "digest": code_digest(files, script in TRACKING_SCRIPTS)}


def require_code(code: dict[str, Any], planned_s: float) -> None:
    """Raise CodeError if the code of a job has changed since its run was planned: its digest would be another's.

    code: of `job_code`. planned_s: when the run was planned, in seconds of the clock. The digest is computed again if
    any file is newer.
    """
    is_newer = any(path.stat().st_mtime >= planned_s for path in LIBRARY.parent.rglob("*.py"))
    if is_newer and job_code(code["script"], code["modules"])["digest"] != code["digest"]:
        raise CodeError("the code of this job has changed since the run began; start it again")


def code_digest(files: Iterable[Path], with_reports: bool = False) -> str:
    """Return the SHA-256 of names and content of library files.

    Names are relative to the folder of the library. with_reports: whether those of `ONLY_REPORT` count.
    """
    paths = {path.relative_to(LIBRARY.parent).as_posix(): path for path in sorted(file.resolve() for file in files)}
    return digest({name: file_digest(path) for name, path in paths.items() if with_reports or name not in ONLY_REPORT})


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value; the order of keys does not matter, other types count as their text."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def environment() -> dict[str, str]:
    """Return the versions of Python, of the platform and of the packages that can change a number."""
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
    """Return the commit of the code; `unknown` outside a git checkout.

    `+changes` follows if files differ from it or the folders of the code have others.
    """

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(LIBRARY), *arguments], capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()

    try:
        head = git("rev-parse", "--short=12", "HEAD")
        changes = git("status", "--porcelain", "--untracked-files=no")
        changes = changes or git("status", "--porcelain", "--", ":/workflow", ":/rules")
        return head + ("+changes" if changes else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def write_json(path: Path, value: Any) -> None:
    """Write JSON under a temporary name and rename it, so that a killed job leaves no partial file."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, default=str) + "\n")


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Write UTF-8 text, or its parts one after the other, under a temporary name and rename it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines([text] if isinstance(text, str) else text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
