"""CLOCS: views of one patient have similar embeddings, and those of different patients do not.

After Kiyasseh, Zhu and Clifton (ICML 2021). The views are the two halves of each channel of a window (`cmsc`, over
time), its channels (`cmlc`, over leads), or the channels of both halves (`cmsmlc`). The loss is the mean over all pairs
of views. The published code keeps only the last pair of each batch, divided by the number of pairs; with two views both
are the same.
A network needs `embeddings`, as `networks/clocs.py` has it.
"""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat
from torch import nn
from torch.nn import functional

from auscult.config.systems import Head

CONTRASTS_SUBJECTS = True  # a mixed window is of no one subject


class Options(BaseModel):
    """The views, and the published temperature."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    views: Literal["cmsc", "cmlc", "cmsmlc"] = Field(
        default="cmsmlc",
        description="Both halves of each channel of a window, its channels, or the channels of both halves.",
    )
    temperature: PositiveFloat = 0.1


class Contrast(nn.Module):
    """The contrast of all views of a batch; it has no weights of its own."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.views, self.temperature = options.views, options.temperature

    def forward(
        self, network: nn.Module, forward: object, x: torch.Tensor, subjects: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Mean loss of all pairs of views, a scalar; 0 for windows of one subject alone, as a small last batch has."""
        views = self.embeddings_of_views(network, x)
        if (subjects == subjects[0]).all():
            return 0 * views.sum()
        pairs = list(combinations(range(len(views)), 2))
        if self.views == "cmsc":  # the same channel in both halves
            half = len(views) // 2
            pairs = [(channel, half + channel) for channel in range(half)]
        return torch.stack([self.of_pair(views[a], views[b], subjects[:, 0]) for a, b in pairs]).mean()

    def embeddings_of_views(self, network: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bands) to (views, batch, embedding)."""
        half = x.shape[2] // 2
        parts = [x] if self.views == "cmlc" else [x[:, :, :half], x[:, :, half : 2 * half]]
        return torch.cat([network.embeddings(part).float().transpose(0, 1) for part in parts])

    def of_pair(self, a: torch.Tensor, b: torch.Tensor, subjects: torch.Tensor) -> torch.Tensor:
        """Loss of two views (batch, embedding) of windows of these subjects (batch,), a scalar.

        The mean of up to four cross-entropies: of the own window in its row and in its column, and of other windows of
        the same subject, above the diagonal by rows and below it by columns, where there are any.
        """
        scores = functional.normalize(a, dim=1) @ functional.normalize(b, dim=1).T / self.temperature
        by_row, by_column = -functional.log_softmax(scores, dim=1), -functional.log_softmax(scores, dim=0)
        same = subjects[:, None] == subjects[None, :]
        terms = [by_row.diagonal().mean(), by_column.diagonal().mean()]
        for losses, mask in ((by_row, same.triu(1)), (by_column, same.tril(-1))):
            if mask.any():
                terms.append(losses[mask].mean())
        return torch.stack(terms).mean()


def check(heads: dict[str, Head], subjects: np.ndarray) -> None:
    """Raise ValueError for recordings of a single subject. subjects: (recordings, 1)."""
    if len(np.unique(subjects)) < 2:
        raise ValueError("all recordings are of one subject; the method contrasts different ones")


def build(options: Options, network: nn.Module, inputs: tuple[int, int, int]) -> Contrast:
    """Return the contrast for a network. Raises ValueError."""
    if not hasattr(network, "embeddings"):
        raise ValueError("has no embeddings of channels to contrast; clocs has")
    network.eval()
    with torch.no_grad():
        channels = network.embeddings(torch.zeros(1, *inputs)).shape[1]
    network.train()
    if options.views != "cmsc" and channels < 2:
        raise ValueError(f"views {options.views} contrast channels, and there is one: take `cmsc`")
    if options.views != "cmlc" and inputs[1] < 2:
        raise ValueError("a window of one frame has no halves: take longer windows (segment.seconds)")
    return Contrast(options)
