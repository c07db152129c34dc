"""InceptionFormer for 12-lead ECGs: convolutions of several lengths, then self-attention, in four stages along time.

With the default options and 12 leads: 12.45 million parameters, of which the stages have 35.07 and 271.36 thousand,
3.18 and 8.41 million. Sizes are derived from published numbers. The bands of a front end are channels of this network.

Every other option is a variant that the notes on this network name, after the idea of those notes: what they leave open
is our choice, and said at the option. Only the sizes with `mixers: progressive`, `tokens: 25` (17.19 million) and fewer
or narrower stages are published.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.coordinate import CoordinateAttention
from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.self_attention import ConvolutionalModulation, Kind, SelfAttention

STEM = (19, 37, 57, 77)  # lengths of the stem's convolutions, each for a quarter of its channels
# mixers of each stage, by turns
MIXERS = {
    "hybrid": [("convolution",), ("convolution",), ("convolution", "attention"), ("attention",)],
    "progressive": [("convolution",), ("convolution", "modulation"), ("modulation", "attention"), ("attention",)],
}


class Options(BaseModel):
    """Sizes, and switches for ablation; the defaults are the published network."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    depths: list[PositiveInt] = Field(
        default=[2, 4, 8, 4],
        min_length=1,
        max_length=4,
        description="Blocks per stage: convolutions in the first two, alternating with attention in the third, "
        "attention in the fourth.",
    )
    widths: list[PositiveInt] = Field(
        default=[64, 128, 256, 512], description="Channels of each stage, multiples of 4."
    )
    kernels: list[PositiveInt] = Field(
        default=[3, 5, 11, 21],
        min_length=1,
        description="Lengths of a block's depth-wise convolutions, odd, each for an equal part of the channels; the "
        "author's later networks have [3, 7, 11, 19].",
    )
    mixers: Literal["hybrid", "progressive"] = Field(
        default="hybrid",
        description="What mixes frames in the four stages. `hybrid`: convolutions, convolutions, convolutions and "
        "attention, attention; `progressive`: convolutions, convolutions and modulations, modulations and attention, "
        "attention.",
    )
    order: Literal["crossed", "linear", "parallel"] = Field(
        default="crossed",
        description="Of the two kinds of blocks in a stage. `crossed`: by turns; `linear`: first one kind, then the "
        "other; `parallel`: one of each on the same input, whose changes are added.",
    )
    attention: Kind | Literal["modulation", "none"] = Field(
        default="shunted",
        description="`plain`; `reduced` (keys and values averaged over two frames) or `strided` (joined by a "
        "convolution instead); `shunted` (heads at full, half and quarter length); `window` and `shifted` (every other "
        "block shifted); `routed` (to 10 of 25 windows); `hilo` (half of the heads in windows of `window` frames, half "
        "on averages over as many); `modulation` (a convolution instead of attention); `none` (blocks of convolutions "
        "instead).",
    )
    window: PositiveInt = Field(default=5, description="`hilo`: frames of a window.")
    position: Literal["none", "learned", "relative", "cpe", "value"] = Field(
        default="none",
        description="How attention is told the order of the frames. `learned`: a vector for each frame of the third "
        "stage's input; `relative`: a bias for each head and distance; `cpe`: a depth-wise convolution before each "
        "attention; `value`: a depth-wise convolution of its values.",
    )
    convolution: Literal["depthwise", "inverted"] = Field(
        default="depthwise",
        description="Of a convolution block. `depthwise`: the convolutions of `kernels`; `inverted`: these on twice "
        "the channels, between two layers along the channels.",
    )
    gate: Literal["none", "squeeze", "coordinate", "joint"] = Field(
        default="none",
        description="Of a convolution block's branch: a weight per channel (`squeeze`), or per channel and frame, from "
        "a local mean (`coordinate`) or from frame and mean together (`joint`: coordinate attention as published).",
    )
    feed_forward: Literal["plain", "glu", "convolution"] = Field(
        default="plain",
        description="Of every block. `plain`: two layers of ratio 2; `glu`: half of the first layer's outputs gate the "
        "other half; `convolution`: a depth-wise convolution of 3 frames after the first layer.",
    )
    tokens: PositiveInt | None = Field(
        default=None,
        description="Semantic tokens, at most, that stand for the frames of the fourth stage; published: 25. null: the "
        "frames themselves.",
    )
    head: Literal["mean", "cls"] = Field(
        default="mean", description="Of the mean over time, or of a class token that joins the fourth stage."
    )
    attention_heads: PositiveInt = 8
    dropout: float = Field(default=0.1, ge=0, lt=1, description="After every branch, and before the head.")

    @model_validator(mode="after")
    def _sizes(self) -> Options:
        if len(self.widths) != len(self.depths):
            raise ValueError(f"{len(self.depths)} depths for {len(self.widths)} widths")
        if invalid := [width for width in self.widths if width % 4]:
            raise ValueError(f"widths: {invalid[0]} is not a multiple of 4")
        if invalid := [width for width in self.widths if width % len(self.kernels)]:
            raise ValueError(f"widths: {invalid[0]} is not a multiple of the number of kernels")
        if even := [kernel for kernel in self.kernels if kernel % 2 == 0]:
            raise ValueError(f"kernels: {even[0]} has no middle; choose an odd number")
        if invalid := [width for width in self.widths[2:] if width % self.attention_heads]:
            raise ValueError(f"widths: {invalid[0]} is not a multiple of attention_heads")
        stages, attends = len(self.depths), self.attention not in ("modulation", "none")
        if self.position != "none" and (stages < 3 or not attends):
            raise ValueError(f"position: {self.position} needs attention")
        if self.position == "value" and self.attention == "strided":
            raise ValueError("position: value needs the values of every frame, which strided attention does not have")
        if stages < 4 and (self.tokens or self.head == "cls"):
            raise ValueError(f"{'tokens' if self.tokens else 'head: cls'}: there is no fourth stage")
        if self.head == "cls" and (self.attention in ("window", "shifted") or not attends):
            raise ValueError(f"head: with attention {self.attention}, a class token would not attend to every frame")
        return self


