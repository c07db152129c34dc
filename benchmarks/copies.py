"""How well copies of recordings are found: python -m benchmarks.copies FOLDER [--seed N] [--study NAME [--dataset D]].

FOLDER has WAV files of different recordings. With a study, they are first written there from its audio cache (the mean
of the channels, scaled to a peak of 0.9); D is the data set's folder in results/cache, by default the study's name of
it. Half of them get one copy each, changed in a random way at a random place.
The output is the share of copies found for every kind of change, and the number of pairs that are no copies.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import soxr

from auscult.cache.audio import audio_config, cache_audio, read_audio
from auscult.cache.store import open_cache
from auscult.config.dataset import Dataset
from auscult.datasets import audio
from auscult.features.copies import all_landmarks, find_copies, index_of, recognised, scale_of
from auscult.studies import load_study

Signal = tuple[np.ndarray, int]


def _cut(samples: np.ndarray, rate: int, rng: np.random.Generator) -> Signal:
    length = min(int(rng.uniform(3, 8) * rate), len(samples))
    start = int(rng.integers(len(samples) - length + 1))
    return samples[start : start + length], rate


def _half(samples: np.ndarray, rate: int, rng: np.random.Generator) -> Signal:
    return samples[int(rng.integers(min(rate // 2, len(samples) // 4), len(samples) // 2 + 1)) :], rate


def _encoded(samples: np.ndarray, rate: int, form: str, subtype: str) -> Signal:
    file = io.BytesIO()
    soundfile.write(file, soxr.resample(samples, rate, 16000).clip(-1, 1), 16000, format=form, subtype=subtype)
    file.seek(0)
    return soundfile.read(file)


def _noisy(samples: np.ndarray, rate: int, rng: np.random.Generator, decibels: float) -> Signal:
    return samples + 10 ** (-decibels / 20) * samples.std() * rng.standard_normal(len(samples)), rate


def _edited(samples: np.ndarray, rate: int, rng: np.random.Generator, how: str) -> Signal:
    """A part cut out, muted or replaced, or a part alone again and again. Other sound is the recording backwards."""
    length = len(samples)
    start = int(rng.integers(length // 4, length // 2))
    if how == "gap":
        return np.delete(samples, slice(start, start + int(rng.uniform(0.02, 0.2) * rate))), rate
    if how == "half":
        return np.concatenate([samples[: length // 2], samples[: length // 2][::-1]]), rate
    if how == "loop":
        return np.tile(samples[start : start + 2 * rate], 5), rate
    middle = samples.copy()
    middle[start : start + length // 3] = 0 if how == "mute" else samples[::-1][start : start + length // 3]
    return middle, rate


def _with_hum(samples: np.ndarray, rate: int, rng: np.random.Generator) -> Signal:
    phase = rng.uniform(0, 2 * np.pi)
    hum = np.sin(2 * np.pi * 50 * np.arange(len(samples)) / rate + phase)
    return 0.5 * (samples + samples.std() * hum), rate


CHANGES: dict[str, Callable[[np.ndarray, int, np.random.Generator], Signal]] = {
    "up to 40 samples cut off": lambda x, rate, rng: (x[int(rng.integers(1, 40)) :], rate),
    "a part of 3 to 8 s": _cut,
    "the end, from 0.5 s to half": _half,
    "gain": lambda x, rate, rng: (x * rng.uniform(0.05, 0.9), rate),
    "sign": lambda x, rate, rng: (-x, rate),
    "44.1 kHz": lambda x, rate, rng: (soxr.resample(x, rate, 44100), 44100),
    "1 kHz": lambda x, rate, rng: (soxr.resample(x, rate, 1000), 1000),
    "8 bit": lambda x, rate, rng: (np.round(x * 127) / 127, rate),
    "MP3": lambda x, rate, rng: _encoded(x, rate, "MP3", "MPEG_LAYER_III"),
    "Ogg Vorbis": lambda x, rate, rng: _encoded(x, rate, "OGG", "VORBIS"),
    "noise at 20 dB": lambda x, rate, rng: _noisy(x, rate, rng, 20),
    "noise at 14 dB": lambda x, rate, rng: _noisy(x, rate, rng, 14),
    "20 to 200 ms cut out": lambda x, rate, rng: _edited(x, rate, rng, "gap"),
    "half of it, then other sound": lambda x, rate, rng: _edited(x, rate, rng, "half"),
    "a third muted": lambda x, rate, rng: _edited(x, rate, rng, "mute"),
    "a third replaced": lambda x, rate, rng: _edited(x, rate, rng, "replace"),
    "2 s of it, five times": lambda x, rate, rng: _edited(x, rate, rng, "loop"),
    "mains hum as loud as it": _with_hum,
    "end, gain, sign and 2 kHz": lambda x, rate, rng: (-0.3 * soxr.resample(_half(x, rate, rng)[0], rate, 2000), 2000),
}


def write_cached(study: str, dataset: str | None, folder: Path) -> None:
    """Write the cached recordings of a study's data set as WAV files into a folder."""
    settings = load_study(study, Path("config/studies")).dataset
    name = dataset or settings.name
    cache = open_cache(Path("results/cache", name, "audio"), audio_config(settings))
    folder.mkdir(parents=True, exist_ok=True)
    for recording in pd.read_csv(f"results/datasets/{name}/recordings.csv", dtype=str)["recording"]:
        samples = read_audio(cache, recording).mean(axis=0)
        peak = float(np.abs(samples).max())
        soundfile.write(folder / f"{recording}.wav", 0.9 * samples / (peak or 1), settings.rate_hz, subtype="PCM_16")


