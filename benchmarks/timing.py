"""Timing: sides take turns, so that a noisy machine slows all of them alike; medians with their spread."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, by whom, how much, and what was wanted."""

    what: str
    side: str
    median: float
    text: str
    target: str = ""
    met: bool | None = None


def take_turns(sides: dict[str, Callable[[], object]], repetitions: int, wall: bool = False) -> dict[str, np.ndarray]:
    """Seconds of every side (repetitions,), one after the other in each repetition, after one that is not counted.

    Seconds of this process's processor time, or, with `wall`, of the clock.
    """
    clock = time.perf_counter if wall else time.process_time
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(repetitions + 1):
        for name, side in sides.items():
            gc.collect()
            started = clock()
            side()
            if number:
                found[name].append(clock() - started)
    return {name: np.array(times) for name, times in found.items()}


def row(
    what: str, side: str, values: np.ndarray, unit: str, target: str = "", met: Callable[[float], bool] | None = None
) -> Row:
    """Median and range of repetitions; `met` says of the median whether the target is met."""
    median = float(np.median(values))
    spread = f" ({number(values.min())}–{number(values.max())})" if len(values) > 1 else ""
    return Row(what, side, median, f"{number(median)}{spread} {unit}", target, met(median) if met else None)


def series(what: str, side: str, values: np.ndarray, unit: str, target: str, met: Callable[[float], bool]) -> Row:
    """Values from the smallest to the largest size; `met` is asked of the last over the first."""
    growth = float(values[-1] / values[0])
    return Row(what, side, growth, f"{', '.join(map(number, values))} {unit}", target, met(growth))


def number(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
