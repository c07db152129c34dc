"""A vision transformer over patches of a log-mel spectrogram, which can start from pretrained weights.

The encoder is a ViT whose weights have the names and shapes of M2D (Niizumi et al. 2024) and timm: `patch_embed.proj`,
`cls_token`, `pos_embed`, `blocks.N.{norm1, attn.qkv, attn.proj, norm2, mlp.fc1, mlp.fc2}`, `norm`. The patches of one
time are concatenated, averaged over time, and classified by batch normalisation and one linear layer, as in the
fine-tuning of M2D. Without weights it is trained from scratch.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.encoder import Attention
from auscult.networks.layers.patches import Patches
from auscult.networks.layers.weights import refuse_misfits


class Options(BaseModel):
    """Sizes; the defaults are ViT-B's with patches of 16 frames by 16 bands."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    patch_frames: PositiveInt = 16
    patch_bands: PositiveInt = 16
    width: PositiveInt = Field(default=768, description="Dimensions of a token.")
    depth: PositiveInt = Field(default=12, description="Transformer blocks.")
    attention_heads: PositiveInt = 12
    dropout: float = Field(default=0.1, ge=0, lt=1, description="After each block's two parts, and before the head.")
    freeze_patches: bool = Field(default=True, description="Do not train the patch embedding that `weights` give.")

    @model_validator(mode="after")
    def _divides(self) -> Options:
        if self.width % self.attention_heads or self.width % 4:
            raise ValueError(f"width: {self.width} must be a multiple of attention_heads and of 4")
        return self


class PatchEmbedding(nn.Module):
    """A linear map of each patch: (batch, channels, bands, frames) to (batch, width, patches down, patches along)."""

    def __init__(self, options: Options, channels: int) -> None:
        super().__init__()
        patch = (options.patch_bands, options.patch_frames)
        self.proj = nn.Conv2d(channels, options.width, patch, patch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(x)


class MLP(nn.Module):
    """Two linear layers with four times the width between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention and MLP, each with layer normalisation and a residual sum."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(options.width, eps=1e-6)
        self.attn = Attention(options.width, options.attention_heads)
        self.norm2 = nn.LayerNorm(options.width, eps=1e-6)
        self.mlp = MLP(options.width)
        self.drop = StochasticDropout(options.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop(self.attn(self.norm1(x)))
        return x + self.drop(self.mlp(self.norm2(x)))


class Encoder(nn.Module):
    """Log-mels to tokens on their grid: (batch, channels, frames, bands) to (batch, width, along, down)."""

    def __init__(self, options: Options, inputs: tuple[int, int, int]) -> None:
        super().__init__()
        channels, frames, bands = inputs
        self.patch = (options.patch_bands, options.patch_frames)
        self.grid = (-(-bands // self.patch[0]), -(-frames // self.patch[1]))
        self.patch_embed = PatchEmbedding(options, channels)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, options.width))
        self.pos_embed = nn.Parameter(_sines(options.width, self.grid))
        self.blocks = nn.Sequential(*(Block(options) for _ in range(options.depth)))
        self.norm = nn.LayerNorm(options.width, eps=1e-6)
        nn.init.normal_(self.cls_token, std=0.02)

    def whole(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, channels, bands, frames), padded to whole patches."""
        x = x.transpose(2, 3)
        short = [(-size) % patch for size, patch in zip(x.shape[2:], self.patch, strict=True)]
        return functional.pad(x, (0, short[1], 0, short[0]))

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return tokens (batch, 1 + patches, width) before the first block, in rows of bands and columns of frames."""
        x = self.patch_embed(self.whole(x))
        down, along = x.shape[2:]
        place = self.pos_embed[:, 1:].unflatten(1, self.grid)[:, :down, :along].flatten(1, 2)
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        return torch.cat([first, x.flatten(2).transpose(1, 2) + place], dim=1)

    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return tokens (batch, any, width) after all blocks."""
        return self.norm(self.blocks(tokens))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.encode(self.embed(x))
        down = -(-x.shape[3] // self.patch[0])
        return tokens[:, 1:].transpose(1, 2).unflatten(2, (down, -1)).transpose(2, 3)


class PretrainedViT(nn.Module):
    """Encoder, concatenated patches of one time, mean over time, batch normalisation, dropout, one linear layer."""

    def __init__(self, options: Options, inputs: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        self.maps = Encoder(options, inputs)
        self.freeze_patches = options.freeze_patches
        size = options.width * self.maps.grid[0]
        self.norm = nn.BatchNorm1d(size)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(size, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, width x patches down)."""
        latents = self.maps(x).mean(dim=2).flatten(1)
        return self.head(self.drop(self.norm(latents))), latents

    def patched(self, x: torch.Tensor) -> Patches:
        """Patches of windows (batch, channels, frames, bands), in one group with the class token."""
        tokens, encoder = self.maps.embed(x)[:, None], self.maps
        values = functional.unfold(encoder.whole(x), encoder.patch, stride=encoder.patch).transpose(1, 2)
        return Patches(values[:, None], tokens[:, :, 1:], tokens[:, :, :1])

    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, any, width) through all blocks."""
        return self.maps.encode(tokens)


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> PretrainedViT:
    """Return the network for inputs (channels, frames, bands); windows may be shorter, not longer."""
    return PretrainedViT(options, inputs, outputs)


def load_pretrained(network: PretrainedViT, weights: dict[str, torch.Tensor]) -> None:
    """Load the weights of an encoder; the head keeps its initial weights. Raises ValueError.

    `weights` must contain every weight of the encoder in its shape. The positions of another grid are interpolated;
    the number of bands must be the same. Weights of a decoder, a projector or a classifier are ignored.
    """
    encoder = network.maps
    expected = encoder.state_dict()
    encoder_weights = {
        key: value for key, value in weights.items() if key.split(".")[0] in {key.split(".")[0] for key in expected}
    }
    problems: list[str] = []
    if "pos_embed" in encoder_weights and encoder_weights["pos_embed"].shape != expected["pos_embed"].shape:
        encoder_weights["pos_embed"] = _regrid(encoder_weights["pos_embed"], encoder.grid, problems)
    refuse_misfits(encoder_weights, expected, tuple(problems))
    encoder.load_state_dict(encoder_weights)
    if network.freeze_patches:
        encoder.patch_embed.requires_grad_(False)


def _regrid(positions: torch.Tensor, grid: tuple[int, int], problems: list[str]) -> torch.Tensor:
    """Return positions (1, 1 + down x along, width) interpolated to another number of patches along time."""
    down = grid[0]
    if positions.ndim != 3 or (positions.shape[1] - 1) % down:
        problems.append(f"pos_embed has shape {tuple(positions.shape)}: not a multiple of {down} patches of bands")
        return positions
    first, rest = positions[:, :1], positions[:, 1:].transpose(1, 2).unflatten(2, (down, -1))
    rest = functional.interpolate(rest, size=grid, mode="bicubic", align_corners=False)
    return torch.cat([first, rest.flatten(2).transpose(1, 2)], dim=1)


def _sines(width: int, grid: tuple[int, int]) -> torch.Tensor:
    """Return sine and cosine positions of a grid (1, 1 + down x along, width), zeros for the first token."""
    quarter = width // 4
    rates = 10_000 ** (-torch.arange(quarter) / quarter)
    down, along = torch.meshgrid(*(torch.arange(size) for size in grid), indexing="ij")
    angles = [axis.reshape(-1, 1) * rates for axis in (along, down)]
    places = torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1)
    return torch.cat([torch.zeros(1, width), places])[None]
