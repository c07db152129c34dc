"""Read a WFDB record: a header `.hea` and one file of samples (`.dat`, or the `.mat` of the Challenges) beside it."""

from __future__ import annotations

import re
import struct
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np

from auscult.datasets.errors import Unusable

LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]  # of a 12-lead ECG
PLACES = {lead.casefold(): place for place, lead in enumerate(LEADS)}
BYTES = {"16": 2, "24": 3, "32": 4, "8": 1, "80": 1}  # per sample, of the formats with a fixed size
MOST_BYTES = 2**36  # of samples in memory: a header that states more is damaged
# what wfdb raises
READ_ERRORS = (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError, UnicodeDecodeError)
MILLIVOLTS = {
    "nv": 1e-6,
    "uv": 1e-3,
    "\u03bcv": 1e-3,
    "microvolt": 1e-3,
    "mv": 1.0,
    "millivolt": 1.0,
    "v": 1e3,
    "volt": 1e3,
}
RATE = re.compile(r"(\d+(?:\.\d+)?)(/\S+)?")
GAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?(\([+-]?\d+(?:\.\d+)?\))?(/\S*)?")


def read(path: Path) -> tuple[np.ndarray, int]:
    """Return samples (n, leads) and the rate in Hz; a missing sample is NaN.

    Samples are in the header's unit, or in mV if the record has leads of an ECG. Those of a 12-lead ECG come in the
    order of `LEADS`; a lead that was recorded upside down (`-aVR`) is turned over. Raises Unusable if the header cannot
    be read, if samples are missing, too few or do not have the header's checksums, if leads differ in unit or rate or
    have none, and if a lead is there twice.
    """
    import wfdb  # slow to load, and few data sets need it

    name = str(path.with_suffix("").resolve())
    _check_numbers(path)
    try:
        header = wfdb.rdheader(name)
    except READ_ERRORS as error:
        raise Unusable("corrupt", f"not readable as a WFDB header: {error}") from error
    if len(units := set(_units(path))) > 1:
        raise Unusable("units", f"leads in {' and '.join(sorted(units))}")
    _check_header(path, header)
    try:
        record = wfdb.rdrecord(name, physical=False)
        sums, samples = record.calc_checksum(), record.dac()
    except READ_ERRORS as error:
        raise Unusable("corrupt", f"not readable as a WFDB record: {error}") from error
    for lead, header_sum, sample_sum in zip(record.sig_name, record.checksum, sums, strict=True):
        if header_sum is not None and header_sum % 65536 != sample_sum % 65536:
            raise Unusable(
                "corrupt", f"lead {lead}: the samples' checksum is {sample_sum}, the header states {header_sum}"
            )
    names = [_lead(str(name)) for name in record.sig_name]
    if set(names) & set(PLACES):
        unit = _units(path)[0]
        if (millivolts := MILLIVOLTS.get(unicodedata.normalize("NFKC", unit).casefold().removesuffix("s"))) is None:
            raise Unusable("units", f"leads of an ECG in {unit}, which is no voltage")
        signs = [-1.0 if str(name).strip().startswith("-") else 1.0 for name in record.sig_name]
        samples = samples * millivolts * signs
    return samples[:, _order(names)], round(record.fs)


