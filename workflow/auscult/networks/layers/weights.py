"""Pretrained weights: they are loaded only if every name and shape fits."""

import torch


def refuse_misfits(
    weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], problems: tuple[str, ...] = ()
) -> None:
    """Raise ValueError if names or shapes of `weights` differ from those of `expected`, or if there are `problems`."""
    problems = [*problems, *(f"{key} is missing" for key in sorted(expected.keys() - weights.keys()))]
    problems += [f"{key} is not known" for key in sorted(weights.keys() - expected.keys())]
    problems += [
        f"{key} has shape {tuple(weights[key].shape)}, not {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & weights.keys())
        if weights[key].shape != expected[key].shape
    ]
    if problems:
        raise ValueError(f"weights of another network: {'; '.join(problems[:5])} ({len(problems)} in all)")
