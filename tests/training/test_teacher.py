"""Teachers: the divergence of outputs, the contrast of latents, and trainings beside a network of the same fold."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import softmax
from scipy.stats import entropy

from auscult.config.systems import Head, Teacher
from auscult.plan.names import NetworkName
from auscult.training.distillation import divergence, softened
from auscult.training.job import FrameCache
from auscult.training.model_folder import DamagedModel
from auscult.training.teacher import TeacherError, TeacherNetwork, cases_digest
from auscult.training.transfer import Transfer

BINARY = {"murmur": Head(label="murmur", positive=["yes"])}
RHYTHMS = {"rhythm": Head(label="rhythm", kind="multilabel", classes=["a", "b", "c"])}
GRADES = {"grade": Head(label="grade", kind="multiclass", classes=["a", "b", "c"])}
KINDS = [(BINARY, 1), (RHYTHMS, 3), (GRADES, 3)]
CPU = torch.device("cpu")
NAME = NetworkName(0, 0, seed=0)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# divergence


@pytest.mark.parametrize("loss", ["binary", "softmax"])
@pytest.mark.parametrize(("heads", "outputs"), KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_equal_outputs_do_not_diverge_and_pull_nowhere(heads, outputs, loss, seed):
    teacher = Teacher(system="t", loss=loss, temperature=2.0)
    logits = (3 * torch.randn(6, outputs, generator=generator(seed))).requires_grad_()
    value = divergence(logits, softened(logits.detach(), heads, teacher), heads, teacher)
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-6) and float(logits.grad.abs().max()) < 1e-6
    other = softened(logits.detach() + torch.randn(6, outputs, generator=generator(seed + 9)), heads, teacher)
    assert float(divergence(logits.detach(), other, heads, teacher)) > 0


@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_the_divergence_by_scipy(seed, temperature):
    student, taught = 2 * torch.randn(2, 5, 3, generator=generator(seed))
    s, t = (values.numpy() / temperature for values in (student, taught))
    for loss, heads in (("binary", RHYTHMS), ("softmax", RHYTHMS), ("binary", GRADES)):
        teacher = Teacher(system="t", loss=loss, temperature=temperature)
        found = divergence(student, softened(taught, heads, teacher), heads, teacher)
        if loss == "softmax" or heads is GRADES:
            expected = np.mean([entropy(softmax(a), softmax(b)) for a, b in zip(t, s, strict=True)])
        else:
            p, q = 1 / (1 + np.exp(-t)), 1 / (1 + np.exp(-s))
            expected = 0.5 * np.mean(np.sum([entropy([p, 1 - p], [q, 1 - q])], axis=2))
        assert float(found) == pytest.approx(temperature**2 * expected, rel=1e-4)


# transfer


def transfer(labels: torch.Tensor, seed: int = 0, negatives: int = 4) -> Transfer:
    torch.manual_seed(seed)
    return Transfer(6, torch.randn(len(labels), 5), labels, negatives)


def random_labels(count: int, seed: int) -> torch.Tensor:
    labels = (torch.rand(count, 3, generator=generator(seed)) < 0.4).float()
    labels[0] = math.nan
    return labels


@pytest.mark.parametrize("seed", range(10))
def test_a_negative_shares_no_label(seed):
    labels = random_labels(40, seed)
    recording = torch.arange(40)
    has_negatives, others = transfer(labels, negatives=300).draw_negatives(recording, generator(seed))
    assert others.shape == (40, 20)  # at most half of the recordings
    sets = [{number for number, value in enumerate(row) if value == 1} for row in labels.tolist()]
    for number in range(40):
        allowed = {k for k in range(40) if (sets[k] or sets[number]) and not sets[k] & sets[number]}
        assert bool(has_negatives[number]) == bool(allowed)
        assert not allowed or set(others[number].tolist()) <= allowed


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_of_a_first_batch_by_hand(seed):
    labels = random_labels(12, seed)
    method = transfer(labels, seed)
    latents, recording = torch.randn(3, 6, generator=generator(seed)), torch.tensor([2, 7, 11])
    kept = {name: getattr(method, name).clone() for name in ("of_teachers", "of_students")}
    has_negatives, others = method.draw_negatives(recording, generator(seed))
    found = method(latents, recording, generator(seed))
    student = torch.nn.functional.normalize(method.student(latents), dim=1)
    teacher = torch.nn.functional.normalize(method.teacher(method.latents[recording]), dim=1)
    total = torch.zeros(3)
    for own, memory in ((student, kept["of_teachers"]), (teacher, kept["of_students"])):
        scores = torch.stack(
            [torch.exp(memory[[int(recording[b]), *others[b].tolist()]] @ own[b] / 0.07) for b in range(3)]
        )
        p, noise = scores / (scores.mean() * 12), 4 / 12
        total += -(p[:, 0] / (p[:, 0] + noise)).log() - (noise / (p[:, 1:] + noise)).log().sum(dim=1)
    torch.testing.assert_close(found, total[has_negatives].mean(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_only_what_was_seen_moves_and_has_unit_length(seed):
    method = transfer(random_labels(20, seed), seed)
    recording = torch.randperm(20, generator=generator(seed))[:5]
    for name in ("of_teachers", "of_students"):
        before = getattr(method, name).clone()
        method(torch.randn(5, 6, generator=generator(seed)), recording, generator(seed))
        moved = (getattr(method, name) != before).any(dim=1)
        assert set(moved.nonzero().flatten().tolist()) == set(recording.tolist())
        torch.testing.assert_close(getattr(method, name)[recording].norm(dim=1), torch.ones(5))


def test_the_scale_is_that_of_the_first_batch():
    method = transfer(random_labels(20, 0))
    scales = []
    for seed in range(3):
        method(torch.randn(5, 6, generator=generator(seed)), torch.arange(5), generator(seed))
        scales.append(method.scale.clone())
    assert (scales[0] > 0).all() and torch.equal(scales[0], scales[2])


def test_agreement_lowers_the_loss():
    """A student that learns to have its teacher's latents."""
    labels = torch.eye(4).repeat(4, 1)
    method = transfer(labels)
    latents = torch.nn.Parameter(torch.randn(16, 6))
    optimiser = torch.optim.Adam([latents, *method.parameters()], 0.05)
    losses = []
    for step in range(60):
        optimiser.zero_grad()
        loss = method(latents, torch.arange(16), generator(step))
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[1:6])


