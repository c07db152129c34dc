"""The audio cache: samples that need no change keep every bit; formats, channels and rates become the data set's."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.cache.audio import as_float, audio_config, cache_audio, read_audio, resample
from auscult.cache.store import Cache, CacheError, open_cache
from auscult.config.dataset import Dataset

RATE = 4000


def row(path: str, onset_s: float | None = None, offset_s: float | None = None) -> dict:
    facts = {"sha256": path, "rate_hz": 0, "channels": 0}
    return {"recording": Path(path).stem, "path": path, "onset_s": onset_s, "offset_s": offset_s, **facts}


def cached(root: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16", **dataset) -> Cache:
    """Return the cache of a WAV of (n,) or (n, channels) samples, as recording `x`."""
    soundfile.write(root / "x.wav", samples, rate, subtype)
    return cache_of(root, [row("x.wav")], **dataset)


def cache_of(root: Path, rows: list[dict], **dataset) -> Cache:
    data = Dataset(name="any", adapter="folder", root=str(root), shards=1, **dataset)
    cache_audio(root / "cache", pd.DataFrame(rows), data, "1", 1)
    return open_cache(root / "cache", audio_config(data))


def noise(n: int = 4000, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-32768, 32768, (n, channels)).astype(np.int16)


def tone(hz: float, rate: int, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


# ---------------------------------------------------------------- formats


def test_16_bit_samples_keep_every_bit(tmp_path: Path) -> None:
    samples = noise()
    samples[:3, 0] = -32768, 32767, 0
    cache = cached(tmp_path, samples)
    assert cache.read("x").dtype == np.int16
    np.testing.assert_array_equal(cache.read("x"), samples)
    read_samples = read_audio(cache, "x")
    assert read_samples.dtype == np.float64
    np.testing.assert_array_equal(read_samples, samples.T / 32768)
    assert cache.shape == (1,)


def test_stereo_is_averaged(tmp_path: Path) -> None:
    samples = noise(channels=2)
    samples[0] = 32767, 32767
    samples[1] = -32768, -32768
    cache = cached(tmp_path, samples)
    np.testing.assert_array_equal(cache.read("x"), np.rint(samples.mean(axis=1, keepdims=True)))


@pytest.mark.parametrize("channels", [2, 12])
def test_all_channels_are_kept(tmp_path: Path, channels: int) -> None:
    samples = noise(channels=channels)
    cache = cached(tmp_path, samples, channels="all")
    np.testing.assert_array_equal(cache.read("x"), samples)
    assert read_audio(cache, "x").shape == (channels, 4000)
    assert cache.shape == (channels,)


def test_all_channels_are_resampled_separately(tmp_path: Path) -> None:
    samples = np.stack([tone(5 * (lead + 1), 500, 2.0) for lead in range(12)], axis=1)
    cache = cached(tmp_path, samples, 500, "FLOAT", channels="all", rate_hz=100, sample_format="float32")
    read_samples = read_audio(cache, "x")
    assert read_samples.shape == (12, 200)
    for lead in (0, 5):
        expected = tone(5 * (lead + 1), 100, 2.0)
        np.testing.assert_allclose(read_samples[lead, 30:-30], expected[30:-30], atol=2e-3)


def test_8_bit_samples_become_16(tmp_path: Path) -> None:
    steps = np.arange(-128, 128)
    cache = cached(tmp_path, steps / 128, subtype="PCM_U8")
    np.testing.assert_array_equal(cache.read("x")[:, 0], steps * 256)


def test_24_bit_samples_become_16(tmp_path: Path) -> None:
    steps = np.array([-(2**23), -12345, -1, 0, 1, 127, 129, 12345, 2**23 - 1])
    cache = cached(tmp_path, (steps * 256).astype(np.int32), subtype="PCM_24")
    expected = np.clip(np.rint(steps / 256), -32768, 32767)
    np.testing.assert_array_equal(cache.read("x")[:, 0], expected)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_float_samples_become_16_bit_and_stay_in_range(tmp_path: Path, subtype: str) -> None:
    values = np.array([-2.0, -1.0, -0.5, 0.0, 0.25, 0.999, 1.0, 7.0])
    cache = cached(tmp_path, values, subtype=subtype)
    expected = [-32768, -32768, -16384, 0, 8192, 32735, 32767, 32767]
    assert cache.read("x")[:, 0].tolist() == expected


def test_float32_keeps_samples_beyond_full_scale(tmp_path: Path) -> None:
    values = np.array([-7.5, 0.1, 300.0], np.float32)
    cache = cached(tmp_path, values, subtype="FLOAT", sample_format="float32")
    assert cache.read("x").dtype == np.float32
    np.testing.assert_array_equal(read_audio(cache, "x")[0], values.astype(np.float64))


def test_float32_of_16_bit_files_is_within_one(tmp_path: Path) -> None:
    samples = noise()
    cache = cached(tmp_path, samples, sample_format="float32")
    np.testing.assert_array_equal(read_audio(cache, "x"), samples.T / 32768)


def test_as_float_scales_16_bit_samples_only() -> None:
    assert as_float(np.array([-32768, 16384], np.int16)).tolist() == [-1.0, 0.5]
    assert as_float(np.array([-3.0, 0.5], np.float32)).tolist() == [-3.0, 0.5]


# ---------------------------------------------------------------- rates


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3000),
    st.sampled_from([100, 500, 4000, 8000, 11025, 44100]),
    st.sampled_from([100, 1000, 4000, 5000]),
)
def test_resampled_lengths_are_exact(n: int, rate: int, new_rate: int) -> None:
    resampled = resample(np.ones((n, 2)) * [0.5, -0.5], rate, new_rate)
    assert resampled.shape == (max(1, round(n * new_rate / rate)), 2)
    assert np.isfinite(resampled).all()


@pytest.mark.parametrize("rate", [8000, 44100, 1000])
def test_a_sine_stays_a_sine(tmp_path: Path, rate: int) -> None:
    cache = cached(tmp_path, tone(150, rate), rate, "FLOAT", rate_hz=RATE)
    read_samples = read_audio(cache, "x")[0]
    assert len(read_samples) == RATE
    np.testing.assert_allclose(read_samples[200:-200], tone(150, RATE)[200:-200], atol=1e-3)


def test_frequencies_above_half_the_new_rate_are_filtered_out(tmp_path: Path) -> None:
    mixed = tone(100, 8000) + tone(3000, 8000, amplitude=0.3)
    read_samples = read_audio(cached(tmp_path, mixed, 8000, "FLOAT"), "x")[0]
    np.testing.assert_allclose(read_samples[200:-200], tone(100, RATE)[200:-200], atol=1e-3)


# ---------------------------------------------------------------- intervals and faults


def test_intervals_of_one_file(tmp_path: Path) -> None:
    samples = noise()
    soundfile.write(tmp_path / "x.wav", samples, RATE)
    rows = [row("x.wav", 0.25, 0.5) | {"recording": "a"}, row("x.wav", 0.5, np.nan) | {"recording": "b"}]
    cache = cache_of(tmp_path, rows)
    np.testing.assert_array_equal(cache.read("a"), samples[1000:2000])
    np.testing.assert_array_equal(cache.read("b"), samples[2000:])


@pytest.mark.parametrize("content", [None, b"", b"RIFF0000WAVE"])
def test_a_file_that_became_unreadable_after_ingest_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(CacheError, match=r"recording 'x': .*x\.wav: .*run snakemake again"):
        cache_of(tmp_path, [row("x.wav")])
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("change", [{"rate_hz": 2000}, {"channels": "all"}, {"sample_format": "float32"}])
def test_another_configuration_is_refused(tmp_path: Path, change: dict) -> None:
    cached(tmp_path, noise())
    changed = Dataset(**{"name": "any", "adapter": "folder", "root": "elsewhere", **change})
    with pytest.raises(CacheError, match="delete it"):
        open_cache(tmp_path / "cache", audio_config(changed))
    same = Dataset(name="another", adapter="circor", root="elsewhere", short_s=1.0)
    assert open_cache(tmp_path / "cache", audio_config(same)).lengths(["x"]).tolist() == [4000]
