"""Copies of recordings are found however they were cut or changed; other recordings of the same kind are not."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr

from auscult.cache.audio import cache_audio
from auscult.config.dataset import Dataset
from auscult.datasets import audio
from auscult.features import copies as copies_module
from auscult.features.copies import (
    ECG,
    SOUND,
    Landmarks,
    _matches,
    aligned_correlation,
    all_landmarks,
    copies_in,
    find_copies,
    for_analysis,
    index_of,
    landmarks,
    load_index,
    recognised,
    save_index,
    scale_of,
)

RATE = 4000


def heart(seed: int, seconds: float = 12.0) -> np.ndarray:
    """A regular heart with noise: beats of one shape, whose times and loudness vary."""
    rng = np.random.default_rng(seed)
    samples = 0.01 * rng.standard_normal(int(seconds * RATE))
    time, period = rng.uniform(0, 0.5), rng.uniform(0.5, 0.9)
    while time < seconds - 0.2:
        for delay, frequency in ((0.0, 55), (0.3 * period, 75)):
            at = int((time + delay) * RATE)
            t = np.arange(int(0.09 * RATE)) / RATE
            beat = rng.uniform(0.3, 0.6) * np.sin(2 * np.pi * frequency * t) * np.hanning(len(t))
            samples[at : at + len(t)] += beat[: max(0, len(samples) - at)]
        time += period * rng.normal(1, 0.03)
    return samples.clip(-1, 1)


def changed(samples: np.ndarray, how: str, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A copy in another dress, at random places and strengths."""
    start = int(rng.integers(1, len(samples) // 3))
    stop = int(rng.integers(start + 4 * RATE, len(samples)))
    if how == "a few samples":
        return samples[int(rng.integers(1, 60)) :], RATE
    if how == "cut":
        return samples[start:stop], RATE
    if how == "gain":
        return samples * rng.uniform(0.05, 0.9), RATE
    if how == "sign":
        return -samples, RATE
    if how == "rate":
        rate = int(rng.choice([2000, 8000, 22050, 44100]))
        return soxr.resample(samples, RATE, rate), rate
    if how == "8 bit":
        return np.round(samples * 127) / 127, RATE
    if how == "noise":
        return samples + 0.1 * samples.std() * rng.standard_normal(len(samples)), RATE
    if how == "gap":
        return np.delete(samples, slice(start, start + int(rng.integers(80, 800)))), RATE
    if how == "half of another":
        return np.concatenate([samples[: len(samples) // 2], heart(int(rng.integers(1000, 2000)))]), RATE
    if how == "muted":
        return np.where(np.arange(len(samples)) // (len(samples) // 3) == rng.integers(3), 0, samples), RATE
    if how == "hum":
        hum = np.sin(2 * np.pi * 50 * np.arange(len(samples)) / RATE + rng.uniform(0, 6))
        return 0.5 * (samples + samples.std() * hum), RATE
    return -0.4 * soxr.resample(samples[start:stop], RATE, 2000), 2000


EDITS = ["gap", "half of another", "muted", "hum"]
CHANGES = ["a few samples", "cut", "gain", "sign", "rate", "8 bit", "noise", *EDITS, "all"]


def find(
    folder: Path, recordings: dict[str, tuple[np.ndarray, int]], rate_hz: int = RATE, **formats: dict
) -> pd.DataFrame:
    """Copies among recordings (samples, rate) that are written as files."""
    folder.mkdir(exist_ok=True)
    for name, (samples, rate) in recordings.items():
        soundfile.write(folder / f"{name}.wav", samples.clip(-1, 1), rate, **formats.get(name, {}))
    table = pd.DataFrame({"recording": list(recordings), "onset_s": None, "offset_s": None})
    table["path"] = table["recording"] + ".wav"
    facts = [audio.inspect(folder / path, None, None, 1.0, True) for path in table["path"]]
    table = table.assign(sha256=[f.sha256 for f in facts], rate_hz=rate_hz, channels=1)
    dataset = Dataset(name="d", adapter="folder", root=str(folder), rate_hz=rate_hz, shards=2)
    cache_audio(folder / "cache", table, dataset, "code", 1)
    marks = all_landmarks(folder / "cache", list(recordings), dataset, 1)
    return find_copies(folder / "cache", list(recordings), dataset, marks)


def test_every_change_is_found_and_no_other_pair(tmp_path):
    rng = np.random.default_rng(0)
    recordings = {f"h{seed:02d}": (heart(seed), RATE) for seed in range(24)}
    expected = set()
    for number, how in enumerate(CHANGES):
        original = f"h{rng.integers(24):02d}"
        recordings[f"copy{number}"] = changed(recordings[original][0], how, rng)
        expected.add((original, f"copy{number}"))
    found = find(tmp_path / "audio", recordings)
    names = {frozenset(pair) for pair in zip(found["recording"], found["other"], strict=True)}
    originals = {copy: original for original, copy in expected}
    assert {frozenset(pair) for pair in expected} <= names
    for first, second in names - {frozenset(pair) for pair in expected}:  # two copies of one recording
        assert originals.get(first, first) == originals.get(second, second)


@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_the_same_samples_in_another_file_format_are_identical(tmp_path, subtype):
    samples = np.round(heart(1) * 32767) / 32768
    both = np.stack([samples, samples], axis=1)
    recordings = {"a": (samples, RATE), "b": (samples, RATE), "c": (both, RATE), "d": (heart(2), RATE)}
    found = find(tmp_path / "audio", recordings, b={"subtype": subtype})
    assert found[["recording", "other", "kind"]].to_numpy().tolist() == [
        ["a", "b", "identical"],
        ["a", "c", "identical"],
    ]


def test_the_shift_is_that_of_the_cut(tmp_path):
    samples = heart(3)
    found = find(tmp_path / "audio", {"a": (samples, RATE), "b": (samples[10000:], RATE)})
    assert found["shift_s"].tolist() == pytest.approx([2.5], abs=0.001) and found["correlation"][0] > 0.99


@pytest.mark.parametrize("seed", range(4))
def test_every_part_of_a_recording_is_found_and_every_recording_in_a_compilation(tmp_path, seed):
    """More of them than candidates, whatever their names: the order of the recordings is that of the names."""
    rng = np.random.default_rng(seed)
    long, parts = heart(40 + seed, 30.0), 7
    starts = rng.integers(0, len(long) - 4 * RATE, parts)
    pieces = [long[start : start + 4 * RATE] for start in starts]
    others = [heart(60 + 10 * seed + number, 6.0) for number in range(parts)]
    compilation = np.concatenate(others)
    signals = {"long": long, "compilation": compilation}
    signals |= {f"part {number}": piece for number, piece in enumerate(pieces)}
    signals |= {f"other {number}": other for number, other in enumerate(others)}
    labels = list(rng.permutation([f"{number:02d}" for number in range(len(signals))]))
    label_of = dict(zip(signals, labels, strict=True))
    table = find(
        tmp_path / "audio", {label_of[name]: (signals[name], RATE) for name in sorted(signals, key=label_of.get)}
    )
    pairs = {frozenset(pair) for pair in zip(table["recording"], table["other"], strict=True)}
    for number in range(parts):
        assert frozenset((label_of["long"], label_of[f"part {number}"])) in pairs
        assert frozenset((label_of["compilation"], label_of[f"other {number}"])) in pairs


@pytest.mark.parametrize("seed", range(3))
def test_an_offset_or_a_drift_hides_no_copy(tmp_path, seed):
    rng = np.random.default_rng(seed)
    time = np.arange(12 * RATE) / RATE
    recordings = {}
    for number in range(6):
        drift = np.sin(2 * np.pi * rng.uniform(0.05, 0.3) * time + rng.uniform(0, 6))
        recordings[f"h{number}"] = (heart(80 + number), RATE)
        recordings[f"h{number}=offset"] = (rng.uniform(0.05, 0.4) * heart(80 + number) + rng.uniform(-0.5, 0.5), RATE)
        recordings[f"h{number}=drift"] = (0.3 * heart(80 + number) + rng.uniform(0.1, 0.6) * drift, RATE)
    table = find(tmp_path / "audio", recordings)
    pairs = {frozenset(pair) for pair in zip(table["recording"], table["other"], strict=True)}
    assert pairs == {
        frozenset(pair) for n in range(6) for pair in combinations((f"h{n}", f"h{n}=offset", f"h{n}=drift"), 2)
    }


ECG_RATE = 100


def ecg(seed: int, seconds: float = 10.0) -> np.ndarray:
    """A regular rhythm: spikes and slow waves of one shape, whose times vary by some hundredths of a second."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * ECG_RATE)) / ECG_RATE
    samples, at, period = 0.004 * rng.standard_normal(len(time)), rng.uniform(0, 1), rng.uniform(0.6, 1.1)
    while at < seconds:
        height = rng.normal(0.6, 0.02)
        samples += height * np.exp(-(((time - at) / 0.015) ** 2)) - 0.2 * np.exp(-(((time - at - 0.04) / 0.02) ** 2))
        samples += 0.15 * np.exp(-(((time - at - 0.3) / 0.06) ** 2))
        at += period * rng.normal(1, 0.04)
    return samples.clip(-1, 1)


ECG_CHANGES = {
    "a few samples": lambda x, rng: x[int(rng.integers(1, 60)) :],
    "cut": lambda x, rng: x[(start := int(rng.integers(0, 400))) : start + int(rng.integers(500, 600))],
    "gain": lambda x, rng: x * rng.uniform(0.05, 0.9),
    "sign": lambda x, rng: -x,
    "all": lambda x, rng: -0.4 * x[int(rng.integers(1, 400)) :],
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("how", ECG_CHANGES)
def test_copies_of_ecgs_are_found_at_any_place(how, seed):
    """The same pair of samples and shift that the audit compares; other ECGs, however alike, are no copies."""
    rng = np.random.default_rng(seed)
    originals = [ecg(10 * seed + number).astype(np.float32) for number in range(20)]
    index = index_of([marks_of(samples, ECG_RATE) for samples in originals])
    number = int(rng.integers(20))
    copy = ECG_CHANGES[how](originals[number], rng).astype(np.float32)
    found = {}
    for other, shift, _ in _matches(index, marks_of(copy, ECG_RATE), ECG):
        _, correlation = aligned_correlation(copy, originals[other], shift * ECG.hop, ECG, ECG.piece_s)
        found[other] = max(found.get(other, 0), abs(correlation))
    assert {other for other, correlation in found.items() if correlation >= ECG.correlation} == {number}
    stranger = ecg(1000 + seed).astype(np.float32)
    assert not recognised(index, marks_of(stranger, ECG_RATE), ECG)


ECG_EDITS = {
    "gap": lambda x, rng: np.delete(x, slice(int(at := rng.integers(250, 700)), int(at + rng.integers(2, 20)))),
    "half of another": lambda x, rng: np.concatenate([x[:500], ecg(int(rng.integers(5000, 9000)), 5.0)]),
    "muted": lambda x, rng: np.where(np.arange(len(x)) // 334 == rng.integers(3), 0, x),
}


def test_edited_ecgs_are_found_mostly_and_no_other_pair(tmp_path):
    rng, numbers = np.random.default_rng(0), range(12)
    recordings = {f"e{number:02d}": (ecg(number), ECG_RATE) for number in range(30)}
    for how, edit in ECG_EDITS.items():
        for number in numbers:
            recordings[f"e{number:02d}={how}"] = (edit(ecg(number), rng), ECG_RATE)
    found = find(tmp_path / "audio", recordings, ECG_RATE)
    pairs = {frozenset(pair) for pair in zip(found["recording"], found["other"], strict=True)}
    assert all(len({name.split("=")[0] for name in pair}) == 1 for pair in pairs)
    for how in ECG_EDITS:
        assert sum(frozenset((f"e{number:02d}", f"e{number:02d}={how}")) in pairs for number in numbers) >= 9


LEAD_CHANGES = {
    "offset": lambda x, rng: x + rng.uniform(-1, 1, (len(x), 1)),
    "drift": lambda x, rng: (
        x
        + rng.uniform(0.1, 0.5)
        * np.sin(2 * np.pi * rng.uniform(0.05, 0.3) * np.arange(x.shape[1]) / ECG_RATE + rng.uniform(0, 6, (len(x), 1)))
    ),
    "standard deviation of each lead": lambda x, rng: x / x.std(axis=1, keepdims=True),
    "range of each lead": lambda x, rng: (x - x.min(axis=1, keepdims=True)) / np.ptp(x, axis=1)[:, None],
}


@pytest.mark.parametrize("how", LEAD_CHANGES)
def test_ecgs_whose_leads_were_moved_or_scaled_one_by_one_are_found(how):
    rng = np.random.default_rng(len(how))
    originals = []
    for seed in range(20):
        beats, waves = ecg(seed), np.convolve(ecg(seed), np.ones(9) / 9, "same")
        weights = np.random.default_rng(seed).uniform(-1, 1, (2, 6))
        originals.append(weights[0][:, None] * beats + weights[1][:, None] * waves)
    index = index_of([marks_of_leads(leads) for leads in originals])
    for number in rng.permutation(20)[:6]:
        copy = LEAD_CHANGES[how](originals[number], rng)
        numbers = {other for other, _, votes in _matches(index, marks_of_leads(copy), ECG) if votes >= ECG.votes}
        assert numbers == {number}


@pytest.mark.parametrize("scale", [-1.0, -0.5, -0.01])
def test_channels_that_cancel_are_compared_by_one_of_them(tmp_path, scale):
    samples = heart(70)
    pair = np.stack([samples, scale * samples])
    index = index_of([Landmarks(*landmarks(for_analysis(pair, RATE), SOUND), "")])
    assert recognised(index, marks_of(samples[5000:], RATE), SOUND)
    assert not recognised(index, marks_of(heart(71), RATE), SOUND)


def marks_of_leads(leads: np.ndarray) -> Landmarks:
    return Landmarks(*landmarks(for_analysis(leads, ECG_RATE), ECG), "")


def marks_of(samples: np.ndarray, rate: int) -> Landmarks:
    return Landmarks(*landmarks(for_analysis(samples[None], rate), scale_of(rate)), "")


@pytest.mark.parametrize("how", [how for how in CHANGES if how != "noise"])
def test_a_copy_is_recognised_without_the_samples(tmp_path, how):
    rng = np.random.default_rng(CHANGES.index(how))
    hearts = [heart(seed) for seed in range(10)]
    save_index(index_of([marks_of(samples, RATE) for samples in hearts]), tmp_path / "landmarks.npz")
    index = load_index(tmp_path / "landmarks.npz")
    for seed in range(4):
        assert recognised(index, marks_of(*changed(hearts[rng.integers(10)], how, rng)), SOUND)
        assert not recognised(index, marks_of(heart(100 + seed), RATE), SOUND)
    assert not recognised(index_of([]), marks_of(hearts[0], RATE), SOUND)


@pytest.mark.parametrize("scale", [SOUND, ECG])
@pytest.mark.parametrize("common", [0, 3, 4, 8, 11, 12, 13, 23, 24, 30])
def test_so_many_triples_at_one_shift_are_needed(common, scale):
    rng = np.random.default_rng(common)
    codes, frames = rng.permutation(10_000)[:60], rng.integers(0, 500, 60)
    own_codes, own_frames = 10_000 + rng.permutation(10_000)[:60], rng.integers(0, 500, 60)
    own_codes[:common], own_frames[:common] = codes[:common], frames[:common] + 37
    index = index_of([Landmarks(codes, frames, "")])
    assert recognised(index, Landmarks(own_codes, own_frames, ""), scale) == (common >= scale.votes)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
@pytest.mark.parametrize("scale", [SOUND, ECG])
def test_all_with_many_triples_are_compared_and_otherwise_three(count, scale):
    """So that a recording with many copies is joined with each of them, in any order."""
    rng = np.random.default_rng(count)
    codes, frames = rng.permutation(10_000)[:60], rng.integers(0, 500, 60)
    common = rng.permutation([scale.votes + 2] * count + [6] * 5)
    marks = [Landmarks(codes[:many], frames[:many] + number, "") for number, many in enumerate(common)]
    numbers = {number for number, *_ in _matches(index_of(marks), Landmarks(codes, frames, ""), scale)}
    assert set(np.flatnonzero(common > 6)) <= numbers and len(numbers) == max(count, 3)


@pytest.mark.parametrize("seed", range(5))
def test_copies_between_two_data_sets_are_found_by_both_indexes(seed):
    """Some recordings of one are changed copies of the other's, under other names and in another order."""
    rng = np.random.default_rng(seed)
    theirs = [heart(number) for number in range(12)]
    ours = {f"new{number}": heart(500 + 20 * seed + number) for number in range(8)}
    copied = {f"copy{number}": number for number in rng.permutation(12)[:5]}
    marks = {name: marks_of(samples, RATE) for name, samples in ours.items()}
    marks |= {name: marks_of(0.4 * theirs[number][1000:], RATE) for name, number in copied.items()}
    names = [*marks]
    rng.shuffle(names)
    index = index_of([marks_of(samples, RATE) for samples in theirs])
    assert copies_in(index, index_of([marks[name] for name in names]), names, SOUND) == set(copied)
    assert copies_in(index_of([]), index_of([marks[name] for name in names]), names, SOUND) == set()


@pytest.mark.parametrize("count", [1, 100, 257, 5000])
def test_short_and_silent_signals_have_few_landmarks_or_none(count):
    for samples in (np.zeros(count, np.float32), np.random.default_rng(0).standard_normal(count).astype(np.float32)):
        for scale in (SOUND, ECG):
            codes, frames = landmarks(samples, scale)
            assert len(codes) == len(frames) and (codes >= 0).all()


@pytest.mark.parametrize("decibels", [6, 15, 30, 40])
def test_the_same_hum_in_many_recordings_makes_no_copies(tmp_path, decibels):
    rng = np.random.default_rng(decibels)
    recordings = {}
    for seed in range(16):
        samples = heart(200 + seed)
        hum = np.sin(2 * np.pi * 50 * np.arange(len(samples)) / RATE + rng.uniform(0, 2 * np.pi))
        samples = samples + samples.std() * 2**0.5 * 10 ** (decibels / 20) * hum
        recordings[f"h{seed}"] = (0.5 * samples / np.abs(samples).max(), RATE)
    assert find(tmp_path / "audio", recordings).empty


@pytest.mark.parametrize("mean", [0.0, 0.3, -0.7])
def test_pieces_that_are_constant_do_not_correlate(mean):
    first, second = (np.full(9000, mean, np.float32) for _ in range(2))
    assert aligned_correlation(first, second, 0, SOUND, 4.0)[1] == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["quiet", "cancelled"])
def test_quiet_and_cancelled_recordings_are_not_all_the_same(seed, kind):
    """Of float32 samples in volts, or of channels whose mean is zero, rounding to 16 bits leaves nothing."""
    rng, digests = np.random.default_rng(seed), []
    for _ in range(3):
        x = rng.standard_normal(8000).astype(np.float32)
        channels = 1e-5 * x[None] if kind == "quiet" else np.stack([x, -x]) / 10
        read = {"a": channels}.__getitem__
        digests += [copies_module._landmarks_of("a", read, 4000).digest for _ in range(2)]
    assert len(set(digests)) == 3 and digests[::2] == digests[1::2]


@pytest.mark.parametrize("seed", range(6))
def test_a_file_that_has_no_landmarks_is_named(tmp_path, seed):
    file, rng = tmp_path / "w.landmarks.npz", np.random.default_rng(seed)
    kinds = (np.int64, np.int32, np.int32)
    index = copies_module.Index(*(np.sort(rng.integers(0, 99, 20)).astype(kind) for kind in kinds))
    save_index(index, file)
    assert all((a == b).all() for a, b in zip(load_index(file), index, strict=True))
    whole = file.read_bytes()
    if seed == 0:
        file.write_bytes(b"")
    elif seed == 1:
        np.savez(file, mel=np.zeros(3))
    elif seed == 2:
        np.savez(file, codes=np.zeros(3, int), frames=np.zeros(2, int), owners=np.zeros(3, int))
    elif seed == 3:
        np.savez(file, codes=np.array([{}], dtype=object), frames=np.zeros(1, int), owners=np.zeros(1, int))
    else:
        file.write_bytes(whole[: rng.integers(1, len(whole))])
    with pytest.raises(copies_module.LandmarksError, match=r"w\.landmarks\.npz: no landmarks of a data set"):
        load_index(file)
