"""What the WFDB header beside an audio file states of it; the audio itself is read from its own file."""

from __future__ import annotations

from pathlib import Path

from auscult.datasets.tables import is_count, read_text
from auscult.datasets.walk import is_file


def stated_length(path: Path, recording: str, quality: list[tuple[str, str, str, str]]) -> dict[str, int]:
    """Return `header_rate_hz` and `header_frames`, as line 1 of a header states them.

    A header that is missing or does not state them gives {}, and a row in `quality`.
    """
    if not is_file(path):
        quality.append((recording, "header", "kept", f"{path.name} is not there"))
        return {}
    first = read_text(path).splitlines()[:1]
    parts = first[0].split() if first else []
    if len(parts) < 4 or not is_count(parts[2]) or not is_count(parts[3]):
        quality.append((recording, "header", "kept", f"{path.name}: line 1 is not `record signals rate samples`"))
        return {}
    return {"header_rate_hz": int(parts[2]), "header_frames": int(parts[3])}
