"""Features: front ends, which turn samples into frames, and tables of numbers about recordings and cases.

A front end is a `FrontEnd`: a name with its settings. Each family of front ends is a file in `front_ends/`, which has

- `Settings`, a pydantic model, and `PRESETS`: the default settings by name of a front end,
- `compute(samples, rate_hz, settings)`: `(channels, n)` samples to `(frames, channels, bands)` float32,
- `frames_per_second(settings)`, and `pad_value(settings)`: the value of frames after the end of a short recording,
- perhaps `has_scalars(settings)`: whether the last channel holds numbers about the recording, the same in every frame,
- perhaps `complete(settings)`: settings with the digest of a file that they name; raises ValueError without the file.

A new file in that folder is a new family; the files are not listed anywhere else.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the rules import this package, so numpy and pydantic are loaded with the first front end
    import numpy as np
    from pydantic import BaseModel

# tables of numbers about recordings, each computed by the module of its name
TABLES = ("statistics", "descriptors", "adventitious")


@dataclass(frozen=True)
class FrontEnd:
    """A front end: its name, and its complete settings (the `Settings` of its family)."""

    name: str
    settings: BaseModel

    def compute(self, samples: np.ndarray, rate_hz: int) -> np.ndarray:
        """Return frames (frames, channels, bands) float32 of samples (channels, n).

        Raises ValueError for samples or a rate that the front end cannot process.
        """
        return _families()[self.name].compute(samples, rate_hz, self.settings)

    @property
    def frames_per_second(self) -> float:
        """Frames per second of recording, in Hz."""
        return _families()[self.name].frames_per_second(self.settings)

    @property
    def frame_s(self) -> float:
        """Length of a frame in seconds: the window, or the step to the next frame if there is no window."""
        return getattr(self.settings, "window_s", 1 / self.frames_per_second)

    @property
    def pad_value(self) -> float:
        """Value of the frames after the end of a recording that is shorter than a segment."""
        return _families()[self.name].pad_value(self.settings)

    @property
    def has_scalars(self) -> bool:
        """Whether the last channel holds numbers about the recording, which augmentation must not hide."""
        family = _families()[self.name]
        return family.has_scalars(self.settings) if hasattr(family, "has_scalars") else False


def names() -> list[str]:
    """Return the names of the front ends."""
    return sorted(_families())


def front_end(name: str, settings: Mapping[str, Any]) -> FrontEnd:
    """Return the front end `name`; `settings` replace those of its preset.

    Raises KeyError for an unknown name and pydantic's ValidationError for wrong settings.
    """
    default = preset(name)
    return FrontEnd(name, type(default).model_validate({**default.model_dump(), **settings}))


def preset(name: str) -> BaseModel:
    """Return the default settings of the front end `name`, of the type `Settings` of its family. Raises KeyError."""
    return _families()[name].PRESETS[name]


def completed(name: str, settings: BaseModel) -> BaseModel:
    """Return the settings of the front end `name` with the digests of the files that they name. Raises ValueError."""
    family = _families()[name]
    return family.complete(settings) if hasattr(family, "complete") else settings


def module_of(name: str) -> str:
    """Return the dotted name of the module that computes the front end `name`. Raises KeyError."""
    return _families()[name].__name__


@cache
def _families() -> dict[str, ModuleType]:
    """Return the module of each front end by name. Raises ValueError for an unfit file."""
    folder = Path(__file__).parent / "front_ends"
    stems = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    families: dict[str, ModuleType] = {}
    for stem in stems:
        module = importlib.import_module(f"auscult.features.front_ends.{stem}")
        if not isinstance(getattr(module, "PRESETS", None), Mapping):
            raise ValueError(f"{module.__file__}: needs PRESETS, default settings by name of a front end")
        for name in module.PRESETS:
            if name in families:
                raise ValueError(f"{module.__file__}: the front end {name!r} is in {families[name].__file__} already")
            families[name] = module
    return families
