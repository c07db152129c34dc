"""Reading a signal file: sample formats, intervals, unusable and suspicious recordings."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.datasets import audio
from auscult.datasets.errors import DatasetError, Unusable

RATE = 4000
FORMATS = {"PCM_16": 2**-15, "PCM_U8": 2**-7, "PCM_24": 2**-23, "PCM_32": 2**-31, "FLOAT": 1e-7, "DOUBLE": 1e-15}


@pytest.fixture
def save(tmp_path: Path):
    def save(samples, name: str = "x.wav", rate: int = RATE, **options) -> Path:
        soundfile.write(tmp_path / name, samples, rate, **options)
        return tmp_path / name

    return save


def inspect(
    path: Path, onset=None, offset=None, short_s: float = 1.0, mono: bool = True, sample_format: str = "int16"
) -> audio.Facts:
    return audio.inspect(path, onset, offset, short_s, mono, sample_format)


def problems(path: Path, **options) -> list[str]:
    return [problem for problem, _ in inspect(path, **options).problems]


# ---------------------------------------------------------------- formats


@pytest.mark.parametrize(("subtype", "step"), FORMATS.items())
def test_every_sample_format_gives_the_same_signal(save, sine, subtype: str, step: float) -> None:
    path = save(sine(), subtype=subtype)
    samples, rate, sample_format = audio.read(path)
    assert (rate, sample_format, samples.shape) == (RATE, subtype, (20000, 1))
    values = samples / 32768 if subtype == "PCM_16" else samples
    assert samples.dtype == (np.int16 if subtype == "PCM_16" else np.float64)
    assert np.abs(values[:, 0] - sine()).max() <= step
    facts = inspect(path)
    assert (facts.rate_hz, facts.channels, facts.frames) == (RATE, 1, 20000)
    expected = [] if subtype == "PCM_16" else [("sample_format", f"{subtype}, not 16-bit")]
    assert list(facts.problems) == expected


def test_hash_is_of_the_samples_not_of_the_file(save, sine) -> None:
    samples = np.round(sine() * 32767).astype(np.int16)
    expected = hashlib.sha256(samples.tobytes()).hexdigest()
    assert inspect(save(samples)).sha256 == inspect(save(samples, "x.flac")).sha256 == expected
    changed = samples.copy()
    changed[1234] += 1
    assert inspect(save(changed)).sha256 != expected


def test_stereo_is_reported_only_when_it_will_be_averaged(save, sine) -> None:
    path = save(np.c_[sine(50), sine(60)])
    assert inspect(path).channels == 2
    assert inspect(path).problems == (("channels", "2 channels, averaged to one"),)
    assert inspect(path, mono=False).problems == ()


def test_the_rate_is_that_of_the_file(save, sine) -> None:
    facts = inspect(save(sine(50, 2, 44100), rate=44100))
    assert (facts.rate_hz, facts.frames, facts.problems) == (44100, 88200, ())


# ---------------------------------------------------------------- intervals


def test_only_the_samples_of_an_interval_are_read(save, sine) -> None:
    all_samples, _, _ = audio.read(save(sine()))
    interval, _, _ = audio.read(save(sine()), 1.25, 2.5)
    assert np.array_equal(interval, all_samples[5000:10000])
    for onset, offset, expected in ((None, 1.0, all_samples[:4000]), (4.0, None, all_samples[16000:])):
        assert np.array_equal(audio.read(save(sine()), onset, offset)[0], expected)
    assert inspect(save(sine()), 1.25, 2.5).sha256 == hashlib.sha256(all_samples[5000:10000].tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("offset", "is_accepted"), [(5.0, True), (5.0005, True), (5.01, True), (5.0105, False), (6.0, False)]
)
def test_a_last_offset_may_be_10_ms_beyond_the_end(save, sine, offset: float, is_accepted: bool) -> None:
    if is_accepted:
        assert inspect(save(sine()), 1.0, offset).frames == 16000
    else:
        with pytest.raises(Unusable, match=rf"^1.0 to {offset} s is not inside the file's 5.000 s$"):
            inspect(save(sine()), 1.0, offset)


@pytest.mark.parametrize(
    ("onset", "offset"),
    [(-0.1, 1.0), (1.0, 1.0), (2.0, 1.0), (5.0, 5.005), (5.0, None), (7.0, 8.0), (0.0, np.inf), (-np.inf, 1.0)],
)
def test_an_interval_outside_the_file_is_unusable(save, sine, onset: float, offset: float | None) -> None:
    with pytest.raises(Unusable) as error:
        inspect(save(sine()), onset, offset)
    assert error.value.problem == "interval"
    assert str(onset) in str(error.value)
    assert str(offset) in str(error.value)


# ---------------------------------------------------------------- unusable


def test_a_missing_file_is_unusable(tmp_path: Path) -> None:
    for path in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(Unusable, match="the file is not there") as error:
            inspect(path)
        assert error.value.problem == "missing"


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not audio at all, really. " * 50, b"\0" * 4096])
def test_a_file_that_is_not_audio_is_corrupt(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(Unusable, match="not readable as audio") as error:
        inspect(tmp_path / "x.wav")
    assert error.value.problem == "corrupt"


@pytest.mark.parametrize("interval", [(None, None), (0.0, 1.0)])
def test_a_file_without_samples_is_empty(save, interval: tuple) -> None:
    with pytest.raises(Unusable, match="no samples") as error:
        inspect(save(np.zeros(0)), *interval)
    assert error.value.problem == "empty"


@pytest.mark.parametrize("cut", [1, 2, 20000, 40000])
def test_a_wav_that_ends_early_is_truncated(save, sine, cut: int) -> None:
    path = save(sine())
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(Unusable) as error:
        inspect(path)
    assert error.value.problem == "truncated"
    assert str(error.value) == f"the header states 40000 bytes of samples, the file has {40000 - cut}"


def test_truncation_is_found_behind_other_chunks(save, sine) -> None:
    path = save(sine())
    raw = path.read_bytes()
    odd = b"LIST" + (5).to_bytes(4, "little") + b"words\0"  # chunks of odd length are padded
    path.write_bytes(raw[:12] + odd + raw[12:])
    assert inspect(path).frames == 20000
    path.write_bytes((raw[:12] + odd + raw[12:])[:-8])
    with pytest.raises(Unusable, match="40000 bytes of samples, the file has 39992"):
        inspect(path)
    path.write_bytes(raw + b"trailing words")
    assert inspect(path).frames == 20000


def test_a_streamed_wav_of_unknown_length_is_read_completely(save, sine) -> None:
    path = save(sine())
    raw = bytearray(path.read_bytes())
    raw[4:8] = raw[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(raw)
    assert inspect(path).frames == 20000


@pytest.mark.parametrize("share", [0.5, 0.98])
def test_a_flac_that_ends_early_is_corrupt(save, sine, share: float) -> None:
    path = save(sine(), "x.flac")
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(Unusable) as error:
        inspect(path)
    assert error.value.problem == "corrupt"


@pytest.mark.parametrize("samples", [np.zeros(8000), np.full(8000, 0.25), np.zeros((8000, 2)), np.full(1, 0.5)])
def test_a_constant_signal_is_unusable(save, samples: np.ndarray) -> None:
    with pytest.raises(Unusable, match="every sample is") as error:
        inspect(save(samples))
    assert error.value.problem == "constant"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_unusable(save, sine, value: float) -> None:
    samples = sine()
    samples[-1] = value
    with pytest.raises(Unusable, match="NaN or infinite samples") as error:
        inspect(save(samples, subtype="FLOAT"))
    assert error.value.problem == "not_finite"
    assert inspect(save(samples, subtype="FLOAT"), 0.0, 4.0).frames == 16000  # the interval is clean


# ---------------------------------------------------------------- kept, with a row in quality


@pytest.mark.parametrize("subtype", FORMATS)
@pytest.mark.parametrize("top", [1.0, -1.0])
@pytest.mark.parametrize(("share", "clipped"), [(0.009, False), (0.011, True)])
def test_clipping_is_reported_from_one_percent(save, sine, subtype: str, top: float, share: float, clipped) -> None:
    samples = sine()
    samples[: round(share * len(samples))] = top
    assert ("clipped" in problems(save(samples, subtype=subtype))) == clipped


def test_a_loud_signal_is_not_clipped(save, sine) -> None:
    assert problems(save(sine(peak=0.99))) == []


@pytest.mark.parametrize("place", [0, 777, -1])
def test_a_sample_beyond_full_scale_hides_no_clipping(save, sine, place: int) -> None:
    samples = (4 * sine(peak=1.0)).clip(-1, 1)
    samples[place] = 1.001
    assert "clipped" in problems(save(samples, subtype="FLOAT"), sample_format="float32")


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("scale", [30.0, 500.0, 1e4])
def test_physical_units_have_no_full_scale(save, sine, subtype: str, scale: float) -> None:
    facts = inspect(save(scale * sine(peak=1.0), subtype=subtype), sample_format="float32")
    assert [problem for problem, _ in facts.problems] == ["sample_format"]


def test_clipping_is_reported_with_its_share(save, sine) -> None:
    samples = sine()
    samples[:10000:2] = 1
    assert inspect(save(samples)).problems == (("clipped", "25.0 % of the samples at full scale"),)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_part_that_was_not_written_is_reported(save, sine, subtype: str, seed: int) -> None:
    rng, samples = np.random.default_rng(seed), sine()
    start = int(rng.integers(0, len(samples) - 4000))
    stop = int(rng.integers(start + 3000, len(samples)))
    samples[start:stop] = rng.choice([0.0, 0.25])
    (_, detail), *_ = [each for each in inspect(save(samples, subtype=subtype)).problems if each[0] == "still"]
    first, last = (float(word) for word in detail.split() if word.replace(".", "").isdecimal())
    assert (first, last) == pytest.approx((start / RATE, stop / RATE), abs=2 / RATE)


@pytest.mark.parametrize("share", [0.02, 0.09])
def test_a_pause_is_no_problem(save, sine, share: float) -> None:
    samples = sine(seconds=20.0)
    samples[1000 : 1000 + round(share * len(samples))] = 0
    assert problems(save(samples)) == []


@pytest.mark.parametrize("steps", [1, 3, 20])
def test_channels_that_nearly_cancel_are_quiet(save, sine, steps: int) -> None:
    noise = np.random.default_rng(steps).integers(-steps, steps + 1, len(sine())) / 32768
    facts = inspect(save(np.stack([sine(), -sine() + noise], axis=1)), mono=True)
    assert [problem for problem, _ in facts.problems] == ["channels", "quiet"]
    assert "after the channels were averaged" in dict(facts.problems)["quiet"]


@pytest.mark.parametrize("steps", [2, 30, 63, 100])
def test_16_bits_with_few_steps_are_quiet(save, sine, steps: int) -> None:
    assert ("quiet" in problems(save(np.round(sine(peak=1.0) * steps) / 32768))) == (steps < 64)


@pytest.mark.parametrize("count", [1, 3])
def test_channels_without_a_signal_are_counted(save, sine, count: int) -> None:
    samples = np.stack([sine(), sine(60), sine(70), sine(80)], axis=1)
    samples[:, np.random.default_rng(count).permutation(4)[:count]] = 0.1
    facts = inspect(save(samples), mono=False)
    assert dict(facts.problems)["flat"] == f"{count} of 4 channels are constant"


@pytest.mark.parametrize(("frames", "short"), [(15999, True), (16000, False), (16001, False)])
def test_short_is_shorter_than_the_limit(save, sine, frames: int, short: bool) -> None:
    facts = inspect(save(sine()[:frames]), short_s=4.0)
    assert facts.problems == ((("short", "4.000 s, less than 4 s: padded at the end"),) if short else ())


def test_short_counts_the_interval_not_the_file(save, sine) -> None:
    assert inspect(save(sine()), 1.0, 3.0, short_s=4.0).problems[0][0] == "short"


def test_several_problems_are_all_reported(save, sine) -> None:
    loud = np.clip(4 * sine(seconds=2), -1, 1)
    assert problems(save(np.c_[loud, loud], subtype="PCM_24"), short_s=4.0) == [
        "channels",
        "sample_format",
        "clipped",
        "short",
    ]


def test_the_error_can_be_pickled():
    copy = pickle.loads(pickle.dumps(Unusable("empty", "no samples")))
    assert (copy.problem, str(copy)) == ("empty", "no samples")


# ---------------------------------------------------------------- damaged headers


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.au", "x.aiff", "x.w64", "x.mp3", "x.ogg", "x.rf64", "x.caf"])
def test_any_bytes_of_a_header_may_be_damaged(save, sine, name: str, seed: int) -> None:
    """The file is read, or unusable; it never ends the run."""
    rng = np.random.default_rng(seed)
    form = {"x.rf64": "RF64", "x.w64": "W64"}.get(name)
    rate = 8000 if name == "x.mp3" else RATE
    path = save(sine(), name, rate, format=form, **({"subtype": "PCM_16"} if form else {}))
    contents = path.read_bytes()
    for _ in range(60):
        damaged = bytearray(contents[: len(contents) if rng.random() < 0.7 else int(rng.integers(1, 120))])
        for _ in range(int(rng.integers(1, 9))):
            damaged[rng.integers(min(len(damaged), 100))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert inspect(path).frames > 0
        except Unusable as problem:
            assert str(problem)


@pytest.mark.parametrize("contents", [b".snd\0\0", b"dns.", b"ID3", b"RIFF", b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0"])
def test_a_header_alone_is_unusable(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(contents)
    with pytest.raises(Unusable):
        inspect(tmp_path / "x.wav")


def test_a_flac_that_states_more_than_memory_holds_is_unusable(save, sine) -> None:
    path = save(sine(), "x.flac")
    contents = bytearray(path.read_bytes())
    contents[21] |= 0x0F
    contents[22:26] = b"\xff\xff\xff\xff"  # the total number of samples has 36 bits
    path.write_bytes(contents)
    with pytest.raises(Unusable) as error:
        inspect(path)
    assert error.value.problem in ("corrupt", "truncated")


def test_a_flac_stream_without_a_length_is_unusable_and_why_is_said(save, sine) -> None:
    path = save(sine(), "x.flac")
    contents = bytearray(path.read_bytes())
    contents[21] &= 0xF0
    contents[22:26] = bytes(4)
    path.write_bytes(contents)
    with pytest.raises(Unusable, match=r"states no length.*: save the file again"):
        inspect(path)


@pytest.mark.parametrize("rate", [1, 5, 19, 1_000_001, 2**31 - 1])
def test_a_rate_that_no_signal_has_is_unusable(save, sine, rate: int) -> None:
    path = save(sine())
    contents = bytearray(path.read_bytes())
    contents[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(contents)
    with pytest.raises(Unusable, match="Hz") as error:
        inspect(path)
    assert error.value.problem == "rate"


@pytest.mark.parametrize("bounds", [(1e308, None), (None, 1e308), (1e305, 1e308)])
def test_times_beyond_all_numbers_are_no_interval(save, sine, bounds: tuple) -> None:
    with pytest.raises(Unusable) as error:
        inspect(save(sine()), *bounds)
    assert error.value.problem == "interval"


# ---------------------------------------------------------------- what is left in the cache


def test_channels_that_cancel_are_constant(save, sine) -> None:
    path = save(np.stack([sine(), -sine()], axis=1))
    with pytest.raises(Unusable, match="after the channels were averaged") as error:
        inspect(path)
    assert error.value.problem == "constant" and inspect(path, mono=False).channels == 2


@pytest.mark.parametrize("mean", [0.5, -0.9, 0.01])
def test_a_small_signal_on_a_large_mean_is_constant_or_quiet(save, sine, mean: float) -> None:
    with pytest.raises(Unusable, match=r"set dataset\.sample_format: float32"):
        inspect(save(mean + 1e-6 * sine(), subtype="DOUBLE"))
    assert "quiet" in problems(save(mean + 1e-3 * sine(), subtype="DOUBLE"))


@pytest.mark.parametrize(("scale", "problem"), [(1e300, "not_finite"), (1e39, "not_finite"), (1e-60, "constant")])
def test_samples_that_float32_cannot_hold_are_unusable(save, sine, scale: float, problem: str) -> None:
    with pytest.raises(Unusable) as error:
        inspect(save(scale * sine(), subtype="DOUBLE"), sample_format="float32")
    assert error.value.problem == problem


def test_a_file_that_memory_does_not_hold_is_named_and_not_called_damaged(save, sine, monkeypatch) -> None:
    def fail(*_, **__):
        raise MemoryError("Unable to allocate")

    path = save(sine())
    monkeypatch.setattr(soundfile.SoundFile, "read", fail)
    with pytest.raises(DatasetError, match=r"x\.wav: its samples do not fit into the memory"):
        inspect(path)
