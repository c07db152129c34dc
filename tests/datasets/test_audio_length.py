"""The stated length of a sound file against its bytes: any container, cut or extended at any place."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auscult.datasets import audio, audio_length
from auscult.datasets.errors import Unusable

CONTAINERS = [
    *(("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("W64", "PCM_16")),
    *(("AIFF", "PCM_16"), ("AU", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")),
]
RATE, SAMPLES = 8000, 16000
ANYWHERE = settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def signal(count: int = SAMPLES) -> np.ndarray:
    return 0.4 * np.random.default_rng(0).standard_normal(count).clip(-2, 2)


def write(path: Path, form: str, subtype: str) -> bytes:
    soundfile.write(path, signal(), RATE, format=form, subtype=subtype)
    return path.read_bytes()


def inspect(path: Path) -> audio.Facts:
    return audio.inspect(path, None, None, 1.0, True)


@pytest.mark.parametrize(("form", "subtype"), CONTAINERS)
def test_a_complete_file_has_no_problem_with_its_length(tmp_path, form, subtype):
    path = tmp_path / "x"
    write(path, form, subtype)
    assert audio_length.check(path) == (None, None)
    assert inspect(path).frames == pytest.approx(SAMPLES, abs=2400)  # MP3 pads


@pytest.mark.parametrize(("form", "subtype"), CONTAINERS)
def test_a_file_cut_anywhere_is_dropped(tmp_path, form, subtype):
    path = tmp_path / "x"
    contents = write(path, form, subtype)

    @ANYWHERE
    @given(st.integers(1, len(contents) - 1))
    def cut(length: int) -> None:
        path.write_bytes(contents[:length])
        with pytest.raises(Unusable) as error:
            inspect(path)
        assert error.value.problem in ("truncated", "corrupt", "empty")
        if length > len(contents) // 2:
            assert error.value.problem == "truncated"

    cut()


@ANYWHERE
@given(st.sampled_from([2**31, 2**32]), st.integers(-4096, 4095), st.booleans())
def test_any_placeholder_for_an_unknown_length_is_read_to_the_end(tmp_path, limit, margin, is_zero):
    path = tmp_path / "x.wav"
    contents = bytearray(write(path, "WAV", "PCM_16"))
    length = 0 if is_zero else min(limit + margin, 2**32 - 1)
    contents[40:44] = struct.pack("<I", length)
    path.write_bytes(contents)
    facts = inspect(path)
    samples, _, _ = audio.read(path)
    assert facts.frames == SAMPLES and "length" in dict(facts.problems)
    np.testing.assert_allclose(samples[:, 0] / 32768, signal(), atol=2**-15)


def test_an_interval_of_a_file_whose_length_was_never_filled_in(tmp_path):
    path = tmp_path / "x.wav"
    contents = bytearray(write(path, "WAV", "PCM_16"))
    contents[40:44] = bytes(4)
    path.write_bytes(contents)
    samples, _, _ = audio.read(path, 0.5, 1.5)
    np.testing.assert_allclose(samples[:, 0] / 32768, signal()[4000:12000], atol=2**-15)


def test_more_samples_than_32_bits_can_state(tmp_path):
    """A sparse file: its length in the header is what is left of it modulo 2³²."""
    path = tmp_path / "x.wav"
    contents = bytearray(write(path, "WAV", "PCM_16"))
    contents[40:44] = struct.pack("<I", 16000)
    path.write_bytes(contents)
    with path.open("r+b") as file:
        file.truncate(44 + 2**32 + 16000)
    facts = inspect(path)
    detail = dict(facts.problems)["length"]
    assert facts.frames == 8000
    assert "16000 bytes" in detail and str(2**32 + 16000) in detail


@ANYWHERE
@given(st.binary(min_size=9, max_size=64), st.sampled_from([b"LIST", b"id3 "]))
def test_further_chunks_are_no_problem_and_anything_else_is_reported(tmp_path, rest, name):
    path = tmp_path / "x.wav"
    contents = write(path, "WAV", "PCM_16")
    path.write_bytes(contents + name + struct.pack("<I", len(rest)) + rest)
    assert inspect(path).problems == ()
    path.write_bytes(contents + b"\x00\xff" + rest)
    facts = inspect(path)
    assert facts.frames == SAMPLES and [problem for problem, _ in facts.problems] == ["length"]


@ANYWHERE
@given(st.integers(2, 15))
def test_a_few_samples_are_no_recording(tmp_path, count):
    path = tmp_path / "x.wav"
    soundfile.write(path, signal(count), RATE)
    with pytest.raises(Unusable) as error:
        inspect(path)
    assert error.value.problem == "too_short"


@ANYWHERE
@given(st.floats(1.001, 1e9), st.sampled_from(["FLOAT", "DOUBLE"]))
def test_samples_that_int16_cannot_represent_name_the_key(tmp_path, scale, subtype):
    path = tmp_path / "x.wav"
    samples = signal() / np.abs(signal()).max()
    soundfile.write(path, scale * samples, RATE, subtype=subtype)
    with pytest.raises(audio.SampleFormatError, match=r"x\.wav: .*dataset\.sample_format: int16; set .*float32"):
        inspect(path)
    assert audio.inspect(path, None, None, 1.0, True, "float32").frames == SAMPLES
    soundfile.write(path, samples / 2000 / scale, RATE, subtype=subtype)
    if 32768 / 2000 / scale < 0.5:
        with pytest.raises(Unusable, match=r"as int16 numbers.*; set dataset\.sample_format: float32"):
            inspect(path)
    else:
        assert "quiet" in dict(inspect(path).problems)
    assert "quiet" not in dict(audio.inspect(path, None, None, 1.0, True, "float32").problems)
