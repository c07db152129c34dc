"""Methods of pre-training: one per file.

A method is a file in this folder with

- `Options`: a pydantic model of its settings, and
- `build(options, network, inputs)`, which returns a `torch.nn.Module` with the weights that only the pre-training
  needs, such as a decoder, for windows of `inputs` (channels, frames, bands). It raises ValueError for a network that
  the method does not fit. The module maps `(network, forward, x, subjects, generator)` to the loss of a batch, a
  scalar: `x` are windows (batch, channels, frames, bands), `subjects` (batch, 1) the numbers of their subjects, and
  `forward` is the network's forward pass, which a method need not use.

A method does not know a network by its name. It uses the parts that its own file names.
"""

from pathlib import Path


def names() -> list[str]:
    """Return the names of the methods."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")