# trainings


@pytest.fixture
def taught(world, scored, tmp_path):
    """A function that trains a student of `scored`, and returns its folder."""

    def train(name: str, teacher=None, **settings):
        job = world.job(tmp_path / name, **({"teacher": {"system": "again", **settings}} if teacher else {}))
        assert world.train(job, teacher=teacher) == "trained"
        return job.folder

    return train


def teacher_of(world, folder, fold: int = 0) -> TeacherNetwork:
    return TeacherNetwork(world.job(folder, fold=fold), FrameCache(world.cache, world.cache_config))


def test_a_teacher_without_weight_changes_nothing(world, scored, taught):
    plain = load_file(taught("plain") / "weights.safetensors")
    silent = load_file(taught("silent", teacher_of(world, scored["present"][0]), weight=0.0) / "weights.safetensors")
    assert all(torch.equal(plain[key], silent[key]) for key in plain)


@pytest.mark.parametrize("settings", [{}, {"contrast": 0.8}, {"loss": "softmax", "temperature": 2.0}])
def test_a_teacher_changes_its_student_and_stays_as_it_is(world, scored, taught, settings):
    folder = scored["present"][0]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    plain = load_file(taught("plain") / "weights.safetensors")
    student = taught("student", teacher_of(world, folder), **settings)
    weights = load_file(student / "weights.safetensors")
    assert weights.keys() == plain.keys() and any(not torch.equal(plain[key], weights[key]) for key in plain)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert json.loads((student / "manifest.json").read_text())["teacher"] == str(folder)


