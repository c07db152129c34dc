"""Words from a running job: lines into its log, and a bar on the terminal when there is one."""

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
    """One line into the log of the job."""
    print(message, file=sys.stderr, flush=True)


def log_to(path: str | Path) -> None:
    """Send everything that this process prints to `path`; bars still go to the terminal that it was started from."""
    global _terminal
    if os.isatty(2):
        _terminal = os.fdopen(os.dup(2), "w")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[..., None]]:
    """Gives `tell(done)`: a bar on the terminal, and a line in the log every ten seconds."""
    started = told = time.monotonic()
    bar = None
    if _terminal:
        from rich.console import Console
        from rich.progress import Progress

        bar = Progress(console=Console(file=_terminal), transient=True)
        bar.start()
        row = bar.add_task(what, total=total)

    def tell(done: float) -> None:
        nonlocal told
        now = time.monotonic()
        if bar:
            bar.update(row, completed=done, description=what)
        if now - told >= EVERY_S:
            told = now
            left = (now - started) / max(done, 1e-3) * (total - done)
            note(f"{what}: {done:.4g} of {total} ({now - started:.0f} s, about {left:.0f} s left)")

    try:
        yield tell
    finally:
        if bar:
            bar.stop()
