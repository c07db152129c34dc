"""Read one WFDB record: a header `.hea` beside its one file of samples (`.dat`, or the `.mat` of the Challenges)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from auscult.datasets.unusable import Unusable

LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]  # of a 12-lead ECG
BYTES = {"16": 2, "24": 3, "32": 4, "8": 1, "80": 1}  # per sample, of the formats whose size is known beforehand
READING = (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError, UnicodeDecodeError)  # wfdb's faults


def read(path: Path) -> tuple[np.ndarray, int]:
    """Samples (n, leads) in the header's physical units, and the rate in Hz; a missing sample is NaN.

    Raises Unusable for a header that cannot be read, samples that are missing, too few, or not those that the
    header's checksums were made of, and for leads of unlike units.
    """
    import wfdb  # slow to load, and few data sets need it

    name = str(path.with_suffix("").resolve())
    try:
        header = wfdb.rdheader(name)
    except READING as error:
        raise Unusable("corrupt", f"not readable as a WFDB header: {error}") from error
    _check_header(path, header)
    try:
        record = wfdb.rdrecord(name, physical=False)
        sums, samples = record.calc_checksum(), record.dac()
    except READING as error:
        raise Unusable("corrupt", f"not readable as a WFDB record: {error}") from error
    for lead, told, found in zip(record.sig_name, record.checksum, sums, strict=True):
        if told is not None and told % 65536 != found % 65536:
            raise Unusable("corrupt", f"lead {lead}: the samples' checksum is {found}, the header says {told}")
    return samples, round(record.fs)


def _check_header(path: Path, header: Any) -> None:
    leads = len(header.file_name or [])
    if header.n_sig != leads:
        raise Unusable("corrupt", f"the header promises {header.n_sig} leads and describes {leads}")
    files = set(header.file_name or [])
    if len(files) != 1:
        raise Unusable("corrupt", f"the header names {len(files)} files of samples; one is read")
    file = path.parent / files.pop()
    if file.parent != path.parent or not file.is_file():
        raise Unusable("missing", f"the file of samples {file.name} is not there")
    if not header.fs or header.fs < 1:
        raise Unusable("corrupt", f"the header says {header.fs} Hz")
    if len(set(header.units)) > 1:
        raise Unusable("units", f"leads in {' and '.join(sorted(set(header.units)))}")
    if any(each > 1 for each in header.samps_per_frame):
        raise Unusable("rate", "leads of unlike rates")
    width = BYTES.get(header.fmt[0])
    if width and header.sig_len:
        offset = header.byte_offset[0] or 0
        promised, there = offset + header.sig_len * header.n_sig * width, file.stat().st_size
        if there < promised:
            raise Unusable("truncated", f"the header promises {promised} bytes of samples, {there} are there")
