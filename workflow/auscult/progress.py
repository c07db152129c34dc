"""Log lines of running jobs, and a progress bar if there is a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

EVERY_S = 10.0
_terminal = None


def note(message: str) -> None:
    """Write one line into the log of the job."""
    print(message, file=sys.stderr, flush=True)


def log_to(path: str | Path) -> None:
    """Redirect all output of this process to the file `path`; progress bars stay on the terminal."""
    global _terminal
    if os.isatty(2):
        _terminal = os.fdopen(os.dup(2), "w")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[..., None]]:
    """Yield `update(done)`, which moves a bar on the terminal and writes a line into the log every ten seconds."""
    start_s = last_line_s = time.monotonic()
    bar = None
    if _terminal:
        from rich.console import Console
        from rich.progress import Progress

        bar = Progress(console=Console(file=_terminal), transient=True)
        bar.start()
        row = bar.add_task(description, total=total)

    def update(count: float) -> None:
        nonlocal last_line_s
        now = time.monotonic()
        if bar:
            bar.update(row, completed=count, description=description)
        if now - last_line_s >= EVERY_S:
            last_line_s = now
            remaining_s = (now - start_s) / max(count, 1e-3) * (total - count)
            note(f"{description}: {count:.4g} of {total} ({now - start_s:.0f} s, about {remaining_s:.0f} s left)")

    try:
        yield update
    finally:
        if bar:
            bar.stop()
