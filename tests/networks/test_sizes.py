"""Numbers of parameters of every network at its default size, for three input channels and one output."""

import pytest

from auscult import networks

PARAMETERS = {
    "dbresnet": ((3, 400, 64), 23_510_081),
    "dynse_bdresnet": ((3, 400, 64), 23_511_853),
    "compact": ((1, 250, 40), 77_425),
    "inception_time": ((1, 4000, 1), 435_777),
    "resnet1d": ((12, 1000, 1), 3_849_345),
    "ast": ((1, 798, 128), 85_986_817),
    "cnn8": ((10, 63, 128), 2_433_665),
    "vgg_scalars": ((10, 63, 128), 8_146_177),
    "mobilenet1d": ((12, 1000, 1), 2_182_625),
    "inception_former": ((12, 1000, 1), 12_446_273),
    "spectral_resnet": ((12, 1000, 1), 21_313_433),
    "two_stream": ((12, 1000, 1), 28_537_113),
    "cnn_attention": ((1, 250, 40), 960_962),
    "crnn_attention": ((1, 250, 40), 5_152_258),
    "pretrained_vit": ((1, 608, 80), 85_412_353),
}


def test_every_network_is_listed():
    assert set(PARAMETERS) == set(networks.names())


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    inputs, count = PARAMETERS[name]
    assert sum(p.numel() for p in networks.build(name, {}, inputs, 1).parameters()) == count


def test_resnet34_along_time():
    """The size of systems published for nine classes of 12 leads (7.23 million)."""
    network = networks.build("resnet1d", {"depths": [3, 4, 6, 3]}, (12, 1000, 1), 9)
    assert sum(p.numel() for p in network.parameters()) == 7_227_785
