"""MINA: the published size, weights of the three levels, and the filters of its bands."""

import pytest
import torch

from auscult import networks

PUBLISHED = {"rate_hz": 300, "kernel": 32, "passbands": [None, (0.001, 0.5), (0.5, 50), (50, 151)]}


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
def test_attended_is_the_product_of_the_weights_on_the_frames_of_each_kernel(seed):
    torch.manual_seed(seed)
    network, x = build(), torch.randn(1, 12, 250, 1)
    of_place, of_segment, of_band = torch.rand(4, 5, 18), torch.rand(4, 5), torch.rand(4)
    network.weighed = lambda x: (None, of_place[None], of_segment[None], of_band[None])
    expected = torch.zeros(250)
    for band in range(4):
        for segment in range(5):
            for place in range(18):
                first = 50 * segment + 2 * place
                weight = of_band[band] * of_segment[band, segment] * of_place[band, segment, place]
                expected[first : first + 16] += weight
    torch.testing.assert_close(network.attended(x, 0)[0, :, 0], expected / expected.sum())


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


@pytest.mark.parametrize("seed", range(3))
def test_the_knowledge_of_each_level(seed):
    torch.manual_seed(seed)
    network, x, given = build(), torch.randn(2, 12, 250, 1), []
    number = int(torch.randint(0, 4, ()))
    band = network.bands[number]
    for level in (band.beat, band.rhythm, network.frequency):
        level.register_forward_pre_hook(lambda module, inputs: given.append(inputs[1]))
    network(x)
    heard = network.filtered(x[..., 0])
    segments = heard[:, number].unflatten(2, (5, 50)).transpose(1, 2)  # (batch, segments, leads, samples)
    of_beat, of_rhythm, of_frequency = given
    change = (segments[..., 1:] - segments[..., :-1]).abs().mean(dim=2)  # starts with the second sample
    expected = torch.stack([change[..., max(0, k - 1) : k + 15].sum(dim=2) / 16 for k in range(0, 36, 2)], dim=2)
    torch.testing.assert_close(of_beat.view(2, 5, 18), expected)
    torch.testing.assert_close(of_rhythm, segments.std(dim=3, correction=0).mean(dim=2), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(of_frequency, torch.log(1 + (heard**2).mean(dim=(2, 3))))


def test_knowledge_moves_the_weights():
    torch.manual_seed(0)
    network, x = build(), torch.randn(2, 5, 64)
    level, knowledge = network.bands[0].beat, torch.rand(2, 5)
    pooled, weights = level(x, knowledge)
    scores = torch.tanh(torch.cat([x, knowledge[..., None]], dim=2) @ level.describe.weight.T) @ level.score.weight[0]
    torch.testing.assert_close(weights, torch.softmax(scores, dim=1))
    torch.testing.assert_close(pooled, torch.einsum("bk,bkf->bf", weights, x))
    assert (level(x, 2 * knowledge)[1] != weights).any()


def test_large_samples_and_silence_are_finite():
    torch.manual_seed(0)
    network = build().train()
    for x in (1e4 * torch.randn(2, 12, 250, 1), torch.zeros(2, 12, 250, 1)):
        logits, _ = network(x.requires_grad_())
        logits.square().sum().backward()
        assert torch.isfinite(logits).all() and torch.isfinite(x.grad).all()
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