class MultiScale(nn.Module):
    """Parallel convolutions of several lengths: (batch, channels, frames) to (batch, width, frames)."""

    def __init__(self, channels: int, width: int, kernels: Sequence[int], depthwise: bool) -> None:
        super().__init__()
        branch_width = width // len(kernels)
        self.depthwise = depthwise
        self.branches = nn.ModuleList(
            nn.Conv1d(
                branch_width if depthwise else channels,
                branch_width,
                kernel,
                padding=kernel // 2,
                groups=branch_width if depthwise else 1,
            )
            for kernel in kernels
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = x.chunk(len(self.branches), dim=1) if self.depthwise else [x] * len(self.branches)
        return torch.cat([branch(part) for branch, part in zip(self.branches, parts, strict=True)], dim=1)


class Gate(nn.Module):
    """A weight per channel (`squeeze`), or per channel and frame (`coordinate`); near 1 before training."""

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        hidden = max(4, width // 16)
        self.coordinate = kind == "coordinate"
        self.squeeze = nn.Conv1d(width, hidden, 1)
        self.excite = nn.Conv1d(hidden, width, 1)
        nn.init.normal_(self.excite.weight, std=0.001)
        nn.init.zeros_(self.excite.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        summary = functional.avg_pool1d(x, 9, 1, 4, count_include_pad=False) if self.coordinate else x.mean(2, True)
        return x * (2 * torch.sigmoid(self.excite(torch.relu(self.squeeze(summary)))))


class Block(nn.Module):
    """A mixer along time and a feed-forward part of ratio 2, each with layer normalisation and a residual sum."""

    def __init__(self, options: Options, width: int, mixer: nn.Module, channels_first: bool, has_place: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixer, self.channels_first = mixer, channels_first
        self.act = functional.glu if options.feed_forward == "glu" else functional.gelu
        self.expand = nn.Linear(width, 2 * width)
        self.shrink = nn.Linear(width if options.feed_forward == "glu" else 2 * width, width)
        self.drop = StochasticDropout(options.dropout)
        self.place = _depthwise(width) if has_place else None
        self.local = _depthwise(2 * width) if options.feed_forward == "convolution" else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, frames, width) keeps its shape."""
        if self.place is not None:
            x = x + self.place(x.transpose(1, 2)).transpose(1, 2)
        y = self.norm1(x)
        y = self.mixer(y.transpose(1, 2)).transpose(1, 2) if self.channels_first else self.mixer(y)
        x = x + self.drop(y)
        y = self.expand(self.norm2(x))
        if self.local is not None:
            y = self.local(y.transpose(1, 2)).transpose(1, 2)
        return x + self.drop(self.shrink(self.act(y)))


def _depthwise(width: int) -> nn.Module:
    return nn.Conv1d(width, width, 3, padding=1, groups=width)


class Parallel(nn.Module):
    """Blocks on the same input, whose changes are added: (batch, frames, width) keeps its shape."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return sum((block(x) - x for block in self.blocks), start=x)


class SemanticTokens(nn.Module):
    """Few tokens that attend to all frames: (batch, width, frames) to (batch, width, tokens or fewer).

    Means over neighbouring frames gather from the frames; then, with a learned vector each, from themselves and the
    frames. Parameters and multiply-adds are as published; no published text says where the two layers `refine` and
    the vectors belong (after Chang et al. 2023). A window with few frames has fewer tokens.
    """

    def __init__(self, width: int, heads: int, tokens: int, dropout: float) -> None:
        super().__init__()
        self.tokens = tokens
        self.gather = nn.MultiheadAttention(width, heads, batch_first=True)
        self.gathered = _feed_forward(width)
        self.refine = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.global_token = nn.Parameter(torch.empty(tokens, width))
        nn.init.trunc_normal_(self.global_token, std=0.02)
        self.restore = nn.MultiheadAttention(width, heads, batch_first=True)
        self.restored = _feed_forward(width)
        self.drop = StochasticDropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        each = -(-x.shape[2] // self.tokens)
        means, frames = functional.avg_pool1d(x, each, ceil_mode=True).transpose(1, 2), x.transpose(1, 2)
        tokens = means + self.drop(self.gather(means, frames, frames, need_weights=False)[0])
        tokens = tokens + self.drop(self.gathered(tokens))
        tokens = tokens + self.drop(self.refine(tokens))
        both = torch.cat([tokens, frames], dim=1)
        queries = tokens + self.global_token[: tokens.shape[1]]
        tokens = means + self.drop(self.restore(queries, both, both, need_weights=False)[0])
        return (tokens + self.drop(self.restored(tokens))).transpose(1, 2)


def _feed_forward(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


class Inverted(nn.Module):
    """Multi-scale convolutions on twice the channels: (batch, width, frames) keeps its shape."""

    def __init__(self, width: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.expand = nn.Conv1d(width, 2 * width, 1)
        self.convolve = MultiScale(2 * width, 2 * width, kernels, depthwise=True)
        self.shrink = nn.Conv1d(2 * width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shrink(functional.gelu(self.convolve(functional.gelu(self.expand(x)))))


def _fusion(options: Options, stage: int) -> nn.Module:
    """Overlapping patches between two stages, and the tokens of the fourth."""
    width = options.widths[stage]
    patches = nn.Conv1d(options.widths[stage - 1], width, 3, 2, 1, bias=False)
    if stage < 3 or options.tokens is None:
        return patches
    tokens = SemanticTokens(width, options.attention_heads, options.tokens, options.dropout)
    return nn.Sequential(patches, tokens)


def _stage(options: Options, stage: int) -> nn.Sequential:
    """The blocks of a stage: (batch, frames, width) keeps its shape."""
    depth, width, kinds = options.depths[stage], options.widths[stage], MIXERS[options.mixers][stage]
    if options.order == "linear":
        kind_of_block = [kinds[len(kinds) * number // depth] for number in range(depth)]
    else:
        kind_of_block = [kinds[number % len(kinds)] for number in range(depth)]
    blocks: list[nn.Module] = [
        _block(options, width, kind, kind_of_block[:number].count("attention"))
        for number, kind in enumerate(kind_of_block)
    ]
    if options.order == "parallel" and len(kinds) == 2:
        blocks = [Parallel(blocks[number : number + 2]) for number in range(0, depth, 2)]
    return nn.Sequential(*blocks)


def _block(options: Options, width: int, kind: str, before: int) -> Block:
    """A block; `before` counts the attention blocks before it in its stage, of which every other one is shifted."""
    if kind == "attention":
        kind = {"modulation": "modulation", "none": "convolution"}.get(options.attention, kind)
    if kind == "convolution":
        if options.convolution == "inverted":
            mixer: nn.Module = Inverted(width, options.kernels)
        else:
            mixer = MultiScale(width, width, options.kernels, depthwise=True)
        if options.gate == "joint":
            mixer = nn.Sequential(mixer, CoordinateAttention(width))
        elif options.gate != "none":
            mixer = nn.Sequential(mixer, Gate(width, options.gate))
    elif kind == "modulation":
        mixer = ConvolutionalModulation(width)
    else:
        attention = "window" if options.attention == "shifted" and before % 2 == 0 else options.attention
        position = options.position if options.position in ("relative", "value") else "none"
        mixer = SelfAttention(width, options.attention_heads, attention, length=options.window, position=position)
    return Block(options, width, mixer, kind == "convolution", kind == "attention" and options.position == "cpe")


class Stages(nn.Module):
    """Stem and stages: (batch, channels, frames) to maps (batch, last width, frames / 2 a stage, 1)."""

    def __init__(self, options: Options, channels: int, frames: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            MultiScale(channels, options.widths[0], STEM, depthwise=False), nn.BatchNorm1d(options.widths[0]), nn.GELU()
        )
        self.fusions, self.stages = nn.ModuleList(), nn.ModuleList()
        for stage in range(3 if options.head == "cls" else len(options.depths)):
            if stage:
                self.fusions.append(_fusion(options, stage))
            self.stages.append(_stage(options, stage))
        self.position = None
        if options.position == "learned":
            self.position = nn.Parameter(torch.empty(options.widths[2], -(-frames // 4)))
            nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for number, stage in enumerate(self.stages):
            if number:
                x = self.fusions[number - 1](x)
            if number == 2 and self.position is not None:
                x = x + self.position[:, : x.shape[2]]
            x = stage(x.transpose(1, 2)).transpose(1, 2)
        return x[..., None]


class ClassStage(nn.Module):
    """The fourth stage with a class token before its frames: maps (batch, third width, frames) to (batch, last width).

    The maps of a network with a class token are those of its third stage: its last frames have no effect on the token.
    """

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.fusion, self.stage = _fusion(options, 3), _stage(options, 3)
        self.token = nn.Parameter(torch.empty(options.widths[3]))
        nn.init.trunc_normal_(self.token, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.fusion(x).transpose(1, 2)
        return self.stage(torch.cat([self.token.expand(len(x), 1, -1), x], dim=1))[:, 0]


class InceptionFormer(nn.Module):
    """Stages, mean over time or the class token, dropout, one linear layer."""

    def __init__(self, options: Options, channels: int, frames: int, outputs: int) -> None:
        super().__init__()
        self.maps = Stages(options, channels, frames)
        self.last = ClassStage(options) if options.head == "cls" else None
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(options.widths[-1], outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        maps = self.maps(x.transpose(2, 3).flatten(1, 2))
        latents = maps.mean(dim=(2, 3)) if self.last is None else self.last(maps[..., 0])
        return self.head(self.drop(latents)), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> InceptionFormer:
    """Return the network for inputs (channels, frames, bands).

    The number of frames may vary; with learned positions, windows may be shorter, not longer.
    """
    return InceptionFormer(options, inputs[0] * inputs[2], inputs[1], outputs)
