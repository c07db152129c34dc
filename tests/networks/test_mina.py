"""MINA: the published size, weights of the three levels, and the filters of its bands."""

import pytest
import torch

from auscult import networks

PUBLISHED = {"rate": 300, "kernel": 32, "passbands": [None, (0.001, 0.5), (0.5, 50), (50, 151)]}


def build(inputs=(12, 250, 1), **options) -> torch.nn.Module:
    return networks.build("mina", options, inputs, 2).eval()


def test_the_published_size():
    network = build((1, 3000, 1), **PUBLISHED)
    assert sum(p.numel() for p in network.parameters()) == 115_274
    _, of_place, of_segment, of_band = network.weighed(torch.randn(2, 1, 3000, 1))
    assert of_place.shape == (2, 4, 60, 10) and of_segment.shape == (2, 4, 60) and of_band.shape == (2, 4)


@pytest.mark.parametrize("seed", range(3))
def test_the_weights_of_each_level_have_the_sum_1(seed):
    torch.manual_seed(seed)
    frames = int(torch.randint(1, 300, ()))
    network = build((3, frames, 1))
    x = 10 * torch.randn(4, 3, frames, 1)
    for weights in network.weighed(x)[1:]:
        assert (weights > 0).all()
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
    attended = network.attended(x, 1)
    assert attended.shape == (4, frames, 1) and (attended >= 0).all()
    torch.testing.assert_close(attended.sum(dim=(1, 2)), torch.ones(4))


@pytest.mark.parametrize("seed", range(3))
def test_attended_is_the_product_of_the_weights(seed):
    """A weight of one place, one segment and one band lies on the frames of one kernel."""
    torch.manual_seed(seed)
    network = build()
    band, segment, place = (int(torch.randint(0, high, ())) for high in (4, 5, 18))
    of_place, of_segment, of_band = torch.zeros(1, 4, 5, 18), torch.zeros(1, 4, 5), torch.zeros(1, 4)
    of_place[0, band, segment, place] = of_segment[0, band, segment] = of_band[0, band] = 1
    network.weighed = lambda x: (None, of_place, of_segment, of_band)
    attended = network.attended(torch.zeros(1, 12, 250, 1), 0)[0, :, 0]
    first = 50 * segment + 2 * place
    assert attended.nonzero().flatten().tolist() == list(range(first, first + 16))


def test_the_sum_of_features_by_hand():
    torch.manual_seed(0)
    network, x = build(), torch.randn(2, 12, 250, 1)
    segments = network.filtered(x[..., 0]).unflatten(3, (5, 50))
    features = torch.stack([band(segments[:, k].transpose(1, 2))[0] for k, band in enumerate(network.bands)], dim=1)
    latents, _, _, of_band = network.weighed(x)
    torch.testing.assert_close(latents, torch.einsum("bk,bkf->bf", of_band, features))


@pytest.mark.parametrize("seed", range(3))
def test_a_sine_passes_its_own_band_alone(seed):
    torch.manual_seed(seed)
    network = build()
    low, middle, high = (int(torch.randint(*limits, ())) for limits in ((1, 5), (5, 15), (15, 40)))
    second = torch.arange(1000) / 100
    for passed, hertz in enumerate((low, middle, high), start=1):
        sine = torch.sin(2 * torch.pi * hertz * second).view(1, 1, -1)
        heard = network.filtered(sine)[0, :, 0]
        torch.testing.assert_close(heard[0], sine[0, 0])
        torch.testing.assert_close(heard[passed], sine[0, 0], rtol=0, atol=1e-4)
        others = [band for band in (1, 2, 3) if band != passed]
        torch.testing.assert_close(heard[others], torch.zeros(2, 1000), rtol=0, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_a_constant_on_a_lead_is_heard_by_the_first_band_alone(seed):
    torch.manual_seed(seed)
    network, x = build(), torch.randn(2, 12, 250)
    changed = x.clone()
    changed[:, torch.randint(0, 12, ())] += 1
    before, after = network.filtered(x), network.filtered(changed)
    assert not torch.allclose(before[:, 0], after[:, 0])
    torch.testing.assert_close(before[:, 1:], after[:, 1:], rtol=0, atol=1e-5)


def test_large_samples_and_silence_are_finite():
    torch.manual_seed(0)
    network = build().train()
    for x in (1e4 * torch.randn(2, 12, 250, 1), torch.zeros(2, 12, 250, 1)):
        logits, _ = network(x)
        logits.square().sum().backward()
        assert torch.isfinite(logits).all()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters())


def test_no_band_and_no_knowledge_starts_dead():
    for seed in range(20):
        torch.manual_seed(seed)
        network, segments = build(), torch.randn(8, 2, 12, 50)
        for band in network.bands:
            features, *_ = band(segments)
            assert features.sum() > 0
            change = torch.rand(3, 1, 50)
            assert (torch.relu(band.convolve_change(change)) > 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": 51}, "longer than a segment"),
        ({"passbands": [None, (5, 5)]}, "no band"),
        ({"passbands": [(60, 70)]}, "100.0 samples per second have no 60.0 Hz"),
        ({"passbands": []}, "passbands"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
