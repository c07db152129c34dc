"""The training loop: loss, learning rate, what is learnt, which epoch is kept, and what a killed training leaves."""

import math
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.metrics import log_loss
from torch.nn import functional

from auscult import networks
from auscult.config.systems import Augment, Head, Training
from auscult.training import checkpoint, loop, validation
from auscult.training.checkpoint import Checkpoint
from auscult.training.data import Frames, Windowing
from auscult.training.device import MemoryFull
from auscult.training.loop import TrainingPlan, fit
from auscult.training.loss import LabelLoss, weighted_loss
from auscult.training.optimiser import averaged_step, learning_rate
from auscult.training.role_data import RoleData

BINARY = {"present": Head(label="murmur", positive=["Present"])}
GRADES = {"grade": Head(label="grade", kind="multiclass", classes=["I", "II", "III"])}
RHYTHMS = {"rhythm": Head(label="rhythm", kind="multilabel", classes=["af", "pvc"])}
CPU = torch.device("cpu")
WINDOW, HOP, BANDS = 10, 5, 3


# loss


def ones(outputs: int) -> torch.Tensor:
    return torch.ones(2, outputs)


def random(rows: int, outputs: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, outputs, generator=torch.Generator().manual_seed(seed))


def test_loss_worked_by_hand():
    y = torch.tensor([[1.0], [0.0]])
    assert float(weighted_loss(torch.zeros(2, 1), y, ones(1), BINARY)) == pytest.approx(math.log(2))
    weights = torch.tensor([[0.5], [3.0]])
    assert float(weighted_loss(torch.zeros(2, 1), y, weights, BINARY)) == pytest.approx(math.log(2) * 3.5 / 2)
    logits = torch.tensor([[math.log(2), 0.0, 0.0]])
    y = torch.tensor([[0.5, 0.5, 0.0]])
    expected = 0.5 * math.log(2) + 0.5 * math.log(4)
    assert float(weighted_loss(logits, y, ones(3), GRADES)) == pytest.approx(expected)


def test_binary_loss_as_torch():
    logits, y = random(20, 1), (random(20, 1, 1) > 0).float()
    weights = torch.tensor([[1.0], [4.0]])
    expected = functional.binary_cross_entropy_with_logits(logits, y, pos_weight=weights[1])
    torch.testing.assert_close(weighted_loss(logits, y, weights, BINARY), expected)


def test_multilabel_loss_as_torch_with_soft_targets():
    logits, y = random(20, 2), random(20, 2, 1).sigmoid()
    expected = functional.binary_cross_entropy_with_logits(logits, y)
    torch.testing.assert_close(weighted_loss(logits, y, ones(2), RHYTHMS), expected)


def test_multiclass_loss_as_torch_and_scikit_learn():
    logits, labels = random(20, 3), torch.arange(20) % 3
    y = torch.eye(3)[labels]
    plain = weighted_loss(logits, y, ones(3), GRADES)
    torch.testing.assert_close(plain, functional.cross_entropy(logits, labels))
    assert float(plain) == pytest.approx(log_loss(labels, logits.double().softmax(dim=1)), rel=1e-5)
    weights = torch.tensor([[9.0, 9, 9], [0.5, 2, 1]])
    expected = functional.cross_entropy(logits, labels, weight=weights[1], reduction="sum") / 20
    torch.testing.assert_close(weighted_loss(logits, y, weights, GRADES), expected)


def test_loss_is_the_mean_over_heads_and_skips_missing_targets():
    heads = {**BINARY, **GRADES}
    logits, y = random(6, 4), torch.cat([torch.ones(6, 1), torch.eye(3).repeat(2, 1)], dim=1)
    y[:2, 0] = y[4:, 1:] = math.nan
    expected = [
        weighted_loss(logits[2:, :1], y[2:, :1], ones(1), BINARY),
        weighted_loss(logits[:4, 1:], y[:4, 1:], ones(3), GRADES),
    ]
    torch.testing.assert_close(weighted_loss(logits, y, ones(4), heads), torch.stack(expected).mean())
    y[:, 0] = math.nan
    logits.requires_grad_()
    weighted_loss(logits, y, ones(4), heads).backward()
    assert (logits.grad[:, 0] == 0).all() and torch.isfinite(logits.grad).all()


# learning rate


