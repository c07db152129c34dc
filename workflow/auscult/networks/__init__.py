"""Networks: one family per file.

A network is a file here with

- `Options`: a pydantic model of its sizes and switches, and
- `build(options, inputs, outputs)`: a `torch.nn.Module` for inputs of `(channels, frames, bands)` that maps a batch
  `(batch, channels, frames, bands)` to `(logits, latents)` of shapes `(batch, outputs)` and `(batch, any)`.
"""

import importlib
from pathlib import Path
from typing import Any


def names() -> list[str]:
    """Names of the networks."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")


def build(name: str, options: dict[str, Any], inputs: tuple[int, int, int], outputs: int) -> Any:
    """The network `name` with its options, for inputs `(channels, frames, bands)` and a number of output columns."""
    module = importlib.import_module(f"auscult.networks.{name}")
    return module.build(module.Options.model_validate(options), inputs, outputs)
