"""IM-ECG: maps with a row for each lead, what a lead can reach, and where Grad-CAM finds a planted wave."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from auscult import networks
from auscult.networks.layers.squeeze import Squeeze

SMALL = {"widths": [8, 8, 8, 8], "repeats": [1, 1], "ratio": 1, "dropout": 0}
REACH = 3  # three convolutions in a row cover three neighbouring leads each
SEEDS = range(4)


def build(inputs, seed, **options) -> nn.Module:
    torch.manual_seed(seed)
    return networks.build("im_ecg", {**SMALL, **options}, inputs, 2).eval()


def without_gates(network: nn.Module) -> nn.Module:
    for module in network.modules():
        for name, part in module.named_children():
            if isinstance(part, Squeeze):
                setattr(module, name, nn.Identity())
    return network


@pytest.mark.parametrize("seed", SEEDS)
def test_maps_have_a_row_for_each_lead(seed):
    generator = torch.Generator().manual_seed(seed)
    leads, frames = (int(torch.randint(low, high, (), generator=generator)) for low, high in ((1, 15), (2, 300)))
    maps = build((leads, frames, 1), seed).maps(torch.randn(2, leads, frames, 1))
    expected = frames // 2
    for _ in range(3):
        expected = -(-expected // 2)
    assert maps.shape == (2, 24, expected, leads)


@pytest.mark.parametrize("gates", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_lead_reaches_three_leads_beside_it_and_all_by_the_gates(seed, gates):
    network = build((12, 64, 1), seed)
    network = network if gates else without_gates(network)
    x, lead = torch.randn(2, 12, 64, 1), int(torch.randint(12, ()))
    changed = x.clone()
    changed[:, lead] = 0
    with torch.no_grad():
        difference = (network.maps(x) - network.maps(changed)).abs().amax(dim=(0, 1, 2))
    is_near = (torch.arange(12) - lead).abs() <= REACH
    assert (difference[is_near] > 1e-6).all()
    assert (difference[~is_near] > 1e-7).all() if gates else (difference[~is_near] == 0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_the_leads_matters(seed):
    network, x = build((6, 64, 1), seed), torch.randn(2, 6, 64, 1)
    order = torch.randperm(6)
    while (order == torch.arange(6)).all():
        order = torch.randperm(6)
    with torch.no_grad():
        assert ((network(x)[0] - network(x[:, order])[0]).abs() > 1e-6).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_grad_cam_finds_a_wave_within_the_reach_of_its_lead(seed):
    leads, frames, count, size = 12, 32, 24, 12
    network = build((leads, frames, 1), seed).train()
    lead, starts = int(torch.randint(leads, ())), torch.randint(frames - size, (count,))
    x, has_wave = 0.3 * torch.randn(count, leads, frames, 1), torch.arange(count) % 2 == 1
    for number in torch.nonzero(has_wave)[:, 0]:
        x[number, lead, starts[number] : starts[number] + size, 0] += 4 * torch.hann_window(size)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(5):
        for rows in torch.randperm(count).split(4):
            optimiser.zero_grad()
            functional.binary_cross_entropy_with_logits(network(x[rows])[0][:, 0], has_wave[rows].float()).backward()
            optimiser.step()
    outputs: list[torch.Tensor] = []
    network.maps.register_forward_hook(lambda module, inputs, out: outputs.append(out))
    logits = network.eval()(x[has_wave])[0][:, 0]
    gradient = torch.autograd.grad(logits.sum(), outputs[0])[0]
    brightness = (gradient * outputs[0].detach()).sum(dim=1).relu().sum(dim=(0, 1))  # of each lead
    is_near = (torch.arange(leads) - lead).abs() <= REACH
    assert brightness[is_near].mean() > 3 * brightness[~is_near].mean()
    assert is_near[brightness.argmax()]
