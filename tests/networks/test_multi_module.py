"""The multi-module network: its tokens, each module alone, and attention over the frames of the tokens."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from auscult import networks

SMALL = {"widths": [8, 16], "lstm": 8, "parts": 3, "window": 8, "hop": 4}
FEW = settings(max_examples=15, deadline=None, derandomize=True)


def build(inputs, seed=0, **options) -> nn.Module:
    torch.manual_seed(seed)
    return networks.build("multi_module", {**SMALL, **options}, inputs, 2).eval()


def counts(frames: int, window: int, hop: int) -> int:
    return 1 + max(0, frames - window) // hop


@given(frames=st.integers(1, 90), parts=st.integers(1, 12), window=st.integers(2, 20), hop=st.integers(1, 9))
@FEW
def test_tokens_are_one_and_the_parts_and_the_windows(frames, parts, window, hop):
    network = build((2, frames, 1), parts=parts, window=window, hop=hop)
    with torch.no_grad():
        tokens = network.embed(torch.randn(3, 2, frames, 1))
    assert [token.shape for token in tokens] == [(3, n, 16) for n in (1, parts, counts(frames, window, hop))]


@pytest.mark.parametrize("modules", ["signal", "spectrum", "both"])
def test_each_module_learns_alone(modules):
    network = build((2, 48, 1), modules=modules, dropout=0).train()
    x, y = torch.randn(16, 2, 48, 1), (torch.arange(16) % 2).float()
    x[y == 1] *= 3
    optimiser, losses = torch.optim.AdamW(network.parameters(), lr=3e-3), []
    for _ in range(15):
        optimiser.zero_grad()
        losses.append(nn.functional.binary_cross_entropy_with_logits(network(x)[0][:, 0], y))
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.5 * losses[0]
    assert len(network.parts) == (2 if modules == "both" else 1)


@given(frames=st.integers(1, 90), modules=st.sampled_from(["signal", "spectrum", "both"]), seed=st.integers(0, 999))
@FEW
def test_attention_has_a_weight_for_each_frame(frames, modules, seed):
    network = build((2, frames, 1), seed, modules=modules)
    with torch.no_grad():
        weights = network.attended(torch.randn(3, 2, frames, 1), 0)
    assert weights.shape == (3, frames, 1)
    assert (weights >= 0).all() and (weights.sum(dim=(1, 2)) < 1).all() and (weights.sum(dim=(1, 2)) > 0).all()


@given(frames=st.integers(8, 90), data=st.data())
@FEW
def test_the_weight_of_a_token_lies_on_its_frames(frames, data):
    signal, spectrum = build((2, frames, 1)).parts
    part, window = data.draw(st.integers(0, 2)), data.draw(st.integers(0, counts(frames, 8, 4) - 1))
    length = -(-frames // 3)
    on_part = signal.spread(torch.eye(3)[[part]], frames)[0]
    assert torch.nonzero(on_part)[:, 0].tolist() == list(range(part * length, min(frames, (part + 1) * length)))
    on_window = spectrum.spread(torch.eye(counts(frames, 8, 4))[[window]], frames)[0]
    assert torch.nonzero(on_window)[:, 0].tolist() == list(range(4 * window, 4 * window + 8))
    assert on_window.sum() == pytest.approx(1)


@given(frames=st.integers(8, 60), data=st.data())
@FEW
def test_a_token_of_a_window_comes_first_from_its_own_frames(frames, data):
    """The spectrogram's columns before the LSTM, whose windows do not overlap others by more than the hop."""
    spectrum = build((2, frames, 1)).parts[1].spectrum
    x, frame = torch.randn(1, 2, frames), data.draw(st.integers(0, frames - 1))
    changed = x.clone()
    changed[:, :, frame] += 1
    moved = (spectrum(x) - spectrum(changed)).abs().amax(dim=(0, 1, 3)) > 0
    assert moved.tolist() == [4 * n <= frame < 4 * n + 8 for n in range(counts(frames, 8, 4))]


def test_the_spectrogram_of_silence_is_0():
    assert not build((2, 40, 1)).parts[1].spectrum(torch.zeros(1, 2, 40)).any()
