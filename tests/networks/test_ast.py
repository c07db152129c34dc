"""AST: published size and tokens, and pretrained weights with another grid."""

import pytest
import torch

from auscult import networks

SMALL = {"patch": 4, "stride": 3, "width": 16, "depth": 2, "attention_heads": 2, "weights_grid": (3, 5)}


def build(inputs=(1, 22, 16), seed=0, **options) -> torch.nn.Module:
    torch.manual_seed(seed)
    return networks.build("ast", {**SMALL, **options}, inputs, 2).eval()


def weights(network) -> dict[str, torch.Tensor]:
    """Return the weights in the form of the published code."""
    return {f"module.v.{key}": value.clone() for key, value in network.v.state_dict().items()}


def load(network, weights_to_load) -> None:
    networks.importlib.import_module("auscult.networks.ast").load_pretrained(network, weights_to_load)


def test_base_has_the_published_grid():
    network = networks.build("ast", {}, (1, 798, 128), 4)
    assert network.v.grid == (12, 79) and network.patches == 948
    assert network.v.pos_embed.shape == (1, 950, 768)
    assert 85e6 < sum(p.numel() for p in network.v.parameters()) < 87e6


def test_a_small_one_for_a_cpu_has_few_tokens():
    small = {"patch": 16, "stride": 16, "width": 192, "depth": 4, "attention_heads": 3}
    assert networks.build("ast", small, (1, 400, 64), 4).patches == 100


def test_weights_of_the_same_grid_are_unchanged():
    source, network = build(), build(seed=1, weights_grid=(5, 7))
    load(network, weights(source))
    assert all(torch.equal(a, b) for a, b in zip(source.v.state_dict().values(), network.v.state_dict().values()))  # noqa: B905


def test_positions_of_another_grid_are_interpolated_along_time():
    """Positions that grow along time and are constant over bands keep this property."""
    network = build(inputs=(1, 40, 16))
    weights_to_load = weights(build(inputs=(1, 16, 10)))
    weights_to_load["module.v.pos_embed"][0, 2:] = torch.arange(5.0).repeat(3)[:, None]
    load(network, weights_to_load)
    place = network.v.pos_embed[0, 2:].unflatten(0, network.v.grid)
    assert network.v.grid == (5, 13)
    assert (place.diff(dim=1) >= 0).all() and place[0, 0, 0] == 0 and place[0, -1, 0] == 4
    torch.testing.assert_close(place, place[:1].expand_as(place))
    assert torch.equal(network.v.pos_embed[0, :2], weights_to_load["module.v.pos_embed"][0, :2])


def test_filters_of_an_image_are_summed():
    source = build(inputs=(3, 22, 16))
    network = build()
    load(network, weights(source))
    filters = network.v.patch_embed["proj"].weight
    torch.testing.assert_close(filters, source.v.patch_embed["proj"].weight.sum(dim=1, keepdim=True))


def test_weights_that_do_not_fit_are_refused():
    weights_to_load = weights(build(inputs=(1, 16, 10)))
    with pytest.raises(ValueError, match=r"not 2 \+ 4 x 4 patches: set network.options.weights_grid"):
        load(build(inputs=(1, 40, 16), weights_grid=(4, 4)), weights_to_load)
    del weights_to_load["module.v.cls_token"]
    with pytest.raises(ValueError, match="cls_token"):
        load(build(inputs=(1, 40, 16)), weights_to_load)