@pytest.mark.parametrize("seed", range(3))
def test_a_networks_own_term_is_added_to_the_loss(seed):
    torch.manual_seed(seed)

    class Network(torch.nn.Module):
        def __init__(self, share: float) -> None:
            super().__init__()
            self.share, self.head = share, torch.nn.Linear(3, 1)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.head(x.mean(dim=(2, 3))), x.mean(dim=(2, 3))

        def extra_loss(self, latents: torch.Tensor) -> torch.Tensor:
            return self.share * (latents**2).sum()

    x, y = torch.randn(4, 3, 5, 2), torch.randint(0, 2, (4, 1)).float()
    loss = LabelLoss(Training(balance="none"), BINARY, y.numpy(), CPU)
    network = Network(0.5)
    total = loss(network, network, x, y, torch.Generator())
    logits, latents = network(x)
    torch.testing.assert_close(total, loss.of_labels(logits, y) + 0.5 * (latents**2).sum())


@pytest.mark.parametrize(
    ("schedule", "warmup", "ends"),
    [
        ("constant", 0, {0: 1, 0.3: 1, 1: 1}),
        ("constant", 0.2, {0: 0, 0.1: 0.5, 0.2: 1, 1: 1}),
        ("cosine", 0, {0: 1, 0.5: 0.5, 1: 0}),
        ("cosine", 0.2, {0: 0, 0.05: 0.25, 0.2: 1, 0.6: 0.5, 1: 0}),
        ("one_cycle", 0, {0: 0.04, 0.15: 0.52, 0.225: 0.859411, 0.3: 1, 0.65: 0.50005, 1: 1e-4}),
    ],
)
def test_learning_rate(schedule, warmup, ends):
    settings = Training(schedule=schedule, learning_rate=0.02, warmup=warmup)
    for progress, share in ends.items():
        assert learning_rate(settings, progress) == pytest.approx(0.02 * share)


def test_one_cycle_rises_then_falls():
    rates = [learning_rate(Training(schedule="one_cycle"), k / 100) for k in range(101)]
    assert (np.diff(rates[:31]) > 0).all() and (np.diff(rates[30:]) < 0).all()


# fit


def role_data(size: int, seed: int, gap: float = 2.0) -> RoleData:
    """Recordings of `size` cases, two each, whose band 0 says the class; some have no label."""
    rng = np.random.default_rng(seed)
    labels = np.arange(size) % 2
    case_of = np.repeat(np.arange(size), 2)
    lengths = rng.integers(6, 30, size=2 * size)
    rows = rng.standard_normal((int(lengths.sum()) + 1, BANDS))
    rows[:-1, 0] += gap * np.repeat(labels[case_of], lengths)
    rows[-1] = 0
    offsets = np.cumsum(lengths) - lengths
    values = torch.tensor(rows, dtype=torch.float16)
    names = [f"r{k}" for k in range(2 * size)]
    windowing = Windowing((1, WINDOW, BANDS), HOP, 0.0)
    frames = Frames(names, windowing, torch.tensor(offsets), torch.tensor(lengths), values, None, CPU)
    targets = labels[:, None].astype(np.float32)
    targets[-1] = np.nan
    return RoleData(frames, targets[case_of], case_of, targets)


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    options = {"block": "basic", "depths": [1], "widths": [6], "stem_kernel": 3, "stem_stride": 1, "stem_pool": False}
    return networks.build("dbresnet", options, (1, WINDOW, BANDS), 1)


def plan(**training) -> TrainingPlan:
    values = {"epochs": 5, "batch": 16, "crops": 2, "learning_rate": 0.02, "patience": 10}
    return TrainingPlan(BINARY, Training(**{**values, **training}), 10.0, 7)


def run(folder, log=lambda row: None, digest="digest", net=None, data=None, **training):
    """Weights and history (without its seconds) of one training."""
    net = network() if net is None else net
    train_data, val_data = data or (role_data(24, 0), role_data(12, 1))
    settings = plan(**training)
    objective = LabelLoss(settings.training, BINARY, train_data.targets, CPU)
    history = fit(net, objective, train_data, val_data, settings, Checkpoint(folder / "checkpoint", digest), log)
    return net.state_dict(), [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def states_of(net, states: list):
    return lambda row: states.append({key: value.clone() for key, value in net.state_dict().items()})


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"sampling": "windows", "balance": "sampler", "optimiser": "adam"},
        {"augment": Augment(mixup=0.4, noise=0.1)},
    ],
)
def test_a_separable_problem_is_learnt(tmp_path, training):
    _, history = run(tmp_path, **training)
    assert history[-1]["train_loss"] < 0.6 * history[0]["train_loss"]
    assert max(row["val_score"] for row in history) > 0.95
    assert [row["epoch"] for row in history] == list(range(5))


