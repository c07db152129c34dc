"""Read a signal file or an interval of it, and check the samples."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from auscult.datasets import audio_length, wfdb_record
from auscult.datasets.errors import DatasetError, Unusable
from auscult.datasets.walk import is_file

CLIPPED_SHARE = 0.01
MIN_SAMPLES, MIN_S = 16, 0.01  # fewer are no signal
UNBOUNDED = ("FLOAT", "DOUBLE", "WFDB")  # others are within ±1, but for what a lossy codec overshoots
QUIET = 64  # steps of 16-bit samples: a signal that stays within them loses its form
FULL_SCALE = 0.999
UNKNOWN_LENGTH = 2**62  # libsndfile states more frames than these of a stream without a length
STILL_S, STILL_SHARE = 0.5, 0.1  # a part without any change that is longer than both is no pause
RATES_HZ = (20, 1_000_000)  # others are a damaged header
END_TOLERANCE_S = 0.01  # annotation times are rounded: the last offset may lie this far beyond the end


class SampleFormatError(Exception):
    """The data set's sample format cannot represent the samples of a file."""


@dataclass(frozen=True)
class Facts:
    """Facts about a readable interval: `frames` samples per channel at `rate_hz`; `problems` are (problem, detail)."""

    rate_hz: int
    channels: int
    frames: int
    sha256: str
    problems: tuple[tuple[str, str], ...]


def read(path: Path, onset_s: float | None = None, offset_s: float | None = None) -> tuple[np.ndarray, int, str]:
    """Return samples (frames, channels), the rate in Hz, and the file's sample format.

    Samples are int16 for 16-bit audio files, and float64 in ±1 for others. For a WFDB header (`.hea`), they are those
    of `wfdb_record.read`, and the format is `WFDB`. Raises Unusable for a file that is missing, empty, truncated or
    not audio, whose header states an impossible rate or length, and for an interval that is not inside the file;
    DatasetError where memory is short.
    """
    try:
        return _read(path, onset_s, offset_s)
    except MemoryError as error:
        raise DatasetError(f"{path}: its samples do not fit into the memory of this machine: {error}") from error


def _read(path: Path, onset_s: float | None, offset_s: float | None) -> tuple[np.ndarray, int, str]:
    if not is_file(path):
        raise Unusable("missing", "the file is not there")
    if path.suffix == ".hea":
        samples, rate = wfdb_record.read(path)
        start, stop = _bounds(onset_s, offset_s, rate, len(samples))
        if stop == start:
            raise Unusable("empty", "no samples")
        return samples[start:stop], rate, "WFDB"
    _, correction = audio_length.check(path)
    try:
        with soundfile.SoundFile(_corrected(path, *correction) if correction else path) as file:
            rate, total, subtype = file.samplerate, file.frames, file.subtype
            _check_rate(rate)
            dtype = "int16" if subtype == "PCM_16" else "float64"
            if total >= UNKNOWN_LENGTH:
                raise Unusable("length", "the header states no length, as that of a stream: save the file again")
            start, stop = _bounds(onset_s, offset_s, rate, total)
            if (stop - start) * file.channels * 8 > wfdb_record.MOST_BYTES:
                raise Unusable("corrupt", f"the header states {total} samples of {file.channels} channels")
            if start:
                file.seek(start)  # some formats cannot
            samples = file.read(stop - start, dtype=dtype, always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError) as error:  # the last one of *.raw
        raise Unusable("corrupt", f"not readable as audio: {error}") from error
    if len(samples) == 0:
        raise Unusable("empty", "no samples")
    if len(samples) < stop - start:
        raise Unusable("truncated", f"the header states {total} samples, the file ends after {start + len(samples)}")
    return samples, rate, subtype


def _check_rate(rate: int) -> None:
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise Unusable("rate", f"the header states {rate} Hz; rates from {RATES_HZ[0]} to {RATES_HZ[1]} Hz can be read")


def _corrected(path: Path, position: int, correction: bytes) -> io.BytesIO:
    """The contents of a file with some bytes of its header replaced."""
    contents = bytearray(path.read_bytes())
    contents[position : position + len(correction)] = correction
    return io.BytesIO(bytes(contents))


def _bounds(onset_s: float | None, offset_s: float | None, rate: int, total: int) -> tuple[int, int]:
    """Return the first sample and the end of an interval of a file with `total` samples. Raises Unusable."""
    if not all(math.isfinite(time * rate) for time in (onset_s or 0, offset_s or 0)):
        raise Unusable("interval", f"{onset_s} to {offset_s} s is not an interval")
    start = 0 if onset_s is None else round(onset_s * rate)
    stop = total if offset_s is None else round(offset_s * rate)
    if stop > total and stop <= total + math.ceil(END_TOLERANCE_S * rate):
        stop = total
    if total and not 0 <= start < stop <= total:
        raise Unusable("interval", f"{onset_s} to {offset_s} s is not inside the file's {total / rate:.3f} s")
    return start, stop