def test_with_the_teachers_outputs_alone_a_student_agrees_with_it(world, scored, tmp_path):
    """No label counts, and many epochs: the student's answers are the teacher's."""
    teacher = teacher_of(world, scored["present"][0])
    settings = {"teacher": {"system": "again", "label_weight": 0.0}, "epochs": 40, "patience": 40, "select": "last"}
    job = world.job(tmp_path / "student", seed=5, **settings)
    world.train(job, teacher=teacher)
    names = world.manifest.recordings["recording"].tolist()
    answers = [t.answers(names, CPU)[0][:, 0] for t in (teacher, replace(teacher, job=job))]
    assert np.corrcoef(*answers)[0, 1] > 0.9


def test_answers_are_means_over_the_windows_of_a_recording(world, scored):
    from auscult.training.trained import load_network

    teacher = teacher_of(world, scored["present"][0])
    network, windows = load_network(teacher.job, CPU)
    network.eval()
    for name in world.manifest.recordings["recording"].tolist()[:6]:
        frames = torch.from_numpy(world.signals[name].astype(np.float32))
        window, hop = windows.shape[1], windows.hop
        starts = sorted({*range(0, max(1, len(frames) - window + 1), hop), max(0, len(frames) - window)})
        padded = torch.nn.functional.pad(frames, (0, 0, 0, 0, 0, max(0, window - len(frames))), value=windows.pad)
        x = torch.stack([padded[start : start + window].transpose(0, 1) for start in starts])
        with torch.no_grad():
            logits, latents = network(x)
        found = teacher.answers([name], CPU)
        np.testing.assert_allclose(found[0][0], logits.mean(dim=0).numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[1][0], latents.mean(dim=0).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_a_teacher_of_another_fold_is_refused_whatever_its_folder_is_called(world, scored, tmp_path, fold):
    folder = tmp_path / "again" / "present" / "r0f0"
    assert world.train(world.job(folder, fold=fold)) == "trained"
    job = world.job(tmp_path / "student", teacher={"system": "again"})
    with pytest.raises(TeacherError, match="trained on other cases than those of its student's fold"):
        world.train(job, teacher=teacher_of(world, folder))
    assert not job.folder.exists()


def test_a_teacher_that_knows_a_test_case_is_refused(world, tmp_path):
    """One case of the training role more, at a random place."""
    rng = np.random.default_rng(0)
    for attempt in range(5):
        folds = world.folds.copy()
        rows = np.flatnonzero((folds["fold"] == 0) & (folds["role"] == "test"))
        folds.loc[rng.choice(rows), "role"] = "train"
        assert cases_digest(NAME, folds) != cases_digest(NAME, world.folds)
        folder = tmp_path / f"teacher{attempt}"
        world.train(world.job(folder, epochs=1), folds=folds)
        with pytest.raises(TeacherError):
            teacher_of(world, folder).digest(NAME, world.folds)


def test_neither_the_order_of_the_rows_nor_another_fold_matters(world):
    mixed = world.folds.sample(frac=1, random_state=1)
    assert cases_digest(NAME, world.folds) == cases_digest(NAME, mixed) == cases_digest(NAME, mixed[mixed["fold"] == 0])


def test_a_damaged_teacher_is_named(world, tmp_path):
    folder = tmp_path / "teacher"
    world.train(world.job(folder, epochs=1))
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[int(np.random.default_rng(3).integers(len(data)))] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(data))
    with pytest.raises(DamagedModel, match=r"teacher.*weights\.safetensors: damaged"):
        world.train(world.job(tmp_path / "student", teacher={"system": "again"}), teacher=teacher_of(world, folder))


def test_another_teacher_trains_the_student_again(world, scored, tmp_path):
    job = world.job(tmp_path / "student", teacher={"system": "again"})
    teacher = teacher_of(world, scored["present"][0])
    assert [world.train(job, teacher=teacher) for _ in range(2)] == ["trained", "reused"]
    other = tmp_path / "other"
    world.train(world.job(other, learning_rate=0.01))
    teacher = replace(teacher, job=world.job(other, learning_rate=0.01))
    assert world.train(job, teacher=teacher) == "trained"
