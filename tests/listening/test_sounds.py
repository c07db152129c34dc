"""Sounds of the page: what the MP3 plays, outlines, phases, and pictures."""

import base64
import io
import re

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import soundfile

from auscult.listening.sounds import COLUMNS, HEIGHT, LONGEST_S, PEAK, mp3, phases, picture, sound, wave

STATES = pd.DataFrame(
    {"recording": "r", "onset_s": [0.0, 0.5, 1.5], "offset_s": [0.5, 1.5, 3.0], "state": ["S1", "systole", "S1"]}
)


def decoded(address: str) -> tuple[np.ndarray, int]:
    kind, data = address.split(",")
    assert kind == "data:audio/mpeg;base64"
    return soundfile.read(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize("rate_hz", [1000, 4000, 5000, 16000, 44100])
@pytest.mark.parametrize("loudness", [0.001, 0.3])
def test_the_sound_is_the_recording_at_full_loudness(rate_hz, loudness):
    t = np.arange(4 * rate_hz) / rate_hz
    played, rate = decoded(mp3(loudness * np.sin(2 * np.pi * 150 * t), rate_hz))
    assert min(rate_hz, 16000) <= rate <= 16000 and len(played) / rate == pytest.approx(4, abs=0.2)
    middle = played[rate : 3 * rate]
    assert 0.9 * PEAK < np.abs(played).max() < 1
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.fft.rfftfreq(len(middle), 1 / rate)[spectrum.argmax()] == pytest.approx(150, abs=1)


def test_silence_stays_silent():
    assert np.abs(decoded(mp3(np.zeros(8000), 4000))[0]).max() < 1e-3
    assert re.fullmatch(r"M[0-9,.L-]+Z", wave(np.zeros(10)))


@pytest.mark.parametrize("size", [1, 7, 599, 600, 84001])
def test_the_outline_is_in_its_box_and_has_every_peak(size):
    samples = np.random.default_rng(size).standard_normal(size)
    place = np.abs(samples).argmax()
    points = np.array([list(map(float, pair.split(","))) for pair in wave(samples)[1:-1].split("L")])
    assert points[:, 0].min() == 0 and points[:, 0].max() <= COLUMNS
    assert points[:, 1].min() >= 0 and points[:, 1].max() <= HEIGHT
    peak = points[np.abs(points[:, 1] - HEIGHT / 2).argmax()]
    assert abs(peak[1] - HEIGHT / 2) == pytest.approx(HEIGHT / 2, abs=0.1)
    assert (peak[1] < HEIGHT / 2) == (samples[place] > 0)
    assert peak[0] == pytest.approx(COLUMNS * place / max(size - 1, 1), abs=COLUMNS / min(size, COLUMNS) + 1)


def test_phases_are_where_they_are_annotated():
    found = phases(STATES, ["S1", "systole", "S2"], 2.0)
    assert [name for name, *_ in found] == ["S1", "systole"]
    assert found[0][2] == f"M0.0,0V{HEIGHT}H150.0V0ZM450.0,0V{HEIGHT}H600.0V0Z"
    assert found[1][2] == f"M150.0,0V{HEIGHT}H450.0V0Z"
    assert phases(STATES.head(0), ["S1"], 2.0) == []


@pytest.mark.parametrize(("by", "floor"), [("Grad-CAM", 0.0), ("attention", 0.4)])
def test_the_picture_is_grey_but_for_the_explanation(by, floor):
    rng = np.random.default_rng(0)
    features, cam = rng.standard_normal((1300, 20)), np.full((1300, 20), floor)
    cam[650:, 15:] = 1.0
    image = matplotlib.image.imread(io.BytesIO(base64.b64decode(picture(features, cam, by).split(",")[1])))[..., :3]
    assert image.shape == (20, COLUMNS, 3)
    colour = np.ptp(image, axis=2)
    assert colour[5:].max() < 0.01 and colour[:, : COLUMNS // 2 - 1].max() < 0.01  # high bands are above
    assert colour[:5, COLUMNS // 2 + 1 :].min() > 0.2


@pytest.mark.parametrize("by", ["Grad-CAM", ""])
def test_a_long_recording_is_cut_and_says_so(by):
    seconds, rate = LONGEST_S + 10, 4000
    samples = np.random.default_rng(0).standard_normal((2, round(seconds * rate)))
    features = np.zeros((round(seconds * 10), 8))
    cam = np.zeros_like(features) if by else None
    item = sound("r", "AV", samples, rate, features, 10.0, cam, by, STATES, ["S1", "systole"], ["quiet"])
    assert (item.seconds, item.whole_seconds) == (LONGEST_S, seconds)
    played, played_rate = decoded(item.mp3)
    assert len(played) / played_rate == pytest.approx(LONGEST_S, abs=0.3)
    assert 10_000 < item.size < 400_000