@pytest.mark.parametrize("able", [True, False])
def test_bfloat16_is_used_where_the_processor_has_it(tmp_path, monkeypatch, able):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able)
    kinds = set()
    net = network()
    net.maps.conv1.register_forward_hook(lambda module, inputs, output: kinds.add(output.dtype))
    weights, history = run(tmp_path, net=net, precision="bfloat16")
    assert kinds == {torch.bfloat16 if able else torch.float32}
    assert all(value.dtype == torch.float32 for value in weights.values() if value.is_floating_point())
    assert max(row["val_score"] for row in history) > 0.95


@pytest.mark.slow  # compiling takes half a minute
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_learns(tmp_path, monkeypatch):
    """Its random numbers are others, so that its weights differ; their names are those of the network."""
    calls, compile_network = [], torch.compile
    monkeypatch.setattr(torch, "compile", lambda net: calls.append(net) or compile_network(net))
    plain, _ = run(tmp_path, digest="plain")
    assert not calls
    weights, history = run(tmp_path, digest="compiled", compile=True)
    assert len(calls) == 1 and weights.keys() == plain.keys()
    assert max(row["val_score"] for row in history) > 0.95


def test_noise_is_not_learnt(tmp_path):
    _, history = run(tmp_path, data=(role_data(24, 0, gap=0), role_data(200, 1, gap=0)))
    assert history[-1]["val_score"] == pytest.approx(0.5, abs=0.12)


def test_validation_labels_do_not_train(tmp_path):
    train_data, val = role_data(24, 0), role_data(12, 1)
    flipped = RoleData(val.frames, 1 - val.targets, val.case_of, 1 - val.case_targets)
    states_of_each = []
    for digest, val_data in (("true", val), ("flipped", flipped)):
        net, states = network(), []
        run(tmp_path, states_of(net, states), digest, net, (train_data, val_data))
        states_of_each.append(states)
    assert all(same(a, b) for a, b in zip(*states_of_each, strict=True))


def scripted(monkeypatch, scores: list[float]) -> None:
    left = iter(scores)
    monkeypatch.setattr(loop, "validate", lambda *arguments: next(left))


@pytest.mark.parametrize(
    ("scores", "patience", "epochs", "best"),
    [
        ([0.5, 0.7, 0.6, 0.6, 0.9], 2, 4, 1),  # stops before it sees 0.9
        ([0.5, 0.7, 0.7, 0.7, 0.9], 2, 4, 1),  # an equal score is no better one
        ([0.5, 0.7, 0.6, 0.8, 0.1], 2, 5, 3),
        ([0.9, 0.1, 0.1, 0.1, 0.1], 10, 5, 0),
        ([-math.inf, -math.inf, -3.0, -4.0, -5.0], 3, 5, 2),
    ],
)
def test_early_stopping_keeps_the_best_epoch(tmp_path, monkeypatch, scores, patience, epochs, best):
    scripted(monkeypatch, scores)
    net, states = network(), []
    weights, history = run(tmp_path, states_of(net, states), net=net, patience=patience)
    assert [row["val_score"] for row in history] == scores[:epochs]
    assert same(weights, states[best])


def test_a_stopped_training_is_not_continued(tmp_path, monkeypatch):
    scripted(monkeypatch, [0.9, 0.1, 0.1])
    first = run(tmp_path, patience=2)
    scripted(monkeypatch, [])  # a further epoch would fail
    again = run(tmp_path, patience=2, net=network(5))
    assert same(first[0], again[0]) and first[1] == again[1]


class Killed(BaseException):
    """As a signal: nothing may catch it."""


def kill_after(epochs: int):
    def log(row):
        if row["epoch"] == epochs - 1:
            raise Killed

    return log


