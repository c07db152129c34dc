"""Front end, statistics and descriptors, per recording and core; reading what was cached."""

from __future__ import annotations

import shutil
import time

import antropy
import librosa
import numpy as np
import onnxruntime
import scipy.fft
import soundfile
import soxr
import torch

from auscult import features
from auscult.features import descriptors
from auscult.features.front_ends import encoder as encoders
from auscult.features.front_ends import planes9
from auscult.features.front_ends.logmel import PRESETS, Settings, pad_value
from auscult.features.statistics import statistics
from auscult.training.data import Windowing, load_frames, random_crops
from benchmarks.data import Data, cache_frames, cache_samples
from benchmarks.timing import Row, row, take_turns

TITLE = "Features"
NOTES = """
- **Log-mels.** auscult transforms in float64, so that a loud tone does not mask quiet bands. The first rows include two
  caches with a description of their origin, written by a process that it starts; librosa's side writes nothing. The
  rows "in memory" have neither.
- **Nine planes.** The values are those of the calls. What is left are transforms and fits of librosa and SciPy.
- Data: 338 simulated recordings of 20 to 22 s at 4 kHz.
"""
WINDOW = 250  # frames: 4 s


def rows(data: Data, repetitions: int) -> list[Row]:
    """All rows of this part."""
    parts = (front_end, in_memory, planes, numbers, reading, encoder)
    return [found for part in parts for found in part(data, repetitions)]


def front_end(data: Data, repetitions: int) -> list[Row]:
    """WAV to HDF5 log-mels, writing included, against librosa without writing, and against reading the WAVs alone."""
    wavs, front = data.wavs(), PRESETS["band1k"]

    def ours() -> None:
        for kind in ("audio", "frames"):
            shutil.rmtree(data.home / kind, ignore_errors=True)
        cache_samples(data)
        cache_frames(data)

    def theirs() -> None:
        for wav in wavs:
            samples, rate = librosa.load(wav, sr=None)
            _librosa_log_mels(samples, rate, front)

    def decode() -> None:
        for wav in wavs:
            soundfile.read(wav, dtype="int16")

    signals = [soundfile.read(wav)[0] for wav in wavs]

    def transforms() -> None:
        for samples in signals:
            frames = np.lib.stride_tricks.sliding_window_view(samples, 256)[::64]
            for start in range(0, len(frames), 64):
                scipy.fft.rfft(frames[start : start + 64], axis=1)

    sides = {
        "auscult, with writing": ours,
        "librosa, without": theirs,
        "the Fourier transforms alone": transforms,
        "reading the WAVs alone": decode,
    }
    times = take_turns(sides, repetitions, wall=True)  # ours works in a process of its own
    each = {name: 1000 * values / len(wavs) for name, values in times.items()}
    what = f"log-mels of a recording of {data.seconds():.0f} s"
    ratio = each["librosa, without"] / each["auscult, with writing"]
    return [
        *(row(what, name, values, "ms") for name, values in each.items()),
        row(what, "librosa / auscult", ratio, "×"),
    ]


def in_memory(data: Data, repetitions: int) -> list[Row]:
    """Log-mels of samples that are in memory already, against librosa on the same samples."""
    signals, front = [soundfile.read(wav)[0] for wav in data.wavs()[:40]], PRESETS["band1k"]
    front_end = features.FrontEnd("band1k", front)
    sides = {
        "auscult": lambda: [front_end.compute(samples[None], 4000) for samples in signals],
        "librosa": lambda: [_librosa_log_mels(samples, 4000, front) for samples in signals],
    }
    each = {name: 1000 * values / len(signals) for name, values in take_turns(sides, repetitions).items()}
    what = f"log-mels of {data.seconds():.0f} s in memory, one core"
    return [
        row(what, "auscult", each["auscult"], "ms", "≤ 1.5 ms", lambda ms: ms <= 1.5),
        row(what, "librosa", each["librosa"], "ms"),
        row(what, "librosa / auscult", each["librosa"] / each["auscult"], "×", "≥ 2", lambda x: x >= 2),
    ]


