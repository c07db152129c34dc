"""The dual-path network: every frame in two segments, and what each path sees."""

import random

import pytest
import torch
from torch import nn

from auscult import networks
from auscult.networks.dual_path_rnn import Block, mean_of_two, twice

SMALL = {"width": 8, "hidden": 4, "depth": 2, "segment": 8}


@pytest.mark.parametrize("seed", range(40))
def test_the_mean_of_two_segments_undoes_the_cut(seed):
    chance = random.Random(seed)
    frames, length = chance.randint(1, 999), 2 * chance.randint(1, 40)
    x = torch.randn(2, 3, frames, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(mean_of_two(twice(x, length), frames), x)


def block_without(part: str, seed: int) -> nn.Module:
    """A block whose normalisation is off and one of whose paths adds nothing."""
    torch.manual_seed(seed)
    block = Block(8, 4).eval()
    block.along.norm = block.across.norm = nn.Identity()
    for p in getattr(block, part).proj.parameters():
        nn.init.zeros_(p)
    return block


def seen(block: nn.Module, segment: int, place: int) -> torch.Tensor:
    """Which segments and places (7, 6) the output at one of them depends on."""
    x = torch.randn(2, 8, 7, 6, requires_grad=True)
    block(x)[1, :, segment, place].sum().backward()
    assert not x.grad[0].any()
    return x.grad[1].abs().sum(dim=0) > 0


@pytest.mark.parametrize("seed", range(5))
def test_paths_see_their_own_segment_or_place(seed):
    chance = random.Random(seed)
    segment, place = chance.randrange(7), chance.randrange(6)
    own_segment, own_place = torch.zeros(2, 7, 6, dtype=torch.bool)
    own_segment[segment], own_place[:, place] = True, True
    assert torch.equal(seen(block_without("across", seed), segment, place), own_segment)
    assert torch.equal(seen(block_without("along", seed), segment, place), own_place)
    assert seen(Block(8, 4).eval(), segment, place).all()


@pytest.mark.parametrize("frames", [1, 2, 3, 50])
def test_maps_have_the_frames_of_the_first_convolution(frames):
    torch.manual_seed(frames)
    network = networks.build("dual_path_rnn", {**SMALL, "kernel": 7, "stride": 4}, (2, frames, 1), 3).eval()
    x = torch.randn(2, 2, frames)
    maps = network.maps(x)
    assert maps.shape == (2, 8, -(-frames // 4), 1)
    latents = network(x[..., None])[1]
    torch.testing.assert_close(latents, torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1))


@pytest.mark.parametrize("seed", range(3))
def test_the_first_frame_sees_the_last(seed):
    torch.manual_seed(seed)
    network = networks.build("dual_path_rnn", SMALL, (2, 120, 1), 3).eval()
    x = torch.randn(1, 2, 120, requires_grad=True)
    network.maps(x)[0, :, 0].sum().backward()
    assert (x.grad.abs().sum(dim=(0, 1)) > 0).all()


@pytest.mark.parametrize(
    ("options", "message"), [({"segment": 7}, "7 is not even"), ({"kernel": 4}, "a kernel of 4 has no middle")]
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        networks.build("dual_path_rnn", options, (2, 120, 1), 3)


def test_the_small_size():
    options = {"kernel": 7, "stride": 4, "width": 16, "hidden": 16, "depth": 2, "segment": 16}
    network = networks.build("dual_path_rnn", options, (12, 250, 1), 1)
    assert sum(p.numel() for p in network.parameters()) == 21_314
