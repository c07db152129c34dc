"""Features: front ends (samples to frames), and numbers that describe a recording or a case.

A front end lives in a module listed in `FRONT_ENDS`, which has

- `Settings`, a pydantic model, and `PRESETS`, named defaults of it,
- `compute(samples, rate_hz, settings)`: `(channels, n)` samples to `(frames, channels, bands)` float32,
- `frames_per_second(settings)`, and `pad_value(settings)`: what stands after the end of a short recording.
"""

import importlib
from typing import Any

FRONT_ENDS = ("logmel", "samples", "fbank", "planes9")
TABLES = ("statistics", "descriptors", "adventitious")  # numbers about every recording, each in the module of its name


def names() -> list[str]:
    """Names of the front ends."""
    return sorted(
        name for module in FRONT_ENDS for name in importlib.import_module(f"auscult.features.{module}").PRESETS
    )


def front_end(name: str) -> tuple[Any, Any]:
    """Module and default settings of the front end `name`."""
    for module in FRONT_ENDS:
        loaded = importlib.import_module(f"auscult.features.{module}")
        if name in loaded.PRESETS:
            return loaded, loaded.PRESETS[name]
    raise KeyError(name)
