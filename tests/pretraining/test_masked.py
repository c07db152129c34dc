"""Masked patches: what is masked, what is rebuilt from what, for each network that has patches."""

import pytest
import torch

from auscult import networks
from auscult.pretraining.methods import masked

TOKENS = {"width": 16, "depth": 1, "attention_heads": 2}
NETWORKS = {
    "st_mem": ({**TOKENS, "patch": 5}, (3, 40, 1)),
    "ast": ({**TOKENS, "patch": 4, "stride": 4}, (1, 20, 16)),
    "pretrained_vit": ({**TOKENS, "patch_frames": 4, "patch_bands": 8}, (2, 20, 16)),
}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(name: str, **options):
    torch.manual_seed(0)
    settings, inputs = NETWORKS[name]
    network = networks.build(name, settings, inputs, 1)
    small = {"width": 8, "depth": 1, "attention_heads": 2}
    return network, masked.build(masked.Options(**{**small, **options}), network, inputs), inputs


def batch(inputs, seed=1, size=4):
    return torch.randn(size, *inputs, generator=generator(seed))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_patches_cover_the_window_once(name):
    network, _, inputs = built(name)
    x = batch(inputs)
    values = network.patched(x).values
    assert values[0].numel() == x[0].numel()
    torch.testing.assert_close(values.flatten(1).sort(dim=1)[0], x.flatten(1).sort(dim=1)[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_token_is_of_its_own_patch(name):
    """A value that changes reaches one token, which is that of the patch it stands in."""
    network, _, inputs = built(name)
    network.eval()
    x = batch(inputs)
    for seed in range(10):
        place = [int(torch.randint(size, (), generator=generator(seed))) for size in inputs]
        changed = x.clone()
        changed[(slice(None), *place)] += 3
        before, after = network.patched(x), network.patched(changed)
        tokens = (before.tokens != after.tokens).any(dim=3)
        assert torch.equal(tokens, (before.values != after.values).any(dim=3)) and (tokens.sum(dim=(1, 2)) == 1).all()


@pytest.mark.parametrize("ratio", [0.5, 0.75, 0.9])
@pytest.mark.parametrize("name", NETWORKS)
def test_each_group_keeps_the_same_share_and_only_the_masked_ones_count(name, ratio):
    network, method, inputs = built(name, ratio=ratio, norm_values=False)
    patches = network.patched(batch(inputs))
    count = patches.tokens.shape[2]
    assert method.visible(count) == max(1, int(count * (1 - ratio)))
    values = patches.values.clone().requires_grad_()
    method.targets = lambda _: values  # its gradient shows which targets count
    method(network, network, batch(inputs), torch.zeros(4, 1), generator(5)).backward()
    counts = (values.grad.abs().sum(dim=3) > 0).sum(dim=2)
    assert (counts == count - method.visible(count)).all()
    order = method.draw_order(patches, generator(5))
    kept = order[..., : method.visible(count)]
    assert (values.grad.abs().sum(dim=3).gather(2, kept) == 0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_masked_is_not_seen(name):
    network, method, inputs = built(name)
    network.eval()
    x = batch(inputs)
    patches = network.patched(x)
    order = method.draw_order(patches, generator(2))
    hidden = torch.ones(order.shape, dtype=torch.bool).scatter(2, order[..., : method.visible(order.shape[2])], False)
    changed = patches.__class__(patches.values, patches.tokens + 5 * hidden[..., None], patches.first)
    torch.testing.assert_close(method.rebuilt(network, patches, order), method.rebuilt(network, changed, order))


@pytest.mark.parametrize("lead", range(3))
def test_each_lead_is_rebuilt_by_itself(lead):
    _, method, _ = built("st_mem")
    encoded, kept = torch.randn(2, 3, 4, 8, generator=generator(0)), torch.tensor([1, 6]).expand(2, 3, 2)
    changed = encoded.clone()
    changed[:, lead] += 1
    differs = (method.decode(encoded, kept, 8) != method.decode(changed, kept, 8)).flatten(2).any(dim=2)
    assert torch.equal(differs, (torch.arange(3) == lead).expand(2, 3))


def test_kept_tokens_go_back_to_their_places():
    """With identities for the decoder, a kept place has its token and a masked one the mask's."""
    _, method, _ = built("st_mem")
    method.blocks, method.norm, method.rebuild = torch.nn.Identity(), torch.nn.Identity(), torch.nn.Identity()
    order = torch.stack([torch.randperm(8, generator=generator(seed)) for seed in range(6)]).view(2, 3, 8)
    kept, encoded = order[..., :3], torch.randn(2, 3, 5, 8, generator=generator(1))
    out = method.decode(encoded, kept, 8) - masked.sine_positions(8, 8)
    for window in range(2):
        for lead in range(3):
            for place in range(8):
                at = (kept[window, lead] == place).nonzero()
                expected = encoded[window, lead, 2 + int(at)] if len(at) else method.mask_token
                torch.testing.assert_close(out[window, lead, place], expected)


@pytest.mark.parametrize("seed", range(3))
def test_zeros_have_the_loss_one(seed):
    network, method, inputs = built("st_mem")
    torch.nn.init.zeros_(method.rebuild.weight)
    torch.nn.init.zeros_(method.rebuild.bias)
    loss = method(network, network, 7 * batch(inputs, seed) + 3, torch.zeros(4, 1), generator(seed))
    assert float(loss.detach()) == pytest.approx(1, abs=1e-3)


def test_every_lead_has_its_patches_and_two_separators():
    network, _, inputs = built("st_mem")
    patches = network.patched(batch(inputs))
    assert patches.tokens.shape == (4, 3, 8, 16) and patches.first.shape == (4, 3, 2, 16)


@pytest.mark.parametrize("leads", [[2], [0, 2], [2, 0, 1]])
def test_a_lead_keeps_its_embedding_when_others_are_left_out(leads):
    torch.manual_seed(0)
    whole = networks.build("st_mem", {**TOKENS, "patch": 5}, (3, 40, 1), 1)
    some = networks.build("st_mem", {**TOKENS, "patch": 5, "leads": leads}, (3, 40, 1), 1)
    some.load_state_dict(whole.state_dict())
    x = batch((3, 40, 1))
    torch.testing.assert_close(some.patched(x).tokens, whole.patched(x).tokens[:, leads])


def test_what_cannot_be_masked_is_refused():
    overlapping = networks.build("ast", {**TOKENS, "patch": 4, "stride": 2}, (1, 20, 16), 1)
    with pytest.raises(ValueError, match="overlap"):
        masked.build(masked.Options(), overlapping, (1, 20, 16))
    with pytest.raises(ValueError, match="st_mem have"):
        masked.build(masked.Options(), networks.build("compact", {}, (1, 20, 16), 1), (1, 20, 16))
    one = networks.build("st_mem", {**TOKENS, "patch": 40}, (3, 40, 1), 1)
    with pytest.raises(ValueError, match="one patch"):
        masked.build(masked.Options(), one, (3, 40, 1))
    with pytest.raises(ValueError, match="no channel 3"):
        networks.build("st_mem", {**TOKENS, "leads": [3]}, (3, 40, 1), 1)