def surplus(path: Path) -> int:
    """Return how many samples of each lead the file has beyond those that the header states; 0 if it is not clear."""
    lines = [line.split() for line in _lines(path)]
    try:
        leads, count = int(lines[0][1]), int(lines[0][3])
        widths = {BYTES[line[1]] for line in lines[1 : leads + 1]}
        size = (path.parent / lines[1][0]).stat().st_size
        return max(0, size // (widths.pop() * leads) - count) if len(widths) == 1 and path.suffix != ".mat" else 0
    except (IndexError, KeyError, ValueError, OSError, ZeroDivisionError):
        return 0


def _lines(path: Path) -> list[str]:
    """The lines of a header that are no comments."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _units(path: Path) -> list[str]:
    """The unit of each lead; wfdb drops the \u00b5 of \u00b5V."""
    cells = [line.split() for line in _lines(path)[1:]]
    return [(cell[2].partition("/")[2] if len(cell) > 2 else "") or "mV" for cell in cells]


def _check_numbers(path: Path) -> None:
    """Raise Unusable for a rate and gains that wfdb takes for others: it reads 1e2 as 1, and nan as its default."""
    lines = [line.split() for line in _lines(path)]
    if not lines:
        return
    rate = lines[0][2] if len(lines[0]) > 2 else "250"  # the format's default
    match = RATE.fullmatch(rate)
    if not match or float(match[1]) % 1:
        raise Unusable("rate", f"the header states {rate!r}: the rate in Hz has to be a whole number")
    if "/" in lines[0][0]:
        raise Unusable("corrupt", "a record of several segments: join them to one")
    gains = [line[2] for line in lines[1:] if len(line) > 2]
    if wrong_gains := [gain for gain in gains if not GAIN.fullmatch(gain)]:
        raise Unusable("corrupt", f"the header states the gain {wrong_gains[0]!r}, which is not a number with its unit")
    is_zero = [float(re.split("[(/]", gain)[0]) == 0 for gain in gains]
    if any(is_zero) and not all(is_zero):
        raise Unusable("units", "some leads have the gain 0, which is none")


def _lead(name: str) -> str:
    """The name of a lead as in `PLACES`: in small letters, without a sign; `DII` and `Lead II` are `ii`."""
    plain = re.sub(r"^(ecg|lead)?[\s_-]*", "", name.strip().lstrip("-").casefold())
    return plain[1:] if plain in ("di", "dii", "diii") else plain


def _order(names: list[str]) -> list[int]:
    """Return the places of the leads in the order of `LEADS`, if these twelve are the names, else as they are."""
    if repeated_names := [name for name in PLACES if names.count(name) > 1]:
        raise Unusable("leads", f"the lead {LEADS[PLACES[repeated_names[0]]]} is there twice")
    if set(names) == set(PLACES):
        return [names.index(name) for name in PLACES]
    return list(range(len(names)))


def _check_header(path: Path, header: Any) -> None:
    lead_count = len(header.file_name or [])
    if header.n_sig != lead_count:
        raise Unusable("corrupt", f"the header states {header.n_sig} leads and describes {lead_count}")
    files = set(header.file_name or [])
    if len(files) != 1:
        raise Unusable(
            "corrupt", f"the header names {len(files)} files of samples; only records with one file can be read"
        )
    file = path.parent / files.pop()
    if file.parent != path.parent or not file.is_file():
        raise Unusable("missing", f"the file of samples {file.name} is not there")
    if not header.fs or header.fs < 1:
        raise Unusable("corrupt", f"the header states {header.fs} Hz")
    if any(samples > 1 for samples in header.samps_per_frame):
        raise Unusable("rate", "leads of different rates")
    if file.suffix == ".mat":
        _check_matlab(file, header)
    width = BYTES.get(header.fmt[0])
    if width and header.sig_len:
        offset = header.byte_offset[0] or 0
        stated_size, size = offset + header.sig_len * header.n_sig * width, file.stat().st_size
        if size < stated_size:
            raise Unusable("truncated", f"the header states {stated_size} bytes of samples, the file has {size}")
    if (header.sig_len or 0) * header.n_sig * 8 > MOST_BYTES:
        raise Unusable("corrupt", f"the header states {header.sig_len} samples of {header.n_sig} leads")


def _check_matlab(file: Path, header: Any) -> None:
    """Raise Unusable unless the file is a MATLAB 4 matrix of the header's shape, whose samples wfdb reads as bytes."""
    with file.open("rb") as stream:
        head = stream.read(20)
    if len(head) < 20:
        raise Unusable("truncated", f"{file.name} has {len(head)} bytes")
    _, rows, columns, _, name_length = struct.unpack("<5i", head)
    offset = header.byte_offset[0] or 0
    size = header.n_sig * (header.sig_len or 0)
    if 20 + name_length != offset or (size and rows * columns != size):
        kind = head[:10].decode("latin-1") if head.startswith(b"MATLAB") else "no MATLAB 4 matrix of this shape"
        raise Unusable("corrupt", f"{file.name} is {kind}: save `val` ({header.n_sig} leads) again with `-v4`")
