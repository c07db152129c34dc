"""Segments that overlap by half: against slices by hand, and added up again."""

import random

import pytest
import torch

from auscult.networks.layers.segments import cut, overlap_add


@pytest.mark.parametrize("seed", range(20))
def test_segments_are_slices_of_the_padded_sequence(seed):
    chance = random.Random(seed)
    hop, frames = chance.randint(1, 20), chance.randint(1, 150)
    x = torch.randn(2, 3, frames, generator=torch.Generator().manual_seed(seed))
    segments = cut(x, 2 * hop)
    padded = torch.cat([x, torch.zeros(2, 3, 4 * hop)], dim=2)
    for number in range(segments.shape[2]):
        torch.testing.assert_close(segments[:, :, number], padded[..., number * hop : (number + 2) * hop])
    covered = (segments.shape[2] + 1) * hop
    assert covered >= frames  # every frame is in a segment, and one segment fewer would not do
    assert segments.shape[2] == 1 or covered - hop < frames


@pytest.mark.parametrize("seed", range(20))
def test_sum_of_overlapping_segments(seed):
    chance = random.Random(seed)
    hop, count = chance.randint(1, 9), chance.randint(1, 12)
    segments = torch.randn(2, 3, count, 2 * hop, generator=torch.Generator().manual_seed(seed))
    by_hand = torch.zeros(2, 3, (count + 1) * hop)
    for number in range(count):
        by_hand[..., number * hop : (number + 2) * hop] += segments[:, :, number]
    torch.testing.assert_close(overlap_add(segments), by_hand)
