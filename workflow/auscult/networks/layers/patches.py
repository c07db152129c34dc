"""What a network that can be pre-trained by masked patches says of a window.

Such a network has a method `patched(x)`, which returns `Patches`, and a method `encode(tokens)`, which maps tokens
(batch, any number, width) through its blocks and keeps their shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Patches:
    """The patches of windows in groups, such as the leads of an ECG; a spectrogram is one group.

    `values` (batch, groups, patches, values): what each patch covers of the input. `tokens` (batch, groups, patches,
    width): the patches as the encoder reads them, with positions. `first` (batch, groups, any, width): further tokens
    of each group, which are never masked.
    """

    values: torch.Tensor
    tokens: torch.Tensor
    first: torch.Tensor