def _librosa_log_mels(samples: np.ndarray, rate: int, front: Settings) -> np.ndarray:
    """The log-mels of `band1k` by librosa, normalised by band."""
    power = librosa.feature.melspectrogram(
        y=samples, sr=rate, n_fft=256, hop_length=64, n_mels=front.bands, fmin=20, fmax=1000, htk=True, norm=None
    )
    log = np.log(power + front.offset)
    return (log - log.mean(axis=1, keepdims=True)) / log.std(axis=1, keepdims=True)


def planes(data: Data, repetitions: int) -> list[Row]:
    """The front end `planes9` of a clip of 1 s at 16 kHz, against a call of librosa for each plane."""
    x = 0.1 * np.random.default_rng(0).standard_normal(planes9.RATE_HZ)
    both, nine = planes9.Settings(), planes9.Settings(scalars=False)
    sides = {
        "auscult": lambda: planes9.compute(x[None], planes9.RATE_HZ, both),
        "auscult, without the 39 numbers": lambda: planes9.compute(x[None], planes9.RATE_HZ, nine),
        "librosa, without them": lambda: _librosa_planes(x),
    }
    each = {name: 1000 * values for name, values in take_turns(sides, 5 * repetitions).items()}
    what = "nine planes of a clip of 1 s at 16 kHz, one core"
    ratio = each["librosa, without them"] / each["auscult, without the 39 numbers"]
    return [
        row(what, "auscult", each["auscult"], "ms", "≤ 25 ms", lambda ms: ms <= 25),
        *(row(what, name, each[name], "ms") for name in list(sides)[1:]),
        row(what, "librosa / auscult, without them", ratio, "×", "≥ 5", lambda x: x >= 5),
    ]


def _librosa_planes(x: np.ndarray) -> list[np.ndarray]:
    """The nine planes before they are standardised, each from the samples, as a script would compute them."""
    sizes = {"sr": planes9.RATE_HZ, "n_fft": planes9.FFT, "hop_length": planes9.HOP}
    mel = librosa.power_to_db(librosa.feature.melspectrogram(y=x, n_mels=planes9.ROWS, fmax=4500, **sizes), ref=np.max)
    mfcc = librosa.feature.mfcc(y=x, n_mfcc=40, **sizes)
    magnitude = np.abs(librosa.stft(x, n_fft=planes9.FFT, hop_length=planes9.HOP))
    bands = librosa.filters.mel(sr=planes9.RATE_HZ, n_fft=planes9.FFT, n_mels=64)
    emphasised = np.append(x[0], x[1:] - 0.97 * x[:-1])
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, 400)[::160] * np.hamming(400)
    return [
        librosa.feature.chroma_stft(y=x, **sizes),
        librosa.feature.chroma_cens(y=x, sr=planes9.RATE_HZ, hop_length=planes9.HOP),
        np.log1p(bands @ magnitude),
        np.array([librosa.lpc(frame, order=12)[1:] for frame in frames]),
        mel,
        librosa.feature.delta(mel),
        librosa.feature.delta(mel, order=2),
        np.vstack([mfcc, librosa.feature.delta(mfcc), librosa.feature.delta(mfcc, order=2)]),
        scipy.fft.dctn(mel, norm="ortho")[:40],
        librosa.feature.tempogram(y=x, sr=planes9.RATE_HZ),
    ]


