"""Pretrained weights: they are loaded only if every name and shape fits, and every value is one of a weight."""

import torch


def refuse_misfits(
    weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], problems: tuple[str, ...] = ()
) -> None:
    """Raise ValueError if names or shapes of `weights` differ from those of `expected`, or if there are `problems`.

    Also for values that no weight has: NaN, infinity, whole numbers where fractions belong, a negative variance.
    """
    problems = [*problems, *(f"{key} is missing" for key in sorted(expected.keys() - weights.keys()))]
    problems += [f"{key} is not known" for key in sorted(weights.keys() - expected.keys())]
    problems += [
        f"{key} has shape {tuple(weights[key].shape)}, not {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & weights.keys())
        if weights[key].shape != expected[key].shape
    ]
    if problems:
        raise ValueError(f"weights of another network: {'; '.join(problems[:5])} ({len(problems)} in all)")
    for key, value in weights.items():
        if expected[key].is_floating_point() and not _is_weight(key, value):
            raise ValueError(f"{key} has values that a weight cannot have, as NaN, whole numbers or too large ones")


def _is_weight(key: str, value: torch.Tensor) -> bool:
    if value.layout != torch.strided or value.is_quantized or value.is_meta or not value.is_floating_point():
        return False
    is_variance = key.endswith("running_var")
    return bool(torch.isfinite(value.float()).all()) and not (is_variance and bool((value < 0).any()))
