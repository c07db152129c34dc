"""Compare the length that the header of a sound file states with the bytes that the file has.

libsndfile reads what is there: half a file looks like a complete, short recording. The containers that state a length
are WAV (RIFF, RIFX, RF64, BW64), W64, AIFF, AU, MP3 with a Xing header, and Ogg, whose last page is marked.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from auscult.datasets.errors import Unusable

W64_RIFF, W64_DATA = (
    b"riff.\x91\xcf\x11\xa5\xd6(\xdb\x04\xc1\x00\x00",
    b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0O\x8e\xdb\x8a",
)
PLACEHOLDER_MARGIN = 4096  # programs that write to a pipe state 2³¹ or 2³² less the size of a header
OGG_LAST_BYTES = 65_536 + 27  # a page is never longer


class Samples(NamedTuple):
    """The samples of a file: the bytes that its header states (None: it states none) and those that it has.

    size_at : position of a 32-bit length of 0 in the header, which libsndfile would take literally; else None.
    endian : `<` or `>`.
    rest : the bytes after the stated ones are no further chunk of the file.
    """

    in_header: int | None
    in_file: int
    size_at: int | None = None
    endian: str = "<"
    rest: bool = False


def check(path: Path) -> tuple[str | None, tuple[int, bytes] | None]:
    """Return what quality.csv says of the length (None: nothing), and a correction of the header.

    The correction is (position, bytes), for a header whose length was never filled in. Raises Unusable for a file that
    has fewer bytes of samples than its header states.
    """
    try:
        with path.open("rb") as file:
            samples = _find_samples(file, path.stat().st_size)
    except (struct.error, ValueError, OverflowError, OSError) as error:
        raise Unusable("corrupt", f"the header is damaged: {error}") from error
    if samples is None:
        return None, None
    in_header, in_file = samples.in_header, samples.in_file
    if samples.size_at is not None and in_file:
        correction = (samples.size_at, struct.pack(f"{samples.endian}I", min(in_file, 2**32 - 1)))
        return f"the header states no samples: all {in_file} bytes after it are read", correction
    if in_header is None:
        return f"the header states no length: all {in_file} bytes after it are read", None
    if in_header > in_file:
        raise Unusable("truncated", f"the header states {in_header} bytes of samples, the file has {in_file}")
    if samples.rest:
        return f"the header states {in_header} bytes of samples, {in_file} follow: only those stated are read", None
    return None, None


def _find_samples(file: BinaryIO, size: int) -> Samples | None:
    """Where the samples are; None for a container that states no length."""
    head = file.read(36)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _riff(file, size, ">" if head[:4] == b"RIFX" else "<")
    if head[:16] == W64_RIFF:
        return _w64(file, size)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _aiff(file, size)
    if head[:4] in (b".snd", b"dns."):
        offset, in_header = struct.unpack((">" if head[:4] == b".snd" else "<") + "II", head[4:12])
        return Samples(None if in_header == 0xFFFFFFFF else in_header, size - offset)
    if head[:4] == b"OggS":
        return _ogg(file, size)
    if head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0):
        return _mp3(file, size)
    return None


def _riff(file: BinaryIO, size: int, endian: str) -> Samples | None:
    file.seek(12)
    length_64 = None
    while len(chunk := file.read(8)) == 8:
        name, length = chunk[:4], struct.unpack(f"{endian}I", chunk[4:])[0]
        if name == b"ds64":
            length_64 = struct.unpack("<Q", file.read(28)[8:16])[0]
            length -= 28
        elif name == b"data":
            start = file.tell()
            in_file = size - start
            if length_64 is not None and length == 0xFFFFFFFF:
                return Samples(length_64, in_file)
            if length == 0:
                return Samples(0, in_file, start - 4 if not _are_chunks(file, start, size, endian) else None, endian)
            if length > in_file and _is_placeholder(length):
                return Samples(None, in_file)
            end = start + length + length % 2
            return Samples(length, in_file, rest=end < size and not _are_chunks(file, end, size, endian))
        file.seek(length + length % 2, 1)
    return None


def _is_placeholder(length: int) -> bool:
    """Whether a 32-bit length is one of those that stand for `unknown`."""
    return any(abs(length - limit) <= PLACEHOLDER_MARGIN for limit in (2**31, 2**32))


def _are_chunks(file: BinaryIO, start: int, size: int, endian: str) -> bool:
    """Whether the rest of a file is chunks: printable names, and lengths that end with the file; or padding."""
    file.seek(start)
    if size - start <= 8:
        return True
    while len(chunk := file.read(8)) == 8:
        length = struct.unpack(f"{endian}I", chunk[4:])[0]
        if not all(32 <= letter < 127 for letter in chunk[:4]) or file.tell() + length > size:
            return False
        file.seek(length + length % 2, 1)
    return True


def _w64(file: BinaryIO, size: int) -> Samples | None:
    file.seek(40)
    while len(chunk := file.read(24)) == 24:
        length = struct.unpack("<Q", chunk[16:])[0] - 24
        if chunk[:16] == W64_DATA:
            return Samples(length, size - file.tell())
        if length < 0:
            return None
        file.seek(length + -length % 8, 1)
    return None


def _aiff(file: BinaryIO, size: int) -> Samples | None:
    file.seek(12)
    while len(chunk := file.read(8)) == 8:
        length = struct.unpack(">I", chunk[4:])[0]
        if chunk[:4] == b"SSND":
            in_file = size - file.tell()
            return Samples(None if length > in_file and _is_placeholder(length) else length, in_file)
        file.seek(length + length % 2, 1)
    return None


def _ogg(file: BinaryIO, size: int) -> Samples:
    """One byte is missing where the last page is incomplete or not marked as the last."""
    file.seek(max(0, size - OGG_LAST_BYTES))
    tail = file.read()
    page = tail.rfind(b"OggS")
    is_last = False
    if page >= 0 and len(tail) >= page + 27:
        segments = tail[page + 27 : page + 27 + tail[page + 26]]
        is_last = bool(tail[page + 5] & 4) and len(tail) >= page + 27 + tail[page + 26] + sum(segments)
    return Samples(size if is_last else size + 1, size)


def _mp3(file: BinaryIO, size: int) -> Samples | None:
    """The length is stated by the Xing header in the first frame, which some encoders write."""
    file.seek(0)
    head = file.read(10)
    start = 0
    if head[:3] == b"ID3":
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    file.seek(start)
    frame = file.read(256)
    places = [place for tag in (b"Xing", b"Info") if 0 <= (place := frame.find(tag)) < 64]
    if not places:
        return None
    flags = struct.unpack(">I", frame[places[0] + 4 : places[0] + 8])[0]
    if not flags & 2:
        return None
    at = places[0] + 8 + 4 * (flags & 1)
    return Samples(struct.unpack(">I", frame[at : at + 4])[0], size - start)
