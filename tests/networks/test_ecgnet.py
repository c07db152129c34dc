"""ECGNet: the published shape of its maps, and the state of its LSTM."""

import pytest
import torch
from torch import nn

from auscult import networks

SMALL = {"filters": 4, "depth": 5, "growth": 8, "features": 16, "lstm": 6}


def build(inputs, seed=0, **options) -> nn.Module:
    torch.manual_seed(seed)
    return networks.build("ecgnet", {**SMALL, **options}, inputs, 2).eval()


@pytest.mark.parametrize(("frames", "left"), [(1000, 62), (250, 15), (8, 1), (2, 1), (1, 1)])
def test_the_published_shape(frames, left):
    with torch.no_grad():
        maps = build((12, frames, 1), filters=16, depth=15, growth=32).maps(torch.randn(1, 12, frames))
    assert maps.shape == (1, 160, left, 1)


@pytest.mark.parametrize(("seed", "step"), [(0, 1), (1, 3), (2, 7), (3, 50)])
def test_the_state_of_the_lstm_is_that_of_single_steps(seed, step):
    network = build((3, 40, 2), seed, lstm_step=step)
    frames = int(torch.randint(1, 40, ()))
    x, state = torch.randn(4, 3, frames, 2), None
    channels = x.permute(0, 2, 1, 3).flatten(2)  # each frame's channels and their bands
    with torch.no_grad():
        for first in range(0, frames, step):
            _, state = network.lstm(channels[:, first : first + step].mean(dim=1, keepdim=True), state)
        latents = network(x)[1]
    torch.testing.assert_close(latents[:, 16:], state[0][0])
