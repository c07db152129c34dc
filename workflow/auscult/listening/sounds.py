"""One recording for the page: its sound as MP3, its waveform, and its feature frames with an explanation in colour."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from itertools import pairwise

import matplotlib
import matplotlib.image
import numpy as np
import pandas as pd
import soundfile
from numpy.typing import NDArray

from auscult.cache.audio import resample
from auscult.figures.drawing import PALETTE

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""Sampling rates that MP3 has, in Hz."""
HIGHEST_RATE = 16000
LONGEST_S = 30.0
"""Seconds of a recording that the page has, from its beginning."""
PEAK = 0.8  # compression adds up to a sixth
COLUMNS, HEIGHT = 600, 100
"""Columns of a picture, and the height in which the waveform is drawn."""
EVIDENCE = "inferno"


@dataclass(frozen=True)
class Sound:
    """One recording as the template shows it.

    `mp3`, `picture`: data addresses. `wave`: an SVG path in a box of `COLUMNS` × `HEIGHT`. `phases`: (name, colour, SVG
    path in the same box). `seconds`: what is played of `whole_seconds`.
    """

    recording: str
    site: str
    seconds: float
    whole_seconds: float
    mp3: str
    wave: str
    picture: str
    phases: list[tuple[str, str, str]]
    problems: list[str]

    @property
    def size(self) -> int:
        """Bytes on the page."""
        return sum(map(len, (self.mp3, self.wave, self.picture, *(path for *_, path in self.phases))))


def mp3(samples: NDArray, rate_hz: int) -> str:
    """Return samples (n,) as the data address of an MP3, loudest at 0.8 of full scale; silence stays silent."""
    rate = next(rate for rate in RATES if rate >= min(rate_hz, HIGHEST_RATE))
    audio = resample(samples[:, None], rate_hz, rate)[:, 0]
    peak = np.abs(audio).max(initial=0)
    file = io.BytesIO()
    soundfile.write(
        file, audio * (PEAK / peak if peak > 0 else 1), rate, "MPEG_LAYER_III", format="MP3", compression_level=0.5
    )
    return f"data:audio/mpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _columns(count: int) -> list[slice]:
    """Cut a number of samples or frames into at most `COLUMNS` parts that are equally long but for rounding."""
    edges = np.linspace(0, count, min(COLUMNS, count) + 1).round().astype(int)
    return [slice(first, last) for first, last in pairwise(edges)]


def wave(samples: NDArray) -> str:
    """Return the outline of samples (n,) as an SVG path: the largest and smallest sample of each column."""
    columns = [samples[part] for part in _columns(len(samples))]
    high, low = (np.array([pick(column) for column in columns]) for pick in (np.max, np.min))
    scale = HEIGHT / 2 / max(np.abs(samples).max(initial=0), 1e-9)
    x = np.linspace(0, COLUMNS, len(columns))
    points = [
        *zip(x, HEIGHT / 2 - scale * high, strict=True),
        *zip(x[::-1], HEIGHT / 2 - scale * low[::-1], strict=True),
    ]
    return "M" + "L".join(f"{a:.0f},{b:.1f}" for a, b in points) + "Z"


def phases(states: pd.DataFrame, names: list[str], seconds: float) -> list[tuple[str, str, str]]:
    """Return (name, colour, SVG path) of the annotated states of a recording, in their order, up to `seconds`."""
    paths = []
    for name, colour in zip(names, PALETTE, strict=False):
        rows = states[(states["state"] == name) & (states["onset_s"] < seconds)]
        ends = rows["offset_s"].clip(upper=seconds)
        boxes = COLUMNS / seconds * np.stack([rows["onset_s"], ends], axis=1)
        path = "".join(f"M{a:.1f},0V{HEIGHT}H{b:.1f}V0Z" for a, b in boxes)
        if path:
            paths.append((name, colour, path))
    return paths


def picture(features: NDArray, cam: NDArray | None, by: str) -> str:
    """Return frames (frames, bands) in grey, with a map of the same shape in colour, as the data address of a PNG.

    Low bands are at the bottom. Frames are averaged to at most `COLUMNS`. The colour is the denser the more the map
    has; a map of attention begins at its smallest value, others at 0. `by`: see
    `inference.explanation_maps.explained_by`.
    """
    parts = _columns(len(features))
    shrunk = np.array([features[part].mean(axis=0) for part in parts], dtype=float)
    low, high = np.percentile(shrunk, [1, 99])
    grey = np.clip((shrunk - low) / max(high - low, 1e-9), 0, 1)
    rgb = np.repeat(1 - grey[..., None], 3, axis=2)
    if cam is not None:
        share = np.array([cam[part].mean(axis=0) for part in parts], dtype=float)
        share = share - share.min() if by == "attention" else share
        share = np.clip(share / max(share.max(), 1e-9), 0, 1)
        colours = matplotlib.colormaps[EVIDENCE](0.25 + 0.75 * share)[..., :3]
        rgb = rgb + (0.85 * share[..., None]) * (colours - rgb)
    file = io.BytesIO()
    matplotlib.image.imsave(file, np.ascontiguousarray(rgb.transpose(1, 0, 2)[::-1]), format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def sound(
    recording: str,
    site: str,
    samples: NDArray,
    rate_hz: int,
    features: NDArray,
    frames_per_second: float,
    cam: NDArray | None,
    by: str,
    states: pd.DataFrame,
    names: list[str],
    problems: list[str],
) -> Sound:
    """Return a recording for the page.

    Parameters
    ----------
    samples : (channels, n), averaged over the channels. features : (frames, bands). cam : a map of their shape, or
        None without an explanation by bands.
    states, names : the annotated states of the recording, and their names in the order of a cycle.
    problems : of the recording, from quality.csv.
    """
    mono = samples.mean(axis=0)
    whole = len(mono) / rate_hz
    seconds = min(LONGEST_S, whole)
    mono, count = mono[: round(seconds * rate_hz)], max(1, round(seconds * frames_per_second))
    image = picture(features[:count], cam[:count] if cam is not None else None, by)
    of_phases = phases(states, names, seconds)
    return Sound(recording, site, seconds, whole, mp3(mono, rate_hz), wave(mono), image, of_phases, problems)
