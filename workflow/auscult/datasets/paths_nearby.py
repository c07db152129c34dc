"""A file that is nearly at a path that a table names: written with backslashes, in another case or Unicode form."""

from __future__ import annotations

import unicodedata
from pathlib import Path


def nearby(root: Path, path: str) -> str | None:
    """The path below `root` of a file whose name differs from `path` in writing only, or None."""
    folder, parts = root, []
    for part in path.replace("\\", "/").split("/"):
        if part in ("", "."):
            continue
        if not folder.is_dir():
            return None
        names = [entry.name for entry in folder.iterdir() if _plain(entry.name) == _plain(part)]
        if not names:
            return None
        parts.append(part if part in names else min(names))
        folder = folder / parts[-1]
    return "/".join(parts) if folder.is_file() else None


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()
