"""Features: front ends (samples to frames), and numbers that describe a recording or a case.

A front end is a `FrontEnd`: a name with its settings. Each family of front ends is a file in `front_ends/`, which has

- `Settings`, a pydantic model, and `PRESETS`: the default settings by name of a front end,
- `compute(samples, rate_hz, settings)`: `(channels, n)` samples to `(frames, channels, bands)` float32,
- `frames_per_second(settings)`, and `pad_value(settings)`: what stands after the end of a short recording.

A new file there is a new front end; there is no list of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the rules import this package: numpy and pydantic load with the first front end
    import numpy as np
    from pydantic import BaseModel

TABLES = ("statistics", "descriptors", "adventitious")  # numbers about every recording, each in the module of its name


@dataclass(frozen=True)
class FrontEnd:
    """A front end: its name, and its complete settings (the `Settings` of its family)."""

    name: str
    settings: BaseModel

    def compute(self, samples: np.ndarray, rate_hz: int) -> np.ndarray:
        """Samples (channels, n) to frames (frames, channels, bands) float32.

        Raises ValueError for samples or a rate that the front end cannot take.
        """
        return _families()[self.name].compute(samples, rate_hz, self.settings)

    @property
    def frames_per_second(self) -> float:
        """Frames per second of recording, in Hz."""
        return _families()[self.name].frames_per_second(self.settings)

    @property
    def frame_s(self) -> float:
        """Length of one frame in seconds: its window, or the step to the next frame where it has none."""
        return getattr(self.settings, "window_s", 1 / self.frames_per_second)

    @property
    def pad_value(self) -> float:
        """What stands after the end of a recording that is shorter than a window."""
        return _families()[self.name].pad_value(self.settings)


def names() -> list[str]:
    """Names of the front ends."""
    return sorted(_families())


def front_end(name: str, settings: Mapping[str, Any]) -> FrontEnd:
    """The front end `name`; `settings` replace those of its preset.

    Raises KeyError for an unknown name and pydantic's ValidationError for wrong settings.
    """
    default = preset(name)
    return FrontEnd(name, type(default).model_validate({**default.model_dump(), **settings}))


def preset(name: str) -> BaseModel:
    """Default settings of the front end `name`; their type is the model of its settings. Raises KeyError."""
    return _families()[name].PRESETS[name]


def module_of(name: str) -> str:
    """Dotted name of the module that computes the front end `name`. Raises KeyError."""
    return _families()[name].__name__


@cache
def _families() -> dict[str, ModuleType]:
    """The module of every front end by its name."""
    folder = Path(__file__).parent / "front_ends"
    stems = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    modules = [importlib.import_module(f"auscult.features.front_ends.{stem}") for stem in stems]
    return {name: module for module in modules for name in module.PRESETS}
