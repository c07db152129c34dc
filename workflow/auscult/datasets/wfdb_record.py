"""Read a WFDB record: a header `.hea` and one file of samples (`.dat`, or the `.mat` of the Challenges) beside it."""

from __future__ import annotations

import struct
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
MILLIVOLTS = {"nv": 1e-6, "uv": 1e-3, "\u00b5v": 1e-3, "\u03bcv": 1e-3, "mv": 1.0, "v": 1e3}  # of a unit


def read(path: Path) -> tuple[np.ndarray, int]:
    """Return samples (n, leads) and the rate in Hz; a missing sample is NaN.

    Samples are in the header's unit, or in mV if the record has leads of an ECG. Those of a 12-lead ECG come in the
    order of `LEADS`. Raises Unusable if the header cannot be read, if samples are missing, too few or do not have
    the header's checksums, if leads differ in unit or rate, and if a lead is there twice.
    """
    import wfdb  # slow to load, and few data sets need it

    name = str(path.with_suffix("").resolve())
    try:
        header = wfdb.rdheader(name)
    except READ_ERRORS as error:
        raise Unusable("corrupt", f"not readable as a WFDB header: {error}") from error
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
    names = [str(name).strip().casefold() for name in record.sig_name]
    if set(names) & set(PLACES):
        samples = samples * MILLIVOLTS.get(str(record.units[0]).casefold(), 1.0)
    return samples[:, _order(names)], round(record.fs)


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
    if len(set(header.units)) > 1:
        raise Unusable("units", f"leads in {' and '.join(sorted(set(header.units)))}")
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
