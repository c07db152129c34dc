"""Grad-CAM: against a network whose map is known, on planted sounds, and its share of heart phases by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from auscult import networks
from auscult.inference.explanation_maps import (
    BY_CHANNEL,
    NotExplainable,
    attention,
    explain,
    explained_by,
    grad_cam,
    phase_shares,
)
from auscult.training.data import Frames, Windowing


class Known(nn.Module):
    """Two maps, the input and its negative; the first output is 2 × the first's mean, the second the sum of both."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(1, 2, 1, bias=False)
        with torch.no_grad():
            self.maps.weight[:] = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)

    def forward(self, x):
        pooled = self.maps(x).mean(dim=(2, 3))
        return torch.stack([2 * pooled[:, 0], pooled.sum(dim=1)], dim=1), pooled


def test_a_map_worked_by_hand():
    x = torch.randn(3, 1, 6, 4, generator=torch.Generator().manual_seed(0))
    cam, logits = grad_cam(Known(), x, 0)
    torch.testing.assert_close(cam, (x[:, 0] * 2 / 24).relu())  # gradient 2/24 at each of 24 places, mean 2/24
    torch.testing.assert_close(logits, 2 * x.mean(dim=(1, 2, 3)))
    assert not grad_cam(Known(), x, 1)[0].any()  # the two maps cancel


def test_a_network_without_maps_is_refused():
    with pytest.raises(NotExplainable, match="Linear has no part `maps`"):
        grad_cam(nn.Linear(4, 1), torch.zeros(1, 1, 20, 4), 0)


SMALL = {
    "dbresnet": {"block": "basic", "depths": [1], "widths": [8], "stem_kernel": 3, "stem_pool": False},
    "dynse_bdresnet": {"block": "basic", "depths": [1], "widths": [8], "stem_kernel": 3, "stem_pool": False},
    "compact": {"widths": [8, 16]},
    "cnn_attention": {"widths": [8]},
    "inception_time": {"depth": 3, "filters": 4, "kernels": [9, 5, 3]},
    "crnn_attention": {"widths": [16]},
    "pretrained_vit": {"patch_frames": 4, "patch_bands": 4, "width": 16, "depth": 1, "attention_heads": 2},
}


@pytest.mark.parametrize("name", SMALL)
def test_maps_light_up_where_the_sound_is(name):
    """A loud patch in band 8–11 at a random time is learnt; the map must then be brightest there."""
    torch.manual_seed(0)
    network = networks.build(name, SMALL[name], (1, 40, 16), 1)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)

    def batch(size: int):
        x, y, at = torch.randn(size, 1, 40, 16), torch.arange(size) % 2, torch.randint(0, 32, (size,))
        for k in range(1, size, 2):
            x[k, 0, at[k] : at[k] + 8, 8:12] += 3
        return x, y.float(), at

    for _ in range(80):
        x, y, _ = batch(32)
        loss = nn.functional.binary_cross_entropy_with_logits(network.train()(x)[0][:, 0], y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x, y, at = batch(40)
    cam, logits = grad_cam(network, x, 0)
    assert ((logits > 0) == (y > 0)).float().mean() > 0.9
    inside = torch.zeros_like(cam)
    bands = slice(None) if name in ("inception_time", "crnn_attention") else slice(6, 14)  # these know time alone
    for k in range(1, 40, 2):
        inside[k, max(0, at[k] - 2) : at[k] + 10, bands] = 1
    share = (cam * inside)[1::2].sum() / cam[1::2].sum()
    # a transformer and a recurrent network mix places before their last maps: these say less of where
    assert share > (1.1 if name in ("pretrained_vit", "crnn_attention") else 2) * inside[1::2].mean()


@pytest.mark.parametrize("how", ["sigmoid", "softmax"])
@pytest.mark.parametrize("name", ["cnn_attention", "crnn_attention"])
def test_pooling_by_attention_shows_its_weights(name, how):
    """The logit of a window is the mean of its places' logits by exactly these weights."""
    torch.manual_seed(0)
    network = networks.build(name, {**SMALL[name], "attention": how}, (1, 40, 16), 2).eval()
    nn.init.normal_(network.head.weigh.weight)
    x = torch.randn(3, 1, 40, 16)
    weights, maps = network.attended(x, 1), network.maps(x)
    assert weights.shape == (3, *maps.shape[2:]) and (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim=(1, 2)), torch.ones(3))
    each = network.head.classify(maps.flatten(2).transpose(1, 2))[..., 1].view(weights.shape)
    shown, logits = attention(network, x, 1)
    torch.testing.assert_close((weights * each).sum(dim=(1, 2)), logits)
    assert shown.shape == (3, 40, 16) and explained_by(network) == "attention"


