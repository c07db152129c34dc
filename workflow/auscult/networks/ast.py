"""The audio spectrogram transformer: overlapping patches, a class and a distillation token (Gong et al. 2021).

With the default options it is AST base: 12 blocks of 768 dimensions, patches of 16 by 16 with a stride of 10. Weights
have the names of the published code (`v.patch_embed.proj`, `v.cls_token`, `v.dist_token`, `v.pos_embed`, `v.blocks.N`,
`v.norm`). Patches can be mixed between windows before positions are added: see `training.patch_mix`.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.encoder import rollout
from auscult.networks.layers.patches import Patches
from auscult.networks.layers.weights import refuse_misfits
from auscult.networks.pretrained_vit import Block


class Options(BaseModel):
    """Sizes; the defaults are the published ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    patch: PositiveInt = Field(default=16, description="Frames and bands of a patch.")
    stride: PositiveInt = Field(default=10, description="Frames and bands from one patch to the next.")
    width: PositiveInt = Field(default=768, description="Dimensions of a token.")
    depth: PositiveInt = Field(default=12, description="Transformer blocks.")
    attention_heads: PositiveInt = 12
    dropout: float = Field(default=0.1, ge=0, lt=1, description="After each block's two parts, and before the head.")
    projector: bool = Field(default=False, description="Two layers that `training.patch_mix: contrast` needs.")
    weights_grid: tuple[PositiveInt, PositiveInt] = Field(
        default=(12, 101),
        description="Patches over bands and over time of the pretrained weights; default: AudioSet's.",
    )

    @model_validator(mode="after")
    def _divides(self) -> Options:
        if self.width % self.attention_heads:
            raise ValueError(f"width: {self.width} must be a multiple of attention_heads")
        return self


class Encoder(nn.Module):
    """(batch, channels, frames, bands) to class, distillation and patch tokens, normalised."""

    def __init__(self, options: Options, inputs: tuple[int, int, int]) -> None:
        super().__init__()
        channels, frames, bands = inputs
        self.patch, self.stride = options.patch, options.stride
        self.grid = (self._count(bands), self._count(frames))
        self.patch_embed = nn.ModuleDict(
            {"proj": nn.Conv2d(channels, options.width, options.patch, options.stride)}  # named as published
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, options.width))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, options.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 2 + self.grid[0] * self.grid[1], options.width))
        self.blocks = nn.Sequential(*(Block(options) for _ in range(options.depth)))
        self.norm = nn.LayerNorm(options.width, eps=1e-6)
        for token in (self.cls_token, self.dist_token, self.pos_embed):
            nn.init.trunc_normal_(token, std=0.02)

    def _count(self, size: int) -> int:
        return 1 + max(0, size - self.patch) // self.stride

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return patches (batch, patches, width) without positions, in rows of bands and columns of frames."""
        x = x.transpose(2, 3)
        short = [max(0, self.patch - size) for size in x.shape[2:]]
        x = self.patch_embed["proj"](functional.pad(x, (0, short[1], 0, short[0])))
        self.grid_of_input = tuple(x.shape[2:])
        return x.flatten(2).transpose(1, 2)

    def with_positions(self, patches: torch.Tensor) -> torch.Tensor:
        """Return tokens (batch, 2 + patches, width) before the first block: embedded patches with positions."""
        down, along = self.grid_of_input
        place = self.pos_embed[:, 2:].unflatten(1, self.grid)[:, :down, :along].flatten(1, 2)
        first = torch.cat([self.cls_token, self.dist_token], dim=1) + self.pos_embed[:, :2]
        return torch.cat([first.expand(len(patches), -1, -1), patches + place], dim=1)

    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return tokens (batch, any, width) after all blocks."""
        return self.norm(self.blocks(tokens))

    def values(self, x: torch.Tensor) -> torch.Tensor:
        """Return what each patch covers of the input (batch, patches, values), in the order of `embed`."""
        x = x.transpose(2, 3)
        short = [max(0, self.patch - size) for size in x.shape[2:]]
        x = functional.pad(x, (0, short[1], 0, short[0]))
        return functional.unfold(x, self.patch, stride=self.stride).transpose(1, 2)