def inspect(
    path: Path, onset_s: float | None, offset_s: float | None, short_s: float, mono: bool, sample_format: str = "int16"
) -> Facts:
    """Read an interval and check it. Raises Unusable.

    A recording shorter than `short_s` gets the problem `short`. `mono`: several channels will be averaged to one.
    sample_format: of the data set; raises SampleFormatError for samples that it cannot represent.
    """
    samples, rate, subtype = read(path, onset_s, offset_s)
    problems = []
    if path.suffix != ".hea" and (length := audio_length.check(path)[0]):
        problems.append(("length", length))
    if path.suffix == ".hea" and (more := wfdb_record.surplus(path)):
        problems.append(("length", f"the file has {more} samples of each lead more than the header states"))
    if not np.isfinite(samples).all():
        raise Unusable("not_finite", "NaN or infinite samples")
    if (samples == samples[0]).all():
        raise Unusable("constant", f"every sample is {samples[0].tolist()}")
    if len(samples) < MIN_SAMPLES or len(samples) / rate < MIN_S:
        raise Unusable("too_short", f"{len(samples)} samples, {1000 * len(samples) / rate:.3g} ms")
    if samples.shape[1] > 1 and mono:
        problems.append(("channels", f"{samples.shape[1]} channels, averaged to one"))
    if flat_channels := int((samples == samples[0]).all(axis=0).sum()):
        problems.append(("flat", f"{flat_channels} of {samples.shape[1]} channels are constant"))
    problems += _still_part(samples, rate)
    if subtype not in ("PCM_16", "WFDB"):
        problems.append(("sample_format", f"{subtype}, not 16-bit"))
    if sample_format == "int16":
        problems += _loss_in_int16(path, subtype, samples, mono)
    _check_cached(samples, mono, sample_format)
    # physical units have no full scale
    full_scales = {"PCM_16": 32768, "PCM_U8": 127 / 128, "PCM_S8": 127 / 128, "WFDB": math.inf}
    limit = FULL_SCALE * full_scales.get(subtype, 1)
    levels = np.abs(samples.astype(np.float64))
    is_clipped = (levels >= limit) & (levels <= 1) if subtype in UNBOUNDED else levels >= limit
    clipped_share = float(is_clipped.mean())
    if clipped_share >= CLIPPED_SHARE:
        problems.append(("clipped", f"{100 * clipped_share:.1f} % of the samples at full scale"))
    seconds = len(samples) / rate
    if seconds < short_s:
        problems.append(("short", f"{seconds:.3f} s, less than {short_s:g} s: padded at the end"))
    sha256 = hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()
    return Facts(rate, samples.shape[1], len(samples), sha256, tuple(problems))


def _still_part(samples: np.ndarray, rate: int) -> list[tuple[str, str]]:
    """Return the problem of samples that stay the same for long, as in a file that was not written to its end."""
    least = max(STILL_S * rate, STILL_SHARE * len(samples))
    grid = samples[:: max(1, int(least / 2))]  # a part so long has two of these samples, which are equal then
    if not (grid[1:] == grid[:-1]).all(axis=1).any():
        return []
    changes = np.flatnonzero(np.logical_or.reduce(samples[1:].T != samples[:-1].T)) + 1
    bounds = np.r_[0, changes, len(samples)]
    longest = int(np.argmax(np.diff(bounds)))
    start, stop = bounds[longest], bounds[longest + 1]
    if stop - start < least:
        return []
    return [("still", f"nothing changes from {start / rate:.3f} to {stop / rate:.3f} s")]


def _check_cached(samples: np.ndarray, mono: bool, sample_format: str) -> None:
    """Raise Unusable for samples of which nothing is left once they are averaged and in the data set's format."""
    values = samples.mean(axis=1, keepdims=True) if mono else samples
    if sample_format == "float32":
        if np.abs(values).max() > np.finfo(np.float32).max:
            raise Unusable("not_finite", f"samples up to {np.abs(values).max():.3g} do not fit float32")
        values = values.astype(np.float32)
    elif samples.dtype != np.int16:
        values = np.rint(values * 32768)
    else:
        values = np.rint(values)
    if (values == values[0]).all():
        where = " after the channels were averaged" if mono and samples.shape[1] > 1 else ""
        is_rounded = sample_format == "int16" and samples.dtype != np.int16
        advice = "; set dataset.sample_format: float32" if is_rounded else ""
        raise Unusable("constant", f"all samples are equal as {sample_format} numbers{where}{advice}")


def _loss_in_int16(path: Path, subtype: str, samples: np.ndarray, mono: bool) -> list[tuple[str, str]]:
    """Return the problem of samples that have too few steps of int16, which spans ±1, to keep their form."""
    if subtype in UNBOUNDED and (peak := float(np.abs(samples).max())) > 1:
        raise SampleFormatError(
            f"{path}: samples up to {peak:.6g} do not fit dataset.sample_format: int16; set dataset.sample_format: "
            "float32"
        )
    channels = samples.mean(axis=1, keepdims=True) if mono and samples.shape[1] > 1 else samples
    mean = channels.mean(axis=0)
    swing = float(np.maximum(channels.max(axis=0) - mean, mean - channels.min(axis=0)).max())
    swing = swing / 32768 if samples.dtype == np.int16 else swing
    if swing * 32768 >= QUIET:
        return []
    text = f"the largest deviation from the mean is {swing:.3g}, as int16 {swing * 32768:.2g} of 32768 steps"
    if subtype != "PCM_16":
        text += ": set dataset.sample_format: float32"
    return [("quiet", f"{text}, after the channels were averaged" if mono and samples.shape[1] > 1 else text)]