@pytest.mark.parametrize(
    "training",
    [
        {"augment": Augment(mixup=0.4, time_masks=1, band_masks=1, band_mask=2, noise=0.1, gain=0.1)},
        {"sampling": "windows", "balance": "sampler", "optimiser": "adam", "schedule": "cosine"},
    ],
)
def test_a_killed_training_continues_to_the_same_weights(tmp_path, monkeypatch, training):
    whole = run(tmp_path, **training)
    (tmp_path / "checkpoint").unlink()
    with pytest.raises(Killed):
        run(tmp_path, kill_after(2), **training)
    # killed again in the middle of an epoch, and in the middle of writing the checkpoint
    monkeypatch.setattr(loop, "validate", lambda *arguments: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        run(tmp_path, net=network(3), **training)
    monkeypatch.undo()

    def half(tensors, path, metadata):
        path.write_bytes(b"half a file")
        raise Killed

    monkeypatch.setattr(checkpoint, "save_file", half)
    with pytest.raises(Killed):
        run(tmp_path, net=network(3), **training)
    monkeypatch.undo()
    seen = []
    weights, history = run(tmp_path, seen.append, net=network(3), **training)
    assert [row["epoch"] for row in seen] == [2, 3, 4]
    assert same(weights, whole[0])
    assert history == whole[1]


def test_a_best_epoch_before_the_kill_survives_it(tmp_path, monkeypatch):
    scripted(monkeypatch, [0.5, 0.9, 0.2, 0.3, 0.4])
    net, states = network(), []
    run(tmp_path, states_of(net, states), net=net)
    (tmp_path / "checkpoint").unlink()
    scripted(monkeypatch, [0.5, 0.9, 0.2])
    with pytest.raises(Killed):
        run(tmp_path, kill_after(3))
    scripted(monkeypatch, [0.3, 0.4])
    weights, history = run(tmp_path, net=network(3))
    assert [row["val_score"] for row in history] == [0.5, 0.9, 0.2, 0.3, 0.4]
    assert same(weights, states[1])


def test_without_validation_the_last_epoch_is_kept_also_after_a_kill(tmp_path):
    data, net, states = (role_data(24, 0), None), network(), []
    weights, history = run(tmp_path, states_of(net, states), net=net, data=data, select="last", patience=1)
    assert len(history) == 5 and all(math.isnan(row["val_score"]) for row in history)
    assert same(weights, states[-1]) and not same(weights, states[0])
    (tmp_path / "checkpoint").unlink()
    with pytest.raises(Killed):
        run(tmp_path, kill_after(2), data=data, select="last")
    seen = []
    assert same(run(tmp_path, seen.append, net=network(3), data=data, select="last")[0], weights)
    assert [row["epoch"] for row in seen] == [2, 3, 4]


def test_a_moving_average_keeps_its_share_of_the_old_weights():
    def stepped(decay: float) -> torch.Tensor:
        net = torch.nn.Linear(3, 1, bias=False)
        torch.nn.init.ones_(net.weight)
        net(torch.ones(1, 3)).sum().backward()
        averaged_step(net, torch.optim.SGD(net.parameters(), lr=0.5), decay)
        return net.weight.detach()[0]

    torch.testing.assert_close(stepped(0.0), torch.full((3,), 0.5))
    torch.testing.assert_close(stepped(0.25), torch.full((3,), 0.625))


@pytest.mark.parametrize("patch_mix", ["labels", "contrast"])
def test_patches_are_mixed_in_training(tmp_path, patch_mix):
    torch.manual_seed(0)
    options = {
        "patch": 2,
        "stride": 2,
        "width": 8,
        "depth": 1,
        "attention_heads": 2,
        "projector": patch_mix == "contrast",
    }
    net = networks.build("ast", options, (1, WINDOW, BANDS), 1)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    _, history = run(tmp_path, net=net, patch_mix=patch_mix, epochs=2)
    assert all(math.isfinite(row["train_loss"]) for row in history)
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert any(key.startswith("v.") for key in changed)
    assert any(key.startswith("projector") for key in changed) == (patch_mix == "contrast")


@pytest.mark.parametrize("harm", ["digest", "truncated", "rubbish", "empty", "no digest"])
def test_a_wrong_checkpoint_is_ignored(tmp_path, harm, capsys):
    whole = run(tmp_path)
    path = tmp_path / "checkpoint"
    path.unlink()
    with pytest.raises(Killed):
        run(tmp_path, kill_after(2), digest="another" if harm == "digest" else "digest", learning_rate=0.5)
    raw = path.read_bytes()
    if harm == "no digest":
        save_file({"history": torch.zeros(1, 5)}, path)
    elif harm != "digest":
        path.write_bytes({"truncated": raw[: len(raw) // 2], "rubbish": b"\x00" * 100, "empty": b""}[harm])
    capsys.readouterr()
    weights, history = run(tmp_path)
    assert same(weights, whole[0]) and history == whole[1]
    assert "not used" in capsys.readouterr().err


def test_a_loss_that_is_no_number_stops_with_a_clear_word(tmp_path):
    train_data, val = role_data(24, 0), role_data(12, 1)
    train_data.frames.values[5:50] = math.inf
    with pytest.raises(FloatingPointError, match=r"epoch 0: the loss is nan; lower training\.learning_rate"):
        run(tmp_path, data=(train_data, val))
    assert not (tmp_path / "checkpoint").exists()


def test_undefined_validation_scores_rank_lowest(tmp_path):
    train_data, val = role_data(24, 0), role_data(12, 1)
    unlabelled = RoleData(val.frames, val.targets, val.case_of, np.full_like(val.case_targets, np.nan))
    _, history = run(tmp_path, data=(train_data, unlabelled), epochs=2)
    assert [row["val_score"] for row in history] == [-math.inf] * 2


def test_recordings_without_a_target_are_not_trained_on(tmp_path, monkeypatch):
    train_data, seen = role_data(24, 0), set()
    batch = Frames.batch
    monkeypatch.setattr(loop, "validate", lambda *arguments: 0.5)
    monkeypatch.setattr(
        Frames, "batch", lambda self, recording, start: seen.update(recording.tolist()) or batch(self, recording, start)
    )
    run(tmp_path, data=(train_data, role_data(12, 1)), epochs=2)
    assert seen == set(np.flatnonzero(~np.isnan(train_data.targets[:, 0])))


def test_the_sampler_draws_rare_classes_as_often(monkeypatch):
    train_data = role_data(40, 0)
    train_data.targets[:] = (np.arange(80) < 8).astype(np.float32)[:, None]
    settings = plan(balance="sampler", crops=20)
    recording, _ = loop._epoch_windows(train_data, settings, torch.Generator().manual_seed(0))
    assert (recording < 8).float().mean() == pytest.approx(0.5, abs=0.04)
    recording, _ = loop._epoch_windows(train_data, plan(crops=20), torch.Generator().manual_seed(0))
    assert (recording < 8).float().mean() == 0.1


def test_validation_pools_windows_to_recordings_to_cases(monkeypatch):
    val, net = role_data(12, 1), network()
    scored, settings = [], plan().training
    monkeypatch.setattr(validation, "validation_score", lambda p, *rest: scored.append(p) or 0.5)
    validation.validate(net, val, BINARY, settings)
    recording, start = val.frames.windows()
    with torch.no_grad():
        p = net.eval()(val.frames.batch(recording, start))[0].sigmoid().numpy()[:, 0]
    by_recording = np.array([p[recording == k].mean() for k in range(24)])
    expected = [by_recording[val.case_of == k].mean() for k in range(12)]
    np.testing.assert_allclose(scored[0][:, 0], expected, rtol=1e-5)


def test_a_full_memory_says_which_key_to_lower(tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(loop, "_train_epoch", full)
    with pytest.raises(MemoryFull, match=r"a batch of \d+ windows: lower training\.batch"):
        run(tmp_path)


@pytest.mark.parametrize("has_scalars", [True, False])
def test_the_loop_says_which_channel_no_mask_may_hide(has_scalars):
    x, y = torch.randn(8, 2, 20, 6), torch.zeros(8, 1)
    augment = Augment(band_masks=3, band_mask=6, time_masks=2, noise=0.5)
    plan = TrainingPlan(BINARY, Training(augment=augment), 10.0, 0, has_scalars)
    frames = SimpleNamespace(batch=lambda recording, start: x)
    trainer = SimpleNamespace(plan=plan, frames=frames, targets=y)
    rows = torch.arange(8)
    out, _ = loop._augmented_batch(trainer, rows, rows, 0, torch.Generator().manual_seed(0))
    assert torch.equal(out[:, 1], x[:, 1]) == has_scalars and not torch.equal(out[:, 0], x[:, 0])
