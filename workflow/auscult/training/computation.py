"""What a network is computed with: versions of libraries, the kind of device and the precision that acts."""

from __future__ import annotations

from importlib import metadata

from auscult.cache.store import versions


def computation(precision: str) -> dict[str, str]:
    """Return what a result depends on besides its inputs and code; jobs add it to their digests.

    `torch`, `numpy` and those that compute the features: versions without the patch number, which changes no result on
    purpose. `device`: `cpu` or `cuda`. `precision`: `float32` or `bfloat16`, the latter only where the setting asks for
    it and the device supports it.
    """
    # torch takes seconds to load: not where its build tells all
    if "+cpu" in metadata.version("torch") and precision == "float32":
        return {**versions(), "device": "cpu", "precision": precision}
    import torch

    from auscult.training.device import precision as acting_precision

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {**versions(), "device": device.type, "precision": acting_precision(device, precision)}