def main(folder: Path, seed: int, workers: int = 2) -> None:
    """Print recall by kind of change, false pairs, and the time for each recording."""
    rng = np.random.default_rng(seed)
    files = sorted(folder.glob("*.wav"))
    rate_hz = soundfile.info(files[0]).samplerate
    with tempfile.TemporaryDirectory() as home:
        for file in files:
            (Path(home) / file.name).symlink_to(file.resolve())
        change_of = {}
        for number, index in enumerate(rng.permutation(len(files))[: len(files) // 2]):
            change, name = list(CHANGES)[number % len(CHANGES)], files[index].stem
            samples, rate = CHANGES[change](*soundfile.read(files[index]), rng)
            soundfile.write(Path(home) / f"{name}=copy.wav", samples.clip(-1, 1), rate, subtype="PCM_16")
            change_of[f"{name}=copy"] = change
        names = sorted(path.stem for path in Path(home).glob("*.wav"))
        table = pd.DataFrame({"recording": names, "onset_s": None, "offset_s": None})
        table["path"] = table["recording"] + ".wav"
        facts = [audio.inspect(Path(home) / path, None, None, 1.0, True) for path in table["path"]]
        for column in ("sha256", "rate_hz", "channels"):
            table[column] = [getattr(fact, column) for fact in facts]
        dataset = Dataset(name="copies", adapter="folder", root=home, rate_hz=rate_hz)
        cache_audio(Path(home) / "cache", table, dataset, "", workers)
        start = time.perf_counter()
        marks = all_landmarks(Path(home) / "cache", names, dataset, workers)
        pairs = find_copies(Path(home) / "cache", names, dataset, marks)
        seconds = time.perf_counter() - start
    scale, mark_of = scale_of(rate_hz), dict(zip(names, marks, strict=True))
    originals = [name for name in names if name not in change_of]
    index = index_of([mark_of[name] for name in originals])
    with_copy = {name.removesuffix("=copy") for name in change_of}
    by_landmarks = {name: recognised(index, mark_of[name], scale) for name in change_of}
    without_own = index_of([mark_of[name] for name in originals if name not in with_copy])
    false_names = [name for name in with_copy if recognised(without_own, mark_of[name], scale)]
    found = {frozenset(pair) for pair in zip(pairs["recording"], pairs["other"], strict=True)}
    recall: dict[str, list[bool]] = defaultdict(list)
    for name, change in change_of.items():
        recall[change].append(frozenset((name, name.removesuffix("=copy"))) in found)
    for change in CHANGES:
        of_change = [by_landmarks[name] for name, other in change_of.items() if other == change]
        print(f"{change}: {sum(recall[change])} of {len(recall[change])} copies found, {sum(of_change)} by landmarks")
    false_pairs = [pair for pair in found if len({name.removesuffix("=copy") for name in pair}) > 1]
    print(
        f"{len(files)} recordings, {len(change_of)} copies; pairs that are no copies: {len(false_pairs)} {false_pairs}"
    )
    print(
        f"by landmarks alone, {len(false_names)} of {len(with_copy)} recordings are taken for one of "
        f"{len(originals) - len(with_copy)} others"
    )
    print(f"{1000 * seconds / len(names):.1f} ms a recording with {workers} processes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--study")
    parser.add_argument("--dataset")
    options = parser.parse_args()
    if options.study:
        write_cached(options.study, options.dataset, options.folder)
    main(options.folder, options.seed)
