"""Changes to training batches: shifts and masks over time, masks over bands, gain, noise, mixup, CutMix."""

from __future__ import annotations

import torch

from auscult.config.systems import Augment


def augment(
    x: torch.Tensor,
    settings: Augment,
    frames_per_second: float,
    generator: torch.Generator,
    has_scalars: bool = False,
) -> torch.Tensor:
    """A changed copy of a batch (batch, channels, frames, bands); masks are filled with each window's mean.

    A mask covers at most half of the frames or bands, so that there is none over a single one.
    frames_per_second: of the front end. has_scalars: the last channel holds numbers, which stay as they are. Random
    numbers come from `generator` alone.
    """
    if has_scalars:
        images = augment(x[:, :-1], settings, frames_per_second, generator)
        return torch.cat([images, x[:, -1:]], dim=1)
    batch, _, frames, bands = x.shape
    if settings.time_shift_s:
        max_shift = min(frames - 1, round(settings.time_shift_s * frames_per_second))
        shift = torch.randint(-max_shift, max_shift + 1, (batch, 1), generator=generator)
        source = ((torch.arange(frames) - shift) % frames).to(x.device)
        x = x.gather(2, source[:, None, :, None].expand(x.shape))
    if settings.gain:
        x = x + settings.gain * _normal((batch, 1, 1, 1), generator, x)
    if settings.noise:
        x = x + settings.noise * _normal(x.shape, generator, x)
    if settings.time_masks or settings.band_masks:
        fill = x.mean(dim=(1, 2, 3), keepdim=True)
        longest = min(frames // 2, max(1, round(settings.time_mask_s * frames_per_second)))
        is_masked = torch.zeros((batch, 1, frames, bands), dtype=torch.bool, device=x.device)
        for _ in range(settings.time_masks):
            is_masked |= _spans(batch, frames, longest, generator, x.device)[:, None, :, None]
        widest = min(bands // 2, settings.band_mask)
        for _ in range(settings.band_masks):
            is_masked |= _spans(batch, bands, widest, generator, x.device)[:, None, None, :]
        x = torch.where(is_masked, fill, x)
    return x


def mix(
    x: torch.Tensor, y: torch.Tensor, settings: Augment, generator: torch.Generator, has_scalars: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixup or CutMix, whichever is on; of both, one drawn for the batch. has_scalars: see `cutmix`."""
    use_cutmix = bool(settings.cutmix)
    if settings.mixup and settings.cutmix:
        use_cutmix = float(torch.rand((), generator=generator)) < settings.cutmix_share
    if use_cutmix:
        return cutmix(x, y, settings.cutmix, generator, has_scalars)
    return mixup(x, y, settings.mixup, generator) if settings.mixup else (x, y)


def cutmix(
    x: torch.Tensor, y: torch.Tensor, alpha: float, generator: torch.Generator, has_scalars: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """A rectangle of frames and bands, the same in all windows of a batch, replaced by that of a permutation.

    Its share of the area is 1 - λ, λ ~ Beta(alpha, alpha), in whole frames and bands; targets are mixed by the area
    that it really has (Yun et al. 2019). A target missing (NaN) on either side stays missing. has_scalars: the last
    channel holds numbers, which are mixed as the targets are.
    """
    a, b = (torch._standard_gamma(torch.tensor([alpha, alpha]), generator=generator)).tolist()
    side = (b / (a + b)) ** 0.5 if a + b > 0 else 0.0
    frames, bands = x.shape[2:]
    height, width = round(side * frames), round(side * bands)
    if frames == 1 or bands == 1:  # a rectangle over the one frame or band
        height, width = max(1, round(side**2 * frames)), max(1, round(side**2 * bands))
        height, width = (height, 1) if bands == 1 else (1, width)
    first_row, first_column = (
        int(torch.randint(0, size - extent + 1, (), generator=generator))
        for size, extent in ((frames, height), (bands, width))
    )
    order = torch.randperm(len(x), generator=generator).to(x.device)
    share = height * width / (frames * bands)
    windows = x.clone()
    windows[:, :, first_row : first_row + height, first_column : first_column + width] = x[
        order, :, first_row : first_row + height, first_column : first_column + width
    ]
    if has_scalars:
        windows[:, -1] = (1 - share) * x[:, -1] + share * x[order, -1]
    return windows, (1 - share) * y + share * y[order]


def mixup(
    x: torch.Tensor, y: torch.Tensor, alpha: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Batch and targets mixed with a permutation of themselves by one share λ ~ Beta(alpha, alpha), λ ≥ 1/2.

    A target missing (NaN) on either side stays missing.
    """
    a, b = (torch._standard_gamma(torch.tensor([alpha, alpha]), generator=generator)).tolist()
    share = max(a, b) / (a + b) if a + b > 0 else 1.0
    order = torch.randperm(len(x), generator=generator).to(x.device)
    return share * x + (1 - share) * x[order], share * y + (1 - share) * y[order]


def _spans(batch: int, size: int, longest: int, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """(batch, size) true on one span of 0 to `longest` per row."""
    uniform = torch.rand((2, batch, 1), generator=generator)
    width = torch.floor(uniform[0] * (longest + 1))
    start = torch.floor(uniform[1] * (size - width + 1))
    position = torch.arange(size)
    return ((position >= start) & (position < start + width)).to(device)


def _normal(shape: tuple[int, ...], generator: torch.Generator, like: torch.Tensor) -> torch.Tensor:
    return torch.randn(shape, generator=generator).to(like.device)
