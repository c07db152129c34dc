"""SE-ECGNet: what a lead reaches before the leads are folded, the shapes of a branch, and shared shortcuts."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from auscult import networks
from auscult.networks.layers.squeeze import Squeeze
from auscult.training.checkpoint import on_cpu

SMALL = {"width": 8, "stem_kernel": 10, "ratio": 1}


def build(inputs, seed, **options) -> nn.Module:
    torch.manual_seed(seed)
    return networks.build("se_ecgnet", {**SMALL, **options}, inputs, 2).eval()


@pytest.mark.parametrize("gates", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_before_folding_a_lead_reaches_others_by_the_gates_alone(seed, gates):
    maps, x, lead = build((6, 100, 1), seed).maps, torch.randn(2, 6, 100, 1), int(torch.randint(6, ()))
    if not gates:
        for module in list(maps.modules()):
            for name, part in module.named_children():
                if isinstance(part, Squeeze):
                    setattr(module, name, nn.Identity())
    changed = x.clone()
    changed[:, lead] += torch.randn(2, 100, 1)
    with torch.no_grad():
        for branch in maps.branches:
            before, after = (branch.along_leads(maps.lead(a.permute(0, 3, 1, 2))) for a in (x, changed))
            difference = (before - after).abs().amax(dim=(0, 1, 3))
            others = torch.arange(6) != lead
            assert difference[lead] > 1e-4
            assert (difference[others] > 0).all() if gates else (difference[others] == 0).all()


@pytest.mark.parametrize(("leads", "frames"), [(8, 2048), (12, 1000), (1, 250)])
def test_the_published_shapes(leads, frames):
    network = build((leads, frames, 1), 0, width=4, stem_kernel=50)
    with torch.no_grad():
        of_lead = network.maps.lead(torch.randn(2, 1, leads, frames))
        maps = network.maps(torch.randn(2, leads, frames, 1))
    steps = (frames - 50) // 2 + 1
    for _ in range(3):
        steps = -(-steps // 2)
    assert of_lead.shape == (2, 4, leads, steps)
    for _ in range(4):
        steps = -(-steps // 2)
    assert maps.shape == (2, 3 * 4 * leads, steps, 1)
    assert steps == {2048: 8, 1000: 4, 250: 1}[frames]


@pytest.mark.parametrize("shared", [False, True])
def test_shared_shortcuts_are_one_module_in_each_row(shared):
    network = build((2, 100, 1), 0, shared_shortcuts=shared)
    halves = [part for part in network.modules() if type(part).__name__ == "Shortcut"]
    assert len(halves) == (1 + 3 if shared else 3 + 3 * 4)  # modules() names a shared module once
    (network(torch.randn(4, 2, 100, 1))[0] ** 2).sum().backward()
    assert all(p.grad.abs().sum() > 0 for half in halves for p in half.parameters())


@pytest.mark.parametrize("shared", [True, False])
def test_weights_can_be_saved_and_loaded_also_where_parts_share_them(tmp_path, shared):
    network = build((2, 100, 1), 0, shared_shortcuts=shared)
    save_file(on_cpu(network.state_dict()), tmp_path / "w.safetensors")
    other = build((2, 100, 1), 1, shared_shortcuts=shared)
    other.load_state_dict(load_file(tmp_path / "w.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
