"""Networks that read some of the channels: the others cannot change their output."""

import pytest
import torch

from auscult import networks
from tests.networks.test_registry import SMALL

NAMES = ["resnet1d", "st_mem", "mvms_net"]


@pytest.mark.parametrize("leads", [[0], [3, 1], [0, 1, 2, 3, 4]])
@pytest.mark.parametrize("name", NAMES)
def test_only_the_chosen_channels_count(name, leads):
    torch.manual_seed(0)
    options = {**SMALL[name], "leads": leads, **({"views": "one"} if name == "mvms_net" else {})}
    network = networks.build(name, options, (5, 40, 2), 2).eval()
    x = torch.randn(3, 5, 40, 2, generator=torch.Generator().manual_seed(1))
    for channel in range(5):
        changed = x.clone()
        changed[:, channel] += 1
        is_same = bool(torch.equal(network(changed)[0], network(x)[0]))
        assert is_same == (channel not in leads)


@pytest.mark.parametrize("leads", [[0], [2], [1, 4]])
def test_a_residual_network_of_some_leads_is_that_of_these_leads_alone(leads):
    torch.manual_seed(0)
    some = networks.build("resnet1d", {**SMALL["resnet1d"], "leads": leads}, (5, 40, 2), 2).eval()
    alone = networks.build("resnet1d", SMALL["resnet1d"], (len(leads), 40, 2), 2).eval()
    alone.load_state_dict(some.state_dict())
    x = torch.randn(3, 5, 40, 2)
    torch.testing.assert_close(some(x)[0], alone(x[:, leads])[0])


@pytest.mark.parametrize(("leads", "words"), [([5], "no channel 5"), ([0, 7, 1], "no channel 7"), ([1, 1], "twice")])
@pytest.mark.parametrize("name", ["resnet1d", "st_mem"])
def test_a_wrong_channel_is_named(name, leads, words):
    with pytest.raises(ValueError, match=words):
        networks.build(name, {**SMALL[name], "leads": leads}, (5, 40, 1), 1)


def test_two_streams_read_all_channels():
    with pytest.raises(ValueError, match="both streams"):
        networks.build("two_stream", {"time": {"leads": [0]}}, (5, 40, 1), 1)