class AST(nn.Module):
    """Encoder, mean of the two tokens, normalisation, dropout, one linear layer."""

    def __init__(self, options: Options, inputs: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        self.v = Encoder(options, inputs)
        self.weights_grid = options.weights_grid
        self.norm = nn.LayerNorm(options.width)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(options.width, outputs)
        self.projector = None
        if options.projector:
            width = options.width
            layers = (nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width))
            self.projector = nn.Sequential(*layers)

    @property
    def patches(self) -> int:
        """Number of patches of a window of full length."""
        return self.v.grid[0] * self.v.grid[1]

    def forward(
        self, x: torch.Tensor, order: torch.Tensor | None = None, is_mixed: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, width).

        With `order` (batch,) and a mask `is_mixed` (patches,), the masked patches come from the window number `order`.
        """
        patches = self.v.embed(x)
        if order is not None and is_mixed is not None:
            patches = torch.where(is_mixed[None, :, None], patches[order], patches)
        latents = self.encode(self.v.with_positions(patches))[:, :2].mean(dim=1)
        return self.head(self.drop(self.norm(latents))), latents

    def patched(self, x: torch.Tensor) -> Patches:
        """Patches of windows (batch, channels, frames, bands), in one group with both class tokens.

        Raises ValueError for patches that overlap: those beside a masked one would show it.
        """
        if self.v.stride < self.v.patch:
            raise ValueError("its patches overlap, so that none can be masked: set network.options.stride to `patch`")
        tokens = self.v.with_positions(self.v.embed(x))[:, None]
        return Patches(self.v.values(x)[:, None], tokens[:, :, 2:], tokens[:, :, :2])

    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, any, width) through all blocks."""
        return self.v.encode(tokens)

    def attended(self, x: torch.Tensor, output: int) -> torch.Tensor:
        """Return the attention of the two tokens to each patch: (batch, frames, bands) in patches, for any output.

        By `layers.encoder.rollout`.
        """
        tokens, weights = self.v.with_positions(self.v.embed(x)), []
        for block in self.v.blocks:
            weights.append(block.attn.attend(block.norm1(tokens))[1])
            tokens = block(tokens)
        return rollout(weights)[:, :2, 2:].mean(dim=1).unflatten(1, self.v.grid_of_input).transpose(1, 2)


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> AST:
    """Return the network for inputs (channels, frames, bands); windows may be shorter, not longer."""
    return AST(options, inputs, outputs)


def load_pretrained(network: AST, weights: dict[str, torch.Tensor]) -> None:
    """Load the weights of an encoder; the head keeps its initial weights. Raises ValueError.

    `weights` must contain every weight of the encoder in its shape, with or without the prefix `v.` (a file of DeiT
    has none). Filters for three image channels are summed for one input channel. Positions of another grid are
    interpolated over bands and over time.
    """
    encoder = network.v
    expected = encoder.state_dict()
    weights_by_name = {key.removeprefix("module.").removeprefix("v."): value for key, value in weights.items()}
    encoder_weights = {
        key: value
        for key, value in weights_by_name.items()
        if key.split(".")[0] in {key.split(".")[0] for key in expected}
    }
    problems: list[str] = []
    filters = encoder_weights.get("patch_embed.proj.weight")
    if (
        filters is not None
        and filters.ndim == 4
        and filters.shape[1] == 3
        and encoder.patch_embed["proj"].in_channels == 1
    ):
        encoder_weights["patch_embed.proj.weight"] = filters.sum(dim=1, keepdim=True)
    if "pos_embed" in encoder_weights and encoder_weights["pos_embed"].shape != expected["pos_embed"].shape:
        encoder_weights["pos_embed"] = _regrid(
            encoder_weights["pos_embed"], network.weights_grid, encoder.grid, problems
        )
    refuse_misfits(encoder_weights, expected, tuple(problems))
    encoder.load_state_dict(encoder_weights)


def _regrid(
    positions: torch.Tensor, grid: tuple[int, int], new_grid: tuple[int, int], problems: list[str]
) -> torch.Tensor:
    """Return positions (1, 2 + down x along, width) interpolated to `new_grid`; a misfit is added to `problems`."""
    if positions.ndim != 3 or positions.shape[1] != 2 + grid[0] * grid[1]:
        problems.append(
            f"pos_embed has shape {tuple(positions.shape)}, which is not 2 + {grid[0]} x {grid[1]} patches: set "
            "network.options.weights_grid to that of the weights"
        )
        return positions
    rest = positions[:, 2:].transpose(1, 2).unflatten(2, grid)
    rest = functional.interpolate(rest, size=new_grid, mode="bilinear", align_corners=False)
    return torch.cat([positions[:, :2], rest.flatten(2).transpose(1, 2)], dim=1)
