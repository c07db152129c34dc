"""Networks with a branch for scalars: the part of the last channel that they read, and refused inputs."""

import pytest
import torch

from auscult import networks

NAMES = ["cnn8", "vgg_scalars"]
INPUTS = (3, 20, 16)


def build(name, scalars=5, inputs=INPUTS):
    torch.manual_seed(0)
    return networks.build(name, {"width": 4, "scalars": scalars}, inputs, 2).eval()


@pytest.mark.parametrize("name", NAMES)
def test_the_first_rows_of_the_last_channel_are_read_and_no_others(name):
    network, x = build(name), torch.randn(2, *INPUTS)
    before, latents = network(x)
    assert latents.shape == (2, 8 * 4 + 64)
    changed = x.clone()
    changed[:, -1, :, 5:] += 1
    assert torch.equal(network(changed)[0], before)
    changed = x.clone()
    changed[:, -1, :, 4] += 1
    assert (network(changed)[0] != before).all()


@pytest.mark.parametrize("name", NAMES)
def test_padding_after_a_short_recording_does_not_change_the_numbers(name):
    """The branch gives the same for a recording that fills the window and for one that is padded."""
    network, x = build(name), torch.randn(2, *INPUTS)
    x[:, -1, :, :5] = torch.randn(2, 1, 5)
    for frames in range(1, INPUTS[1]):
        padded = x.clone()
        padded[:, :, frames:] = -3.0
        assert torch.equal(network.scalars(padded)[1], network.scalars(x)[1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("inputs", [(1, 20, 16), (3, 20, 4)])
def test_scalars_need_a_separate_channel(name, inputs):
    with pytest.raises(ValueError, match="scalars: 5 numbers need a separate channel"):
        build(name, inputs=inputs)
