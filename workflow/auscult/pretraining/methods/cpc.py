"""Contrastive predictive coding: from the context of a frame, tell the code some frames ahead from other codes.

After the authors' code of Mehari and Strodthoff 2022 for ECGs (van den Oord et al. 2018): only one step is predicted,
`ahead` frames on, and the other codes are drawn from the same window. Other than published, the loss is the mean over
the frames, not their sum. A network needs `encode` and `context`, as `networks/cpc.py` has them.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import nn
from torch.nn import functional


class Options(BaseModel):
    """The published settings for ECGs at 100 Hz."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ahead: PositiveInt = Field(default=12, description="Codes between a context and the code that it predicts.")
    negatives: PositiveInt = Field(default=128, description="Other codes of the window, drawn for each context.")


class Predictor(nn.Module):
    """A linear prediction of codes from contexts."""

    def __init__(self, options: Options, width: int, hidden: int) -> None:
        super().__init__()
        self.ahead, self.negatives = options.ahead, options.negatives
        self.predict = nn.Linear(hidden, width, bias=False)

    def draw_negatives(self, windows: int, codes: int, generator: torch.Generator) -> torch.Tensor:
        """Places (windows, contexts, negatives) of the other codes; never that of the context's own code."""
        contexts = codes - self.ahead
        other = torch.randint(codes - 1, (windows, contexts, self.negatives), generator=generator)
        own = torch.arange(self.ahead, codes)[None, :, None]
        return other + (other >= own).long()

    def forward(
        self, network: nn.Module, forward: object, x: torch.Tensor, subjects: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """The mean cross-entropy of recognising the own code, a scalar: log(1 + negatives) by chance."""
        codes = network.encode(x).float()
        windows, count, _ = codes.shape
        predictions = self.predict(network.context(codes)[:, : count - self.ahead].float())
        places = self.draw_negatives(windows, count, generator).to(codes.device)
        row = torch.arange(windows, device=codes.device)[:, None, None]
        own = (predictions * codes[:, self.ahead :]).sum(dim=2, keepdim=True)
        # the scores of all pairs of a window, of which the drawn ones are taken: (windows, contexts, codes)
        scores = predictions @ codes.transpose(1, 2)
        other = scores[row, torch.arange(count - self.ahead, device=codes.device)[:, None], places]
        logits = torch.cat([own, other], dim=2).flatten(0, 1)
        return functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


def build(options: Options, network: nn.Module, inputs: tuple[int, int, int]) -> Predictor:
    """Return the predictor for a network. Raises ValueError."""
    if not hasattr(network, "encode") or not hasattr(network, "context"):
        raise ValueError("has no codes and contexts to predict; cpc has")
    network.eval()
    with torch.no_grad():
        codes = network.encode(torch.zeros(1, *inputs))
        contexts = network.context(codes)
    network.train()
    if codes.shape[1] <= options.ahead:
        raise ValueError(
            f"a window has {codes.shape[1]} codes, too few to predict {options.ahead} codes ahead: take longer windows "
            "(segment.seconds), or a smaller `ahead`"
        )
    return Predictor(options, codes.shape[2], contexts.shape[2])
