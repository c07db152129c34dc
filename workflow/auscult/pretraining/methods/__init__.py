"""Methods of pre-training: one per file.

A method is a file in this folder with `Options`, a pydantic model of its settings, and one of

- `build(options, network, inputs)`, which returns a `torch.nn.Module` with the weights that only the pre-training
  needs, such as a decoder, for windows of `inputs` (channels, frames, bands). It raises ValueError for a network that
  the method does not fit. The module maps `(network, forward, x, subjects, generator)` to the loss of a batch, a
  scalar: `x` are windows (batch, channels, frames, bands), `subjects` (batch, 1) the numbers of their subjects, and
  `forward` is the network's forward pass, which a method need not use.
- `check(heads, targets)`, of a method whose options have `heads`, labels of other data sets to learn: it raises
  ValueError for targets (recordings, outputs) that teach nothing. The loss is that of a training on labels. A method
  with `build` may have `check` too; its targets (recordings, 1) are the numbers of the subjects.

A method whose loss depends on `subjects` sets `CONTRASTS_SUBJECTS`: no windows of two recordings are mixed for it.

A method does not know a network by its name. It uses the parts that its own file names.
"""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any


def names() -> list[str]:
    """Return the names of the methods."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")


def module(name: str) -> ModuleType:
    """Return the module of the method `name`."""
    return importlib.import_module(f"{__name__}.{name}")


def heads(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the heads by name whose labels a method learns; {} for one that learns without labels."""
    return getattr(module(name).Options.model_validate(options), "heads", {})
