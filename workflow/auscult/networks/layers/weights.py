"""Weights learnt elsewhere: nothing is loaded unless every name and shape fits."""

import torch


def refuse_misfits(given: dict[str, torch.Tensor], mine: dict[str, torch.Tensor], also: tuple[str, ...] = ()) -> None:
    """Raise ValueError where `given` lacks one of `mine`, has another or another shape; `also`: faults known before."""
    problems = [*also, *(f"{key} is missing" for key in sorted(mine.keys() - given.keys()))]
    problems += [f"{key} is not known" for key in sorted(given.keys() - mine.keys())]
    problems += [
        f"{key} has shape {tuple(given[key].shape)}, not {tuple(mine[key].shape)}"
        for key in sorted(mine.keys() & given.keys())
        if given[key].shape != mine[key].shape
    ]
    if problems:
        raise ValueError(f"weights of another network: {'; '.join(problems[:5])} ({len(problems)} in all)")
