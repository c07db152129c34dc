"""The sound of a simulated recording: heart sounds, murmur, breathing, ambient and handling noise.

Levels are in dB of full scale, times in seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy  # its submodules are loaded when they are used

Array, Rng = np.ndarray, np.random.Generator
Rows = list[tuple[float, float, int]]  # start s, end s, state 0-4
RATE = 4000  # Hz
# By site: loudness of S1 and S2 there (dB).
SOUNDS = {"AV": (-2.0, 1.0), "PV": (-2.0, 2.0), "TV": (1.0, -1.0), "MV": (2.0, -2.0), "Phc": (-4.0, -4.0)}
# By timing: start and end of a murmur, as shares of systole or diastole.
WINDOWS = {
    "Holosystolic": (0, 1),
    "Early-systolic": (0, 0.6),
    "Mid-systolic": (0.2, 0.8),
    "Late-systolic": (0.5, 1),
}
WINDOWS |= {"Early-diastolic": (0, 0.5), "Mid-diastolic": (0.3, 0.7), "Holodiastolic": (0, 0.9)}
WIDTHS = {"Harsh": 0.8, "Blowing": 0.5, "Musical": 0.1}  # standard deviation, octaves
FACTS = ("timing", "shape", "grading", "pitch", "quality")


@dataclass(frozen=True)
class Murmur:
    """One murmur in systole or diastole."""

    facts: dict[str, str]  # by name in FACTS
    centre: float  # Hz
    level: float  # dB over usual noise in its band, at the loudest site


@dataclass(frozen=True)
class Person:
    """The properties of a person that are the same at every visit."""

    years: float
    female: bool
    pregnant: bool
    size: tuple[float, float]  # height and weight, relative to what is usual
    bpm: float
    breaths: float  # Hz
    loudness: float  # dB
    tones: Array  # (S1 and S2, components, 4): Hz, decay s, delay s, amplitude
    source: str  # the site at which a murmur is loudest
    slope: float  # dB lost per unit of distance from there
    innocent: Murmur  # faint flow sound in systole, never labelled
    murmurs: dict[str, Murmur]  # by phase, audible only at a visit labelled Present


@dataclass(frozen=True)
class Take:
    """One recording, before it is rendered."""

    name: str  # of the files, less the patient id
    site: str
    frames: int
    bpm: float
    heart: float  # dB, peak of S1
    noise: float  # dB, RMS of the ambient noise
    bad: bool  # of bad quality: knocks, friction, voices, few states annotated
    innocent: float  # dB, RMS
    murmurs: dict[str, float]  # dB, RMS by phase, also if too faint to be audible
    audible: bool  # a murmur is above the noise


def render(person: Person, take: Take, rng: Rng) -> tuple[Array, Rows]:
    """Return samples (frames,) int16 at 4 kHz, and rows (start s, end s, state 0-4) that cover the recording."""
    n, t = take.frames, np.arange(take.frames) / RATE
    beats = _beats(rng, n / RATE, take.bpm, person.breaths)
    s1, s1_end, s2, s2_end = beats.T
    signal = np.zeros(n)
    for i, tones in enumerate(person.tones):
        peak = 10 ** ((take.heart + SOUNDS[take.site][i]) / 20)
        _add_sounds(signal, rng, beats[:, 2 * i], tones, peak)
    spans = {"Systolic": (s1 + 0.4 * (s1_end - s1), s2 + 0.01)}
    spans["Diastolic"] = (s2_end - 0.02, np.r_[s1[1:], s2_end[-1] + 0.3])
    sounds = [(phase, person.murmurs[phase], level) for phase, level in take.murmurs.items()]
    for phase, murmur, level in [*sounds, ("Systolic", person.innocent, take.innocent)]:
        swell = 10 ** (level / 20) * rng.lognormal(0, 0.12, len(beats))
        sound = _noise(rng, n, lambda f, m=murmur: _bump(f, m.centre, WIDTHS[m.facts["quality"]]))
        signal += sound * _envelope(t, *spans[phase], swell, murmur)
    signal += _surroundings(rng, t, person, take)
    samples = np.clip(np.round(signal * 32768), -32768, 32767).astype("<i2")
    return samples, _states(rng, beats, n / RATE, rng.uniform(0.2, 0.6) if take.bad else rng.uniform(0.4, 1.0))


def _surroundings(rng: Rng, t: Array, person: Person, take: Take) -> Array:
    """Return ambient noise, breathing, voice, friction and knocks: (frames,)."""
    n, floor = len(t), 10 ** (take.noise / 20)
    slope, edge = rng.uniform(0.2, 0.6), rng.uniform(700, 1000)
    drift = 10 ** (_noise(rng, n, lambda f: (f < 0.3) * 1.0) * 1.5 / 20)
    out = _noise(rng, n, lambda f: np.maximum(f, 20) ** -slope / (1 + (f / edge) ** 2)) * drift
    cycle = 2 * np.pi * (person.breaths * t + rng.random())
    flow = np.maximum(np.sin(cycle), 0) ** 1.5 + 0.6 * np.maximum(-np.sin(cycle + 0.4), 0) ** 2
    hoarse = rng.uniform(180, 350)
    out += _noise(rng, n, lambda f: _bump(f, hoarse, 0.6)) * flow * 10 ** (rng.normal(-5, 4) / 20)
    if rng.random() < (0.3 if take.bad else 0.1):  # voice
        pitch_hz = rng.uniform(220, 420) * (1 + 0.08 * np.sin(2 * np.pi * rng.uniform(0.3, 1.0) * t))
        angle = 2 * np.pi * np.cumsum(pitch_hz) / RATE
        speech = np.clip(_noise(rng, n, lambda f: np.exp(-f / 1.5)) - 0.8, 0, 1.5)
        out += sum(np.sin(h * angle) / h for h in (1, 2, 3)) * speech * 10 ** (rng.uniform(-3, 6) / 20)
    if rng.random() < (0.6 if take.bad else 0.15):  # friction
        friction = _noise(rng, n, lambda f: np.exp(-f / 3.0))
        threshold = np.quantile(friction, 1 - rng.uniform(0.05, 0.4 if take.bad else 0.2))
        gate = np.clip(2 * (friction - threshold), 0, 1.5) * 10 ** (rng.uniform(4, 10) / 20)
        out += _noise(rng, n, lambda f: _bump(f, 220, 1.4)) * gate
    out *= floor
    knocks = rng.poisson((rng.uniform(0.1, 0.8) if take.bad else rng.uniform(0, 0.12)) * n / RATE)
    for first in rng.integers(0, n, knocks):
        tau = t[: min(n - first, RATE // 2)]
        knock = np.sin(2 * np.pi * rng.uniform(8, 90) * tau) * np.exp(-tau / rng.uniform(0.01, 0.08))
        knock += 0.3 * rng.standard_normal(len(tau)) * np.exp(-tau / 0.006)
        out[first : first + len(tau)] += rng.uniform(0.03, 0.3) * knock
    return out


def _noise(rng: Rng, n: int, gain: Callable[[Array], Array]) -> Array:
    """Return Gaussian noise (n,) of RMS 1 with the amplitude spectrum `gain`, a function of the frequency in Hz."""
    size = scipy.fft.next_fast_len(n, real=True)
    sound = scipy.fft.irfft(scipy.fft.rfft(rng.standard_normal(size)) * gain(scipy.fft.rfftfreq(size, 1 / RATE)), size)[
        :n
    ]
    return sound / (np.sqrt(np.mean(sound**2)) + 1e-12)


def _bump(f: Array, centre: float, octaves: float) -> Array:
    return np.exp(-0.5 * (np.log2(np.maximum(f, 1.0) / centre) / octaves) ** 2)


def _beats(rng: Rng, seconds: float, bpm: float, breaths: float) -> Array:
    """Return start and end of S1, start and end of S2: (beats, 4) in seconds, some before 0 or beyond the end."""
    n = int(seconds * bpm / 60 * 1.3) + 6
    wander = scipy.fft.irfft(scipy.fft.rfft(rng.standard_normal(64 * 8)) / np.sqrt(np.arange(1, 258)), 512)
    wander = np.resize(wander / wander.std(), n)
    phase = 2 * np.pi * (breaths * np.arange(n) * 60 / bpm + rng.random())
    rr = 60 / bpm * (1 + rng.uniform(0.01, 0.06) * np.sin(phase) + 0.02 * wander).clip(0.7, 1.4)
    s1 = np.r_[0, np.cumsum(rr[:-1])] - rr[0] * (1 + rng.random())
    root = np.sqrt(rr)
    s2 = s1 + 0.32 * root * (1 + 0.01 * rng.standard_normal(n))
    beats = np.stack([s1, s1 + 0.15 * root, s2, s2 + 0.132 * root], 1)
    return beats[s1 < seconds + 0.2]


def _add_sounds(signal: Array, rng: Rng, onsets: Array, tones: Array, peak: float) -> None:
    """Add a sum of damped tones to the signal at each of `onsets` (beats,) in seconds; see `Person.tones`."""
    first = np.floor(onsets * RATE).astype(int)
    index = first[:, None] + np.arange(int(0.18 * RATE))
    time_since_onset = index / RATE - onsets[:, None] - 0.012
    split_delay = rng.uniform(0, 0.01, (len(onsets), 1))  # the split varies
    loudness, pitch_factor = rng.lognormal(0, [[[0.08]], [[0.012]]], (2, len(onsets), len(tones)))
    sound = np.zeros(index.shape)
    for c, (hz, decay, delay, amplitude) in enumerate(tones):
        tau = np.maximum(time_since_onset - delay - split_delay * (delay > 0.015), 0)
        body = np.exp(-tau / decay) * (1 - np.exp(-tau / 0.004))
        sound += amplitude * loudness[:, c, None] * body * np.sin(2 * np.pi * hz * pitch_factor[:, c, None] * tau)
    inside = (index >= 0) & (index < len(signal))
    np.add.at(signal, index[inside], peak * sound[inside])


def _envelope(t: Array, starts: Array, ends: Array, swell: Array, murmur: Murmur) -> Array:
    """Return the amplitude (frames,) of a murmur: an RMS of about `swell` (beats,) within its part of each span."""
    beat = np.maximum(np.searchsorted(starts, t, side="right") - 1, 0)
    low, high = WINDOWS[murmur.facts["timing"]]
    v = (((t - starts[beat]) / (ends[beat] - starts[beat]) - low) / (high - low)).clip(0, 1)
    ramp = {"Crescendo": v, "Decrescendo": 1 - v, "Diamond": 1 - np.abs(2 * v - 1)}
    body = 1.73 * ramp.get(murmur.facts["shape"], 1 / 1.73)
    return swell[beat] * body * np.clip(8 * v, 0, 1) * np.clip(8 - 8 * v, 0, 1)


def _states(rng: Rng, beats: Array, seconds: float, share: float) -> Rows:
    """Return rows (start, end, state) that cover the recording; only a run of complete beats is annotated."""
    complete_beats = beats[(beats[:, 0] > 0.02) & (beats[:, 3] < seconds - 0.02)]
    count = max(1, round(share * len(complete_beats)))
    first = int(rng.integers(0, len(complete_beats) - count + 1)) if len(complete_beats) else 0
    boundaries = np.round(np.r_[0, complete_beats[first : first + count].ravel(), seconds], 6).tolist()
    states = [0] + [1, 2, 3, 4] * (len(boundaries) // 4)
    states[len(boundaries) - 2] = 0
    return list(zip(boundaries[:-1], boundaries[1:], states[: len(boundaries) - 1], strict=True))
