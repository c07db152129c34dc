"""Stochastic passes: batched ones are distributed as passes one after another."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult import networks
from auscult.config.systems import Head
from auscult.inference.monte_carlo import stochastic_passes
from auscult.networks.layers.dropout import StochasticDropout, set_stochastic
from auscult.training.data import Frames, Windowing
from auscult.training.device import MemoryFull

HEADS = {
    "present": Head(label="murmur", positive=["Present"]),
    "grade": Head(label="grade", kind="multiclass", classes=["I", "II", "III"]),
}
LENGTHS = [20, 5, 14]
HOP = 5
WINDOWS = ([0, 0, 0, 1, 2, 2], [0, 5, 10, 0, 0, 4])


@pytest.fixture(scope="module")
def frames() -> Frames:
    values = torch.randn(sum(LENGTHS) + 1, 3, generator=torch.Generator().manual_seed(0)).half()
    values += torch.linspace(-3, 3, len(values))[:, None].half()  # windows that differ clearly
    values[-1] = 0
    offset = torch.tensor(np.cumsum(LENGTHS) - LENGTHS)
    names = ["a", "b", "c"]
    return Frames(
        names, Windowing((1, 10, 3), HOP, 0.0), offset, torch.tensor(LENGTHS), values, None, torch.device("cpu")
    )


def network(drop: str = "elements", dropout: float = 0.4) -> torch.nn.Module:
    torch.manual_seed(1)
    options = {"block": "basic", "depths": [1], "widths": [6], "stem_kernel": 3, "stem_stride": 1, "stem_pool": False}
    return networks.build("dbresnet", {**options, "drop": drop, "dropout": dropout}, (1, 10, 3), 4)


def run(frames, passes=6, batch=64, seed=0, net=None, **options):
    return stochastic_passes(net or network(**options), frames, HEADS, passes, batch, seed)


def test_shapes_and_windows(frames):
    recording, start, p, latents = run(frames)
    assert (recording.tolist(), start.tolist()) == WINDOWS
    assert p.shape == (6, 6, 4) and p.dtype == np.float32
    assert latents.shape == (6, 6) and latents.dtype == np.float32
    assert p[..., 1:].sum(axis=-1) == pytest.approx(np.ones((6, 6)), abs=1e-5)
    assert (p > 0).all() and (p < 1).all()


@pytest.mark.parametrize("drop", ["elements", "channels"])
def test_batched_passes_are_distributed_as_sequential_ones(frames, drop):
    net, passes = network(drop), 3000
    _, _, batched, latents = run(frames, passes, 4 * passes, net=net)
    x = frames.batch(*map(torch.tensor, WINDOWS))
    set_stochastic(net.eval(), True)
    one_by_one, hidden = [], 0
    torch.manual_seed(99)
    with torch.no_grad():
        for _ in range(passes):
            logits, latent = net(x)
            one_by_one.append(torch.cat([logits[:, :1].sigmoid(), logits[:, 1:].softmax(dim=1)], dim=1))
            hidden = hidden + latent / passes
    sequential = torch.stack(one_by_one, dim=1).numpy()
    spread = np.sqrt(sequential.var(axis=1))
    error = 5 * spread / np.sqrt(passes)
    assert (spread > 0.01).all()
    assert (np.abs(batched.mean(axis=1) - sequential.mean(axis=1)) < error).all()
    np.testing.assert_allclose(batched.std(axis=1), spread, rtol=0.15)
    np.testing.assert_allclose(latents, hidden.numpy(), atol=0.05 * hidden.abs().max().item())
    means = sequential.mean(axis=1)
    assert np.abs(means[0] - means[1:]).max(axis=1).min() > error.max()  # windows differ clearly


def test_passes_and_windows_are_independent(frames):
    _, _, p, _ = run(frames, passes=2000, batch=10_000)
    logits = np.log(p[..., 0] / (1 - p[..., 0]))
    across = np.corrcoef(logits) - np.eye(6)
    assert np.abs(across).max() < 0.1
    assert abs(np.corrcoef(logits[:, :-1].ravel(), logits[:, 1:].ravel())[0, 1]) < 1  # not one pass repeated
    for row in logits:
        assert abs(np.corrcoef(row[:-1], row[1:])[0, 1]) < 0.1


@pytest.mark.parametrize("batch", [1, 6, 13, 1000])
def test_any_batch_size_gives_every_window_its_own_passes(frames, batch):
    _, _, p, _ = run(frames, batch=batch, dropout=0.0)
    _, _, expected, _ = run(frames, dropout=0.0)
    np.testing.assert_allclose(p, expected, atol=1e-6)
    assert np.ptp(p, axis=1).max() < 1e-6 < np.ptp(p, axis=0).max()


def test_batches_hold_at_most_so_many_rows(frames):
    rows, net = [], network()
    net.register_forward_hook(lambda module, inputs, out: rows.append(len(inputs[0])))
    run(frames, passes=6, batch=13, net=net)
    assert rows == [12, 6, 6, 12]  # windows of one recording at a time


@settings(deadline=None, max_examples=25)
@given(st.permutations(range(3)), st.integers(1, 3), st.sampled_from([6, 12, 64]))
def test_a_recording_alone_or_among_any_others_gives_the_same_bytes(frames, order, count, batch):
    """Whatever subset of the recordings is scored, in whatever order."""
    net, chosen = network(), order[:count]
    recording, _, expected, expected_latents = run(frames, batch=batch, net=net)
    subset = replace(
        frames,
        recordings=[frames.recordings[number] for number in chosen],
        offset=frames.offset[list(chosen)],
        length=frames.length[list(chosen)],
    )
    numbers, _, p, latents = run(subset, batch=batch, net=net)
    for place, number in enumerate(chosen):
        assert (p[numbers == place] == expected[recording == number]).all()
        assert (latents[numbers == place] == expected_latents[recording == number]).all()


def test_the_seed_decides(frames):
    first, again, other = (run(frames, seed=seed)[2] for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_dropout_is_switched_off_afterwards_and_statistics_are_kept(frames):
    net = network().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    run(frames, net=net)
    assert not any(m.stochastic for m in net.modules() if isinstance(m, StochasticDropout))
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


class Full(torch.nn.Module):
    """A network that fills the memory with more than `most` rows, as a GPU says it."""

    def __init__(self, inner: torch.nn.Module, most: int) -> None:
        super().__init__()
        self.inner, self.most = inner, most

    def forward(self, x: torch.Tensor):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.inner(x)


def test_a_full_memory_halves_the_batch_and_gives_what_the_half_gives(frames, capfd):
    expected = run(frames, passes=6, batch=12)
    halved = run(frames, passes=6, batch=48, net=Full(network(), most=14))
    for mine, theirs in zip(halved, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert "again with inference.batch 12" in capfd.readouterr().err
    with pytest.raises(MemoryFull, match=r"lower inference\.passes"):
        run(frames, passes=6, batch=48, net=Full(network(), most=5))
