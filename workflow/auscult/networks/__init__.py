"""Networks: one family per file.

A network is a file in this folder with

- `Options`: a pydantic model of its sizes and switches, and
- `build(options, inputs, outputs)`, which returns a `torch.nn.Module` for inputs `(channels, frames, bands)`. The
  module maps a batch `(batch, channels, frames, bands)` to `(logits, latents)` of shapes `(batch, outputs)` and
  `(batch, any)`.

If the network can start from pretrained weights, the file also has `load_pretrained(network, weights)`, which raises
ValueError for weights that do not fit. A network with a submodule `maps` that returns feature maps
`(batch, channels, frames, bands)` can be explained by Grad-CAM; if the last axis has the channels of the window in
place of bands, the network has `maps_have_channels = True`. A network with attention has a method
`attended(x, output)`, which returns weights `(batch, frames, bands)` at its own resolution; they are shown instead. A
network with a term of its own in the loss has a method `extra_loss(latents)`, which returns a scalar for a batch.

A network that reads cases has `READS_CASES = True` in its file and gets windows of cases (`segment.of: case`). The last
values of their frames are marks, see `training.case_frames`; `build(options, inputs, outputs, marks)` gets how many.

The parts named in `HEAD` are the head, all others are the encoder: what a pre-training trains, and `frozen` freezes.
"""

import importlib
import pickle
from pathlib import Path
from typing import Any

HEAD = ("head", "norm", "drop", "projector")
"""Names of the parts of a network that are not in its encoder."""


READ_ERRORS = (OSError, RuntimeError, ValueError, EOFError, LookupError, AttributeError, TypeError)


class WeightsError(Exception):
    """A file of weights cannot be read, or does not fit the network."""


def names() -> list[str]:
    """Return the names of the networks."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")


def build(name: str, options: dict[str, Any], inputs: tuple[int, int, int], outputs: int, marks: int = 1) -> Any:
    """Return the network `name` for inputs `(channels, frames, bands)` and a number of output columns.

    marks: how many of the bands are marks, for a network that reads cases; for others it has no meaning.
    """
    module = importlib.import_module(f"auscult.networks.{name}")
    of_cases = [marks] if getattr(module, "READS_CASES", False) else []
    return module.build(module.Options.model_validate(options), inputs, outputs, *of_cases)


def multiply_adds(network: Any, inputs: tuple[int, int, int]) -> int:
    """Return the multiply-adds of one window `(channels, frames, bands)`, of matrix products and convolutions only."""
    # torch takes seconds to load, and the rules import this package
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    training, counter = network.training, FlopCounterMode(display=False)
    network.eval()
    device = next(network.parameters()).device
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:  # attention as matrix products, which are counted
        network(torch.zeros((1, *inputs), device=device))
    network.train(training)
    return counter.get_total_flops() // 2


def is_encoder(key: str) -> bool:
    """Whether a parameter or part of a network, by its dotted name, belongs to the encoder."""
    return key.split(".")[0] not in HEAD


def load_encoder(network: Any, file: Path) -> None:
    """Load the encoder that a pre-training wrote; the head keeps its weights. Raises WeightsError for another one."""
    from safetensors.torch import load_file  # late, as torch above

    from auscult.networks.layers.weights import refuse_misfits

    own = network.state_dict()
    weights = {key: value for key, value in load_file(file).items() if is_encoder(key)}
    try:
        refuse_misfits(weights, {key: value for key, value in own.items() if is_encoder(key)})
    except ValueError as error:
        raise WeightsError(
            f"{file}: {error}: give the system the network.options and segment.seconds of its pre-training"
        ) from error
    network.load_state_dict(own | weights)


def load_pretrained(name: str, network: Any, file: Path) -> None:
    """Load the weights of a .safetensors or .pth file into `network`. Raises WeightsError."""
    import torch  # here for the same reason
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        is_safe = file.suffix.lower() == ".safetensors"
        weights = load_file(file) if is_safe else torch.load(file, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # its message advises to run code from the file
        raise WeightsError(
            f"{file}: not readable as weights: it is damaged, or contains other things than tensors; save the "
            "named tensors alone, best as .safetensors"
        ) from error
    # torch raises almost anything for a file that is something else, such as an empty one or a text
    except (*READ_ERRORS, SafetensorError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise WeightsError(f"{file}: not readable as weights: {reason}") from error
    for key in ("model", "state_dict"):  # keys under which training scripts store the weights
        weights = weights.get(key, weights) if isinstance(weights, dict) else weights
    if not isinstance(weights, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in weights.items()
    ):
        raise WeightsError(f"{file}: contains something other than named tensors")
    try:
        importlib.import_module(f"auscult.networks.{name}").load_pretrained(network, weights)
    except (ValueError, RuntimeError) as error:  # RuntimeError: of tensors that cannot be computed with
        raise WeightsError(f"{file}: {error}") from error