def test_a_transformer_shows_what_its_tokens_take_of_each_patch():
    """Against PyTorch's own attention, followed through two blocks by hand."""
    torch.manual_seed(0)
    options = {"patch": 4, "stride": 4, "width": 16, "depth": 2, "attention_heads": 2}
    network = networks.build("ast", options, (1, 24, 8), 1).eval()
    x = torch.randn(2, 1, 24, 8)
    tokens, taken = network.v.with_positions(network.v.embed(x)), torch.eye(14).expand(2, 14, 14)
    for block in network.v.blocks:
        nn.init.normal_(block.attn.qkv.weight, std=0.3)
        oracle = nn.MultiheadAttention(16, 2, batch_first=True)
        oracle.in_proj_weight, oracle.in_proj_bias = block.attn.qkv.weight, block.attn.qkv.bias
        normed = block.norm1(tokens)
        _, weights = oracle(normed, normed, normed)
        taken = 0.5 * torch.bmm(weights, taken) + 0.5 * taken
        tokens = block(tokens)
    expected = (taken[:, 0, 2:] + taken[:, 1, 2:]) / 2
    weights_shown = network.attended(x, 0)
    assert weights_shown.shape == (2, 6, 2)
    for along in range(6):
        for down in range(2):
            torch.testing.assert_close(weights_shown[:, along, down], expected[:, down * 6 + along])


def test_windows_of_a_recording_are_averaged():
    values = torch.arange(15.0)[:, None].half()
    frames = Frames(
        ["a", "b"],
        Windowing((1, 6, 1), 2, 0.0),
        torch.tensor([0, 10]),
        torch.tensor([10, 4]),
        values,
        None,
        torch.device("cpu"),
    )
    maps, logits = explain(Known(), frames, 0)
    assert [cam.shape for cam in maps] == [(10, 1), (4, 1)]
    np.testing.assert_allclose(maps[0][:, 0], np.arange(10) * 2 / 6)  # every window gives a place the same value
    assert logits[0] == pytest.approx(2 * np.mean([2.5, 4.5, 6.5]))


def test_shares_of_phases():
    cam = np.array([[1.0], [1.0], [4.0], [2.0], [9.0]])
    times = np.arange(5) + 0.5
    states = pd.DataFrame(
        [(0, 2, "S1"), (2, 4, "systole"), (4, 5, "unannotated")], columns=["onset_s", "offset_s", "state"]
    )
    table = phase_shares(cam, times, states).set_index("state")
    assert table["energy"].to_dict() == {"S1": 0.25, "systole": 0.75}
    assert table["time"].to_dict() == {"S1": 0.5, "systole": 0.5}


@pytest.mark.parametrize("cam", [np.zeros((3, 2)), np.ones((3, 2))])
def test_no_shares_without_energy_or_states(cam):
    states = pd.DataFrame([(0, 9, "unannotated" if cam.any() else "S1")], columns=["onset_s", "offset_s", "state"])
    assert phase_shares(cam, np.arange(3.0), states).empty


# maps by channel


@pytest.mark.parametrize("lead", range(0, 8, 3))
def test_a_spike_is_shown_in_or_near_its_lead(lead):
    """A spike in one of eight leads is learnt. A row depends on three leads on either side, and so does its
    brightness: the brightest row is at most three rows away."""
    torch.manual_seed(lead)
    options = {"widths": [8, 8, 8, 16], "repeats": [1, 1], "ratio": 1}
    network = networks.build("im_ecg", options, (8, 96, 1), 1)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)

    def batch(size: int):
        x, y, at = 0.3 * torch.randn(size, 8, 96, 1), torch.arange(size) % 2, torch.randint(10, 80, (size,))
        for number in torch.where(y == 1)[0]:
            x[number, lead, at[number] : at[number] + 8] += 3
        return x, y.float()[:, None]

    for _ in range(40):
        x, y = batch(16)
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(network(x)[0], y).backward()
        optimiser.step()
    assert explained_by(network) == BY_CHANNEL
    x, y = batch(40)
    maps, _ = grad_cam(network, x, 0)
    assert maps.shape == (40, 96, 8)
    rows = maps[y[:, 0] == 1].sum(dim=1)
    near = (torch.arange(8) - lead).abs() <= 3
    assert float(rows[:, near].sum() / rows.sum()) > 0.95 and near[rows.argmax(dim=1)].all()


@pytest.mark.parametrize("seed", range(5))
def test_a_map_with_more_bands_than_the_window_is_their_mean(seed):
    """Not that of the middle ones."""

    class Rows(nn.Module):
        maps_have_channels = False

        def __init__(self, rows: torch.Tensor) -> None:
            super().__init__()
            self.rows, self.maps = rows, nn.Identity()

        def forward(self, x):
            maps = self.maps(x.mean(dim=3, keepdim=True) * self.rows)
            return maps.sum(dim=(1, 2, 3))[:, None], maps.flatten(1)

    rows = torch.rand(12, generator=torch.Generator().manual_seed(seed))
    x = torch.rand(2, 1, 20, 1, generator=torch.Generator().manual_seed(seed + 9))
    torch.testing.assert_close(grad_cam(Rows(rows), x, 0)[0][..., 0], x[:, 0, :, 0] * rows.mean())
