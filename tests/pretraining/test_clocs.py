"""CLOCS: which views are compared, and the loss of a pair by an independent loop."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from auscult import networks
from auscult.pretraining.methods import clocs

SMALL = {"widths": [4, 4, 8], "places": 4, "embedding": 8}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(views="cmsmlc", inputs=(3, 40, 1), **options):
    torch.manual_seed(0)
    network = networks.build("clocs", {**SMALL, **options}, inputs, 1)
    return network, clocs.build(clocs.Options(views=views), network, inputs)


def by_hand(a: torch.Tensor, b: torch.Tensor, subjects: list[int]) -> float:
    """The published loss of two views, term by term."""
    scores = [[functional.cosine_similarity(x, y, dim=0).item() / 0.1 for y in b] for x in a]
    n = len(subjects)
    row = [[s - math.log(sum(math.exp(v) for v in scores[i])) for s in scores[i]] for i in range(n)]
    column = [
        [scores[i][j] - math.log(sum(math.exp(scores[k][j]) for k in range(n))) for j in range(n)] for i in range(n)
    ]
    above = [(i, j) for i in range(n) for j in range(i + 1, n) if subjects[i] == subjects[j]]
    terms = [
        [-row[i][i] for i in range(n)],
        [-column[i][i] for i in range(n)],
        [-row[i][j] for i, j in above],
        [-column[j][i] for i, j in above],
    ]
    means = [sum(values) / len(values) for values in terms if values]
    return sum(means) / len(means)


@pytest.mark.parametrize("seed", range(10))
def test_the_loss_of_two_views(seed):
    _, method = built()
    a, b = torch.randn(2, 7, 5, generator=generator(seed)).unbind(0)
    subjects = torch.randint(0, 5, (7,), generator=generator(seed))
    assert float(method.of_pair(a, b, subjects)) == pytest.approx(by_hand(a, b, subjects.tolist()), rel=1e-4)


@pytest.mark.parametrize("batch", [2, 5, 32])
def test_equal_embeddings_are_chance(batch):
    _, method = built()
    same = torch.ones(batch, 4)
    assert float(method.of_pair(same, same, torch.arange(batch))) == pytest.approx(math.log(batch), rel=1e-5)


@pytest.mark.parametrize(
    ("views", "count", "compared"),
    [
        ("cmsc", 6, [(0, 3), (1, 4), (2, 5)]),  # each channel's halves
        ("cmlc", 3, [(0, 1), (0, 2), (1, 2)]),
        ("cmsmlc", 6, [(i, j) for i in range(6) for j in range(i + 1, 6)]),
    ],
)
def test_the_loss_is_the_mean_over_pairs_of_views(views, count, compared):
    """Three views have three pairs; the published code would keep the last one."""
    channels = 3
    network, method = built(views, (channels, 40, 1))
    network.eval()
    x, subjects = torch.randn(6, channels, 40, 1, generator=generator(1)), torch.arange(6.0)[:, None]
    embeddings = method.embeddings_of_views(network, x)
    assert embeddings.shape == (count, 6, 8)
    pairs = [by_hand(embeddings[i], embeddings[j], [*range(6)]) for i, j in compared]
    loss = method(network, network, x, subjects, generator(0))
    assert float(loss) == pytest.approx(sum(pairs) / len(pairs), rel=1e-4)


def test_the_halves_of_a_window_are_the_views_over_time():
    network, method = built("cmsc", (2, 41, 1), channels="joint")
    network.eval()
    x = torch.randn(3, 2, 41, 1, generator=generator(2))
    first, second = method.embeddings_of_views(network, x)
    torch.testing.assert_close(first, network.embeddings(x[:, :, :20])[:, 0])
    torch.testing.assert_close(second, network.embeddings(x[:, :, 20:40])[:, 0])


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_records_does_not_matter(seed):
    network, method = built()
    network.eval()
    x, order = torch.randn(6, 3, 40, 1, generator=generator(seed)), torch.randperm(6, generator=generator(seed))
    losses = [
        method(network, network, x[o], torch.arange(6.0)[o][:, None], generator(0)) for o in (order, order.sort()[0])
    ]
    torch.testing.assert_close(*losses)


def test_windows_of_one_subject_are_pulled_together():
    torch.manual_seed(0)
    network, method = built("cmlc")
    base = torch.randn(4, 1, 40, 1)
    subjects = torch.arange(8.0)[:, None] // 2
    x = (base.repeat_interleave(2, dim=0) + 0.3 * torch.randn(8, 3, 40, 1)).float()
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)

    def similarity() -> float:
        network.eval()
        z = functional.normalize(network.embeddings(x).mean(dim=1), dim=1)
        s = z @ z.T
        same = (subjects == subjects.T) & ~torch.eye(8, dtype=torch.bool)
        network.train()
        return float((s[same].mean() - s[subjects != subjects.T].mean()).detach())

    before = similarity()
    for _ in range(100):
        optimiser.zero_grad()
        method(network, network, x, subjects, generator(0)).backward()
        optimiser.step()
    assert similarity() > before + 0.2


@pytest.mark.parametrize("size", [1, 2, 9])
def test_a_batch_of_one_subject_teaches_nothing(size):
    """The last batch of an epoch may be of one subject by chance."""
    network, method = built()
    loss = method(network, network, torch.randn(size, 3, 40, 1), torch.ones(size, 1), generator(0))
    loss.backward()
    assert loss == 0 and all((p.grad is None) or (p.grad == 0).all() for p in network.parameters())


def test_recordings_of_one_subject_are_refused():
    clocs.check({}, np.array([[0.0], [1.0], [0.0]]))
    with pytest.raises(ValueError, match="all recordings are of one subject"):
        clocs.check({}, np.zeros((9, 1)))


def test_what_has_no_views_is_refused():
    with pytest.raises(ValueError, match="take `cmsc`"):
        built("cmlc", (1, 40, 1))
    with pytest.raises(ValueError, match="longer windows"):
        built("cmsc", (1, 1, 1))
    with pytest.raises(ValueError, match="clocs has"):
        clocs.build(clocs.Options(), networks.build("compact", {}, (1, 40, 16), 1), (1, 40, 16))


def test_scaling_hides_gain_and_shift_and_is_an_option():
    x = torch.randn(4, 2, 30, 1, generator=generator(3))
    for scale in (True, False):
        network, _ = built("cmsc", (2, 30, 1), scale=scale)
        network.eval()
        is_same = torch.allclose(network(x)[1], network(3 * x + 1)[1], atol=1e-4)
        assert is_same == scale
