"""Find recordings that are copies of one another: cut, edited, louder, inverted, resampled or encoded again.

Peaks of the spectrogram are hashed in triples, by their frequencies and distances in time (after Wang 2003), and put
into an index of all recordings. Two recordings with some triples at one shift are compared sample by sample at this
shift: a piece that correlates is a copy. Of sounds, and of recordings whose samples are not there, as those of a packed
study, very many triples at one shift count as a copy too. The time is proportional to the number of recordings: a
triple that more than `MOST_RECORDINGS` have in common is left out.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from threadpoolctl import threadpool_limits

from auscult.cache.audio import audio_config, read_audio, resample
from auscult.config.dataset import Dataset
from auscult.features.frames import audio_cache

COLUMNS = ["recording", "other", "kind", "shift_s", "correlation"]
DYNAMIC_RANGE = 1e-3  # of the largest peak: smaller ones are noise
SILENCE = 1e-4  # of the power of the loudest channel: a channel with less has no signal
CANCELLED = 0.01  # mean power of channels of power 1 below which nothing is left of them
MOST_RECORDINGS = 200
MIN_VOTES, CANDIDATES = 4, 3
PIECES = 5  # of what two signals have in common: an edit may have moved or replaced the rest
LOW_PASS = np.array([1, 4, 6, 4, 1]) / 16


class Scale(NamedTuple):
    """How signals of a kind are compared.

    rate: of the analysis, in Hz. baseline: samples whose moving average is taken away as offset and drift. window,
    hop: samples of a spectrum, and from one to the next. bands: lowest frequencies that count. near:
    spectra and bands in which a peak is the largest. span: most spectra from the first to the last of three peaks.
    shifts: how many shifts of two recordings are compared. correlation, overlap_s: least ones of copies. piece_s:
    longest piece that is compared; overlap_s where there are `votes`. votes: triples at one shift that make a copy of
    recordings without samples; votes_suffice: and of others. tones: whether triples in one band count; a hum gives the
    same ones in any recording.
    """

    rate: int
    baseline: int
    window: int
    hop: int
    bands: int
    near: tuple[int, int]
    span: int
    shifts: int
    correlation: float
    overlap_s: float
    piece_s: float
    votes: int
    votes_suffice: bool
    tones: bool


SOUND = Scale(2000, 640, 256, 64, 99, (7, 7), 64, 3, 0.98, 1.0, 4.0, 12, True, False)
# beats are told apart by their times, to a sample. Those of two persons can be very much alike for some seconds
ECG = Scale(100, 80, 32, 1, 15, (21, 31), 400, 3, 0.98, 2.5, 8.0, 24, False, True)


def scale_of(rate_hz: int) -> Scale:
    """How signals of this rate are compared: sounds have at least 1000 samples a second."""
    return SOUND if rate_hz >= 1000 else ECG


class Landmarks(NamedTuple):
    """Threes of peaks: `codes` (n,), each with the spectrum of its first peak, `frames` (n,); and `digest`, SHA-256 of
    the samples as 16-bit numbers.
    """

    codes: np.ndarray
    frames: np.ndarray
    digest: str


class Index(NamedTuple):
    """Threes of peaks of all recordings, sorted by code: `codes`, `frames`, and `owners`, numbers of the recordings."""

    codes: np.ndarray
    frames: np.ndarray
    owners: np.ndarray


def all_landmarks(audio: Path, recordings: list[str], dataset: Dataset, workers: int) -> list[Landmarks]:
    """Return the landmarks of recordings in an audio cache. audio: its folder. workers: number of processes."""
    compute = partial(_landmarks_of, read_recording=_reader(audio, dataset), rate_hz=dataset.rate_hz)
    with ProcessPoolExecutor(workers, initializer=threadpool_limits, initargs=(1,)) as pool:
        return list(pool.map(compute, recordings, chunksize=16))


def find_copies(audio: Path, recordings: list[str], dataset: Dataset, marks: list[Landmarks]) -> pd.DataFrame:
    """Return the pairs of recordings that are copies: `recording, other, kind, shift_s, correlation`.

    kind: `identical` (the same samples in the data set's format and rate), or `near_identical`. shift_s: seconds by
    which `other` begins later in the common signal. correlation: -1 to 1, of the piece in common that correlates most.

    audio : folder of the audio cache.
    marks : of `all_landmarks`.
    """
    read_recording, scale = _reader(audio, dataset), scale_of(dataset.rate_hz)
    rows, pairs, tried = list(_identical(recordings, marks)), set(), set()

    @lru_cache(maxsize=2 * CANDIDATES)  # the same pair is compared at several shifts
    def signal(name: str) -> np.ndarray:
        return for_analysis(read_recording(name), dataset.rate_hz)

    for first, second, shift, votes in _candidates(marks, scale):
        pair = recordings[first], recordings[second]
        is_new = pair not in pairs and (first, second, shift) not in tried  # most come from both sides
        if is_new and marks[first].digest != marks[second].digest:
            tried.add((first, second, shift))
            has_votes = votes >= scale.votes
            piece_s = scale.overlap_s if has_votes else scale.piece_s
            lag, correlation = aligned_correlation(*map(signal, pair), shift * scale.hop, scale, piece_s)
            if abs(correlation) >= scale.correlation or (scale.votes_suffice and has_votes):
                rows.append((*pair, "near_identical", lag / scale.rate, correlation))
                pairs.add(pair)
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["recording", "other"]).reset_index(drop=True)


def index_of(marks: list[Landmarks]) -> Index:
    """Return the index of some recordings, which are numbered in their order."""
    codes = np.concatenate([np.zeros(0, np.int64), *(mark.codes for mark in marks)])
    frames = np.concatenate([np.zeros(0, np.int32), *(mark.frames for mark in marks)]).astype(np.int32)
    owners = np.repeat(np.arange(len(marks), dtype=np.int32), [len(mark.codes) for mark in marks])
    order = np.argsort(codes, kind="stable")
    return Index(codes[order], frames[order], owners[order])


def recognised(index: Index, mark: Landmarks, scale: Scale) -> bool:
    """Whether a recording is a copy of one in the index, by `scale.votes` triples at one shift."""
    return any(votes >= scale.votes for _, _, votes in _matches(index, mark, scale))


def copies_in(index: Index, own: Index, recordings: list[str], scale: Scale) -> set[str]:
    """Return those of the recordings of one data set that are copies of one of another, by the indexes of both.

    own: of `recordings`, which are numbered in their order.
    """
    order = np.argsort(own.owners, kind="stable")
    ends = np.searchsorted(own.owners[order], np.arange(len(recordings) + 1))
    parts = [order[first:last] for first, last in pairwise(ends)]
    marks = [Landmarks(own.codes[part], own.frames[part], "") for part in parts]
    return {name for name, mark in zip(recordings, marks, strict=True) if recognised(index, mark, scale)}


LANDMARKS_ADVICE = "copy results/datasets/<data set>/landmarks.npz of the study that trained the weights"


class LandmarksError(Exception):
    """A file that should have the landmarks of a data set has none."""


def save_index(index: Index, file: Path) -> None:
    """Write an index; the samples cannot be restored from it."""
    np.savez_compressed(file, **index._asdict())


def load_index(file: Path) -> Index:
    """Read what `save_index` has written. Raises LandmarksError for any other file."""
    try:
        with np.load(file) as arrays:
            index = Index(**arrays)
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise LandmarksError(f"{file}: no landmarks of a data set ({error}); {LANDMARKS_ADVICE}") from error
    is_index = all(part.ndim == 1 and part.dtype.kind == "i" and len(part) == len(index.codes) for part in index)
    if not is_index or (np.diff(index.codes) < 0).any():
        raise LandmarksError(f"{file}: no landmarks of a data set; {LANDMARKS_ADVICE}")
    return index


def for_analysis(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Return the mean of channels (channels, n) at the rate of the analysis, (m,) float32.

    An offset and a slow drift are taken away, and every channel gets the same power: a copy may have its baseline
    removed, and its leads scaled one by one. Where the channels cancel, the first one that has a signal is returned.
    """
    scale = scale_of(rate_hz)
    channels = resample(samples.T, rate_hz, scale.rate)
    for _ in range(2):
        channels = channels - uniform_filter1d(channels, scale.baseline, axis=0, mode="nearest")
    power = np.sqrt(np.square(channels).mean(axis=0))
    channels = channels / np.where(power > SILENCE * power.max(), power, np.inf)
    mean = channels.mean(axis=1)
    if np.square(mean).mean() < CANCELLED:
        mean = channels[:, np.argmax(np.square(channels).mean(axis=0) > 0)]
    return mean.astype(np.float32)


def _reader(audio: Path, dataset: Dataset) -> Callable[[str], np.ndarray]:
    return partial(_read, audio=audio, config=tuple(sorted(audio_config(dataset).items())))


def _read(name: str, audio: Path, config: tuple) -> np.ndarray:
    """The channels of a recording (channels, n), at the rate of the cache."""
    return read_audio(audio_cache(audio, config), name)


LEAST_STEPS = 100
"""Of 16 bits, that the largest sample has of a recording whose rounded samples identify it."""


def _landmarks_of(name: str, read_recording: Callable[[str], np.ndarray], rate_hz: int) -> Landmarks:
    channels = read_recording(name)
    steps = channels.mean(axis=0) * 32768
    # a copy in 16 bits, or with a second channel, has the same rounded mean; of a quiet mean little would be left
    is_kept = LEAST_STEPS <= np.abs(steps).max() <= 32768
    exact = np.clip(np.rint(steps), -32768, 32767).astype(np.int16) if is_kept else channels.astype(np.float32)
    codes, frames = landmarks(for_analysis(channels, rate_hz), scale_of(rate_hz))
    return Landmarks(codes, frames, hashlib.sha256(exact.tobytes()).hexdigest())


def landmarks(samples: np.ndarray, scale: Scale) -> tuple[np.ndarray, np.ndarray]:
    """Return codes of triples of spectral peaks (n,) int64, and the spectrum of the first peak of each (n,).

    samples: (n,) at the rate of the analysis. Gain and sign do not matter.
    """
    window, span = scale.window, scale.span
    samples = np.pad(samples, (0, max(0, window - len(samples))))
    windows = np.lib.stride_tricks.sliding_window_view(samples, window)[:: scale.hop]
    spectra = np.abs(np.fft.rfft(windows * np.hanning(window).astype(np.float32), axis=1))
    spectra = spectra[:, 1 : scale.bands + 1].astype(np.float32)
    largest = maximum_filter1d(maximum_filter1d(spectra, scale.near[0], axis=0), scale.near[1], axis=1)
    frame, band = np.nonzero((spectra == largest) & (spectra > DYNAMIC_RANGE * spectra.max()))
    codes, first_frames = [], []
    for second, third in ((1, 2), (1, 3), (2, 3)):  # the next peaks in time
        count = max(0, len(frame) - third)
        to_second = frame[second : second + count] - frame[:count]
        to_third = frame[third : third + count] - frame[second : second + count]
        total = to_second + to_third
        is_near = (total > 0) & (total < span)
        if not scale.tones:
            is_near &= (band[:count] != band[second : second + count]) | (band[:count] != band[third : third + count])
        bands = (band[:count] * 128 + band[second : second + count]) * 128 + band[third : third + count]
        codes.append(((bands * span + to_second) * span + to_third)[is_near])
        first_frames.append(frame[:count][is_near])
    return np.concatenate(codes).astype(np.int64), np.concatenate(first_frames)


def _identical(recordings: list[str], marks: list[Landmarks]) -> Iterator[tuple[str, str, str, float, float]]:
    first_of_digest: dict[str, str] = {}
    for name, mark in zip(recordings, marks, strict=True):
        first = first_of_digest.setdefault(mark.digest, name)
        if first != name:
            yield first, name, "identical", 0.0, 1.0


def _candidates(marks: list[Landmarks], scale: Scale) -> Iterator[tuple[int, int, int, int]]:
    """Numbers of two recordings, a shift in spectra at which they have the most triples, and how many these are.

    The first number is the smaller one. A pair comes from both sides: a recording in which many others are joined is
    among the few candidates of each of them.
    """
    index = index_of(marks)
    for number, mark in enumerate(marks):
        for other, shift, votes in _matches(index, mark, scale, own_number=number):
            yield (number, other, shift, votes) if number < other else (other, number, -shift, votes)


def _matches(index: Index, mark: Landmarks, scale: Scale, own_number: int = -1) -> list[tuple[int, int, int]]:
    """The recordings that have most triples in common with one: their numbers, shifts in spectra, numbers of triples.

    They are those with `scale.votes` triples, and others until there are `CANDIDATES`. own_number: of the recording
    itself, if it is in the index.
    """
    span = 2 * int(max(index.frames.max(initial=0), mark.frames.max(initial=0))) + 2
    start = np.searchsorted(index.codes, mark.codes, "left")
    count = np.searchsorted(index.codes, mark.codes, "right") - start
    is_rare = count <= MOST_RECORDINGS
    start, count, own_frames = start[is_rare], count[is_rare], mark.frames[is_rare]
    hits = np.repeat(start - np.r_[0, np.cumsum(count)[:-1]], count) + np.arange(count.sum())
    is_other = index.owners[hits] != own_number
    shifts = np.repeat(own_frames, count)[is_other] - index.frames[hits[is_other]]
    places, votes = np.unique(
        index.owners[hits[is_other]].astype(np.int64) * span + shifts + span // 2, return_counts=True
    )
    matches: dict[int, list[tuple[int, int, int]]] = {}
    for place in np.argsort(-votes, kind="stable"):
        other = int(places[place] // span)
        is_weak = votes[place] < scale.votes
        if votes[place] < MIN_VOTES or (is_weak and other not in matches and len(matches) >= CANDIDATES):
            break
        if len(matches.setdefault(other, [])) < scale.shifts:
            matches[other].append((other, int(places[place] % span - span // 2), int(votes[place])))
    return [match for of_other in matches.values() for match in of_other]


def aligned_correlation(
    first: np.ndarray, second: np.ndarray, shift: int, scale: Scale, piece_s: float
) -> tuple[int, float]:
    """Return the shift near `shift` (within a hop) at which a piece of two signals correlates most, and how much.

    shift: samples by which the second signal begins later. Up to `PIECES` pieces of `piece_s` seconds of what they
    have in common are compared. The correlation is 0 where fewer than `scale.overlap_s` seconds, or half of the shorter
    signal, are in common. High frequencies are weakened, so that a shift by a part of a sample does not matter.
    """
    start, stop = max(0, shift), min(len(first), shift + len(second))
    if stop - start < max(4 * scale.hop, min(scale.overlap_s * scale.rate, min(len(first), len(second)) / 2)):
        return shift, 0.0
    first, second = (np.convolve(signal, LOW_PASS, "same") for signal in (first[start:stop], second[start - shift :]))
    second = second[: stop - start]
    length = min(int(piece_s * scale.rate), stop - start)
    starts = np.unique(np.linspace(0, stop - start - length, PIECES).astype(int))
    pieces = [_best_lag(first[at : at + length], second[at : at + length], scale.hop) for at in starts]
    lag, correlation = max(pieces, key=lambda piece: abs(piece[1]))
    return shift + lag, correlation


def _best_lag(first: np.ndarray, second: np.ndarray, most: int) -> tuple[int, float]:
    """Return the lag up to `most` samples at which two pieces of one length correlate most, and the correlation."""
    core = first[most : len(first) - most]
    if min(core.var(), second.var()) <= 1e-9 * max(np.square(core).mean(), np.square(second).mean()):
        return 0, 0.0  # constant but for rounding
    products = np.correlate(second, core, "valid")
    sums, squares = (np.concatenate([[0.0], np.cumsum(values)]) for values in (second, second**2))
    length = len(core)
    mean = (sums[length:] - sums[:-length]) / length
    variance = np.maximum((squares[length:] - squares[:-length]) / length - mean**2, 1e-30)
    correlations = (products / length - mean * core.mean()) / np.sqrt(variance * max(core.var(), 1e-30))
    best = int(np.argmax(np.abs(correlations)))
    return most - best, float(np.clip(correlations[best], -1, 1))
