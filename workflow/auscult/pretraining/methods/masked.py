"""Masked patches: tell the values of patches that the encoder did not see from those that it saw.

After ST-MEM (Na et al., ICLR 2024) for leads, and masked autoencoders (He et al. 2022) for one image: in each group of
patches the same share is masked, the encoder reads the others of all groups together, and a small decoder rebuilds each
group by itself. The loss is the mean square over the masked patches, whose values are normalised patch by patch. A
network needs `patched` and `encode`, see `networks/layers/patches.py`.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn

from auscult.networks.layers.encoder import Encoder, sine_positions
from auscult.networks.layers.patches import Patches


class Options(BaseModel):
    """The mask and the decoder; the defaults are ST-MEM's."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ratio: float = Field(default=0.75, gt=0, lt=1, description="Share of the patches that are masked.")
    width: PositiveInt = Field(default=256, description="Dimensions of the decoder's tokens, even.")
    depth: PositiveInt = Field(default=4, description="Blocks of the decoder.")
    attention_heads: PositiveInt = 4
    norm_values: bool = Field(default=True, description="Rebuild the values of a patch relative to their own spread.")

    @model_validator(mode="after")
    def _divides(self) -> Options:
        if self.width % self.attention_heads or self.width % 2:
            raise ValueError(f"width: {self.width} must be even and a multiple of attention_heads")
        return self


class Rebuilder(nn.Module):
    """A decoder of each group: encoded tokens and mask tokens to the values of all patches."""

    def __init__(self, options: Options, width: int, values: int) -> None:
        super().__init__()
        self.ratio, self.norm_values = options.ratio, options.norm_values
        self.narrow = nn.Linear(width, options.width)
        self.mask_token = nn.Parameter(torch.zeros(options.width))
        self.blocks = Encoder(options.width, options.depth, options.attention_heads, 4)
        self.norm = nn.LayerNorm(options.width)
        self.rebuild = nn.Linear(options.width, values)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(
        self, network: nn.Module, forward: object, x: torch.Tensor, subjects: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Mean square over the masked patches, a scalar; 1 for zeros where values are normalised."""
        patches = network.patched(x)
        order = self.draw_order(patches, generator)
        rebuilt = self.rebuilt(network, patches, order).float()
        square = ((rebuilt - self.targets(patches.values)) ** 2).mean(dim=3)
        is_masked = torch.ones_like(square).scatter(2, order[..., : self.visible(square.shape[2])], 0.0)
        return (square * is_masked).sum() / is_masked.sum()

    def visible(self, count: int) -> int:
        """How many of the patches of a group are not masked; at least one."""
        return max(1, int(count * (1 - self.ratio)))

    def draw_order(self, patches: Patches, generator: torch.Generator) -> torch.Tensor:
        """A random order of the patches of each group (batch, groups, patches): the first ones are not masked."""
        return torch.rand(patches.tokens.shape[:3], generator=generator).argsort(dim=2).to(patches.tokens.device)

    def targets(self, values: torch.Tensor) -> torch.Tensor:
        """What is to be rebuilt of values (…, patches, values), without a gradient."""
        values = values.detach().float()
        if not self.norm_values:
            return values
        spread = values.std(dim=-1, keepdim=True, correction=0)
        return (values - values.mean(dim=-1, keepdim=True)) / (spread + 1e-6)

    def rebuilt(self, network: nn.Module, patches: Patches, order: torch.Tensor) -> torch.Tensor:
        """Values (batch, groups, patches, values) from the patches that are not masked."""
        visible_places = order[..., : self.visible(order.shape[2])]
        tokens = patches.tokens.gather(2, visible_places[..., None].expand(-1, -1, -1, patches.tokens.shape[3]))
        visible_tokens = torch.cat([patches.first, tokens], dim=2)
        codes = network.encode(visible_tokens.flatten(1, 2)).unflatten(1, visible_tokens.shape[1:3])
        return self.decode(self.narrow(codes), visible_places, order.shape[2])

    def decode(self, codes: torch.Tensor, visible_places: torch.Tensor, count: int) -> torch.Tensor:
        """Each group by itself: encoded tokens (batch, groups, first and kept, width) to values of all patches."""
        width, more = codes.shape[3], codes.shape[2] - visible_places.shape[2]
        tokens = self.mask_token.expand(*visible_places.shape[:2], count, width)
        tokens = tokens.scatter(
            2, visible_places[..., None].expand(-1, -1, -1, width), codes[:, :, more:].to(tokens.dtype)
        )
        tokens = tokens + sine_positions(count, width, tokens.device)
        every = torch.cat([codes[:, :, :more].to(tokens.dtype), tokens], dim=2)
        features = self.norm(self.blocks(every.flatten(0, 1))[:, more:])
        return self.rebuild(features).unflatten(0, visible_places.shape[:2])


def build(options: Options, network: nn.Module, inputs: tuple[int, int, int]) -> Rebuilder:
    """Return the decoder for a network. Raises ValueError."""
    if not hasattr(network, "patched"):
        raise ValueError("has no patches to mask; ast, pretrained_vit and st_mem have")
    with torch.no_grad():
        patches = network.patched(torch.zeros(1, *inputs))
    if patches.tokens.shape[2] < 2:
        raise ValueError("a window has one patch: take longer windows (segment.seconds) or smaller patches")
    return Rebuilder(options, patches.tokens.shape[3], patches.values.shape[3])