def numbers(data: Data, repetitions: int) -> list[Row]:
    """The 44 statistics of a recording, and the 23 descriptors of a window against antropy's sample entropy."""
    samples = soundfile.read(data.wavs()[0])[0]
    window = np.ascontiguousarray(samples[::4][: descriptors.WINDOW])
    tolerance = descriptors.TOLERANCE * window.std()

    def by_antropy() -> None:
        for scale in descriptors.SCALES:
            coarse = window[: len(window) // scale * scale].reshape(-1, scale).mean(axis=1)
            antropy.sample_entropy(coarse, order=2, tolerance=tolerance)

    sides = {
        "statistics": lambda: statistics(samples, 4000),
        "descriptors": lambda: descriptors.of_window(window),
        "antropy": by_antropy,
    }
    times = {name: 1000 * values for name, values in take_turns(sides, 5 * repetitions).items()}
    return [
        row(
            f"44 statistics of {len(samples) / 4000:.0f} s",
            "auscult",
            times["statistics"],
            "ms",
            "≤ 3",
            lambda x: x <= 3,
        ),
        row("23 descriptors of 4 s", "auscult", times["descriptors"], "ms", "≤ 5", lambda x: x <= 5),
        row("23 descriptors of 4 s", "antropy, ten sample entropies alone", times["antropy"], "ms"),
    ]


def reading(data: Data, repetitions: int) -> list[Row]:
    """Frames of all recordings from the warm cache into memory, and the time from opening to the first batch."""
    names, front = data.manifest.recordings["recording"].tolist(), PRESETS["band1k"]
    windowing = Windowing((1, WINDOW, front.bands), WINDOW, pad_value(front))
    rates, firsts = [], []
    for number in range(repetitions + 1):
        started = time.perf_counter()
        cache = cache_frames(data)  # finds the shards as they should be
        opened = time.perf_counter()
        frames = load_frames(cache, names, windowing, torch.device("cpu"), True)
        read = time.perf_counter()
        frames.batch(*(part[:64] for part in random_crops(frames.length, WINDOW, 1, torch.Generator())))
        if number:
            rates.append(frames.values.numel() * 2 / (read - opened) / 1e9)
            firsts.append(time.perf_counter() - started)
    what = "frames of all recordings from the warm cache"
    return [
        row(what, "auscult", np.array(rates), "GB/s", "≥ 1", lambda x: x >= 1),
        row("from opening to the first batch", "auscult", np.array(firsts), "s", "≤ 1", lambda x: x <= 1),
    ]


def encoder(data: Data, repetitions: int) -> list[Row]:
    """Vectors of a convolutional encoder in an ONNX file, against its runtime alone, and with soxr before it.

    The runtime alone gets windows that are resampled and cut already.
    """
    rate, file = 16000, data.home / "encoder.onnx"
    layers: list[torch.nn.Module] = [torch.nn.Unflatten(1, (1, rate)), torch.nn.Conv1d(1, 64, 400, 160)]
    for _ in range(4):
        layers += [torch.nn.ReLU(), torch.nn.Conv1d(64, 64, 3, padding=1)]
    network = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten()).eval()
    axes = {"x": {0: "batch"}, "y": {0: "batch"}}
    torch.onnx.export(
        network,
        (torch.zeros(2, rate),),
        str(file),
        input_names=["x"],
        output_names=["y"],
        dynamic_axes=axes,
        dynamo=False,
    )
    settings = encoders.complete(encoders.Settings(file=str(file), rate_hz=rate))
    front_end = features.FrontEnd("encoder", settings)
    signals = [soundfile.read(wav)[0] for wav in data.wavs()[:20]]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options)

    def windows_of(samples: np.ndarray) -> np.ndarray:
        played = soxr.resample(samples.astype(np.float32), 4000, rate)
        return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(played, rate)[:: rate // 2])

    def run(windows: np.ndarray) -> None:
        for start in range(0, len(windows), settings.batch):
            session.run(None, {"x": windows[start : start + settings.batch]})

    cut = [windows_of(samples) for samples in signals]
    sides = {
        "auscult": lambda: [front_end.compute(samples[None], 4000) for samples in signals],
        "soxr and onnxruntime": lambda: [run(windows_of(samples)) for samples in signals],
        "onnxruntime alone": lambda: [run(windows) for windows in cut],
    }
    times = take_turns(sides, repetitions)
    each = {name: len(signals) / values for name, values in times.items()}
    what = f"recordings of {data.seconds():.0f} s through an encoder, one core"
    found = [row(what, name, values, "recordings/s") for name, values in each.items()]
    for other in ("soxr and onnxruntime", "onnxruntime alone"):
        ratio = each["auscult"] / each[other]
        found.append(row(what, f"auscult / {other}", ratio, "×", "≥ 0.9", lambda x: x >= 0.9))
    return found
