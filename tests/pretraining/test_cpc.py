"""Contrastive predictive coding: what is contrasted with what, and that it can be learnt."""

import math

import pytest
import torch
from torch.nn import functional

from auscult import networks
from auscult.pretraining.methods import cpc

SMALL = {"width": 16, "hidden": 16}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(inputs=(3, 60, 2), seed=0, **options):
    torch.manual_seed(seed)
    network = networks.build("cpc", SMALL, inputs, 1)
    return network, cpc.build(cpc.Options(**options), network, inputs)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("negatives", [5, 64])
def test_a_fresh_network_guesses(seed, negatives):
    network, method = built(seed=seed, negatives=negatives)
    x = torch.randn(8, 3, 60, 2, generator=generator(seed))
    loss = method(network, network, x, torch.zeros(8, 1), generator(seed))
    assert float(loss) == pytest.approx(math.log(1 + negatives), rel=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_the_own_code_is_never_among_the_negatives_and_all_others_can_be(seed):
    ahead = int(torch.randint(1, 20, (), generator=generator(seed)))
    _, method = built(ahead=ahead, negatives=500)
    places = method.draw_negatives(2, 40, generator(seed))
    assert places.shape == (2, 40 - ahead, 500) and int(places.min()) >= 0 and int(places.max()) <= 39
    for context in range(40 - ahead):
        drawn = set(places[:, context].flatten().tolist())
        assert context + ahead not in drawn and len(drawn) == 39


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_by_hand(seed):
    """Negatives are of the same window; the loss of every window by a plain loop."""
    network, method = built(ahead=4, negatives=7)
    x = torch.randn(3, 3, 20, 2, generator=generator(seed))
    loss = method(network, network, x, torch.zeros(3, 1), generator(seed))
    codes = network.encode(x)
    predicted = method.predict(network.context(codes))
    places, terms = method.draw_negatives(3, 20, generator(seed)), []
    for window in range(3):
        for t in range(16):
            others = codes[window, places[window, t]]
            candidates = torch.cat([codes[window, t + 4][None], others])
            terms.append(-functional.log_softmax(candidates @ predicted[window, t], dim=0)[0])
    torch.testing.assert_close(loss, torch.stack(terms).mean())


@pytest.mark.parametrize("seed", range(5))
def test_a_context_does_not_depend_on_later_frames(seed):
    network, _ = built()
    network.eval()
    place = int(torch.randint(1, 59, (), generator=generator(seed)))
    x = torch.randn(2, 3, 60, 2, generator=generator(seed))
    changed = x.clone()
    changed[:, :, place:] += 1
    before, after = (network.context(network.encode(values)) for values in (x, changed))
    torch.testing.assert_close(before[:, :place], after[:, :place])
    assert not torch.equal(before[:, place:], after[:, place:])


def test_sines_are_learnt():
    """Two leads of one rate, a quarter of a period apart: what comes can be told from what was."""
    torch.manual_seed(0)
    network = networks.build("cpc", {"width": 32, "hidden": 32}, (2, 60, 1), 1)
    method = cpc.build(cpc.Options(negatives=32), network, (2, 60, 1))
    optimiser = torch.optim.Adam([*network.parameters(), *method.parameters()], 3e-3)
    draws = generator(0)
    for _ in range(120):
        rate, phase = torch.rand(2, 16, 1, generator=draws).unbind(0)
        angle = (0.2 + 0.3 * rate) * torch.arange(60) + 6.3 * phase
        x = torch.stack([torch.sin(angle), torch.cos(angle)], dim=1)[..., None]
        loss = method(network, network, x, torch.zeros(16, 1), draws)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.8 * math.log(33)


@pytest.mark.parametrize(("frames", "encoder"), [(12, "frames"), (5, "frames"), (170, "convolutions")])
def test_a_window_without_a_code_to_predict_is_refused(frames, encoder):
    network = networks.build("cpc", {**SMALL, "encoder": encoder}, (1, frames, 1), 1)
    with pytest.raises(ValueError, match="too few to predict 12 codes ahead: take longer windows"):
        cpc.build(cpc.Options(), network, (1, frames, 1))


def test_a_network_without_codes_is_refused():
    network = networks.build("resnet1d", {"depths": [1], "widths": [4]}, (1, 50, 1), 1)
    with pytest.raises(ValueError, match="cpc has"):
        cpc.build(cpc.Options(), network, (1, 50, 1))
