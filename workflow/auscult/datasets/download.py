"""Download a published release over HTTP: resumable, in parallel, with a check of every file's SHA-256 sum.

A release is a base URL with a `SHA256SUMS.txt` (lines `<sha256> <relative path>`) and the files that it lists, as on
PhysioNet. An unfinished file is named `<name>.part`; it gets its final name when its sum is correct.
"""

import errno
import re
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

import requests
import urllib3

from auscult.provenance import file_digest

SUMS = "SHA256SUMS.txt"
BACKOFF_S = 0.5  # before the first retry; doubles with each further one, up to 30 s
PROGRESS_S = 10.0


class DownloadError(Exception):
    """The release could not be downloaded; the message states the reason and what to do."""


class NoAnswerError(DownloadError):
    """The server could not be reached, or kept failing."""


class _RetryError(Exception):
    """One attempt failed, and a repeated one may succeed."""


_TEMPORARY_ERRORS = (_RetryError, requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)


@dataclass
class _Job:
    base_url: str
    root: Path
    log: Callable[[str], None]
    retries: int
    timeout_s: float
    session: requests.Session
    received_bytes: int = 0  # bytes, this run
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)


def fetch_release(
    base_url: str,
    root: Path,
    log: Callable[[str], None] = print,
    workers: int = 8,
    retries: int = 5,
    timeout_s: float = 30,
) -> None:
    """Download the release at `base_url` into the folder `root`; a repeated call continues a partial download.

    Files with the correct sum are not downloaded again. If the server does not answer, a folder that was filled by
    hand (the files and `SHA256SUMS.txt`) is checked by its own sums and accepted.

    Parameters
    ----------
    base_url : address of the folder that contains `SHA256SUMS.txt`
    root : folder for the files, created if missing; only one run at a time may write to it
    log : called with each line of progress, from several threads
    workers : number of files that are downloaded at the same time
    retries : attempts after a failed one, per file; the count restarts whenever new bytes have arrived
    timeout_s : seconds without a byte after which an attempt counts as failed

    Raises
    ------
    DownloadError : no network (the message explains how to place the files by hand), a file missing on the server or
        with a wrong sum, a listed path outside `root`, a full disk
    """
    root = Path(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with requests.Session() as session:
            session.headers["Accept-Encoding"] = "identity"  # ranges and sums count the bytes as published
            job = _Job(base_url.rstrip("/") + "/", root, log, retries, timeout_s, session)
            new_sums = _part(root / SUMS)
            new_sums.unlink(missing_ok=True)
            try:
                _receive(job, SUMS, new_sums)
            except NoAnswerError as error:
                _check_placed_by_hand(job, error)
                return
            sums = _read_sums(new_sums, root)
            new_sums.replace(root / SUMS)
            _fetch_files(job, sums, workers)
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = (
            "the disk is full; free some space and run again: finished and partial files are kept" if is_full else error
        )
        raise DownloadError(f"cannot write to {root}: {reason}") from error


def _read_sums(file: Path, root: Path) -> dict[str, str]:
    """Return the expected sum of each relative path; raise DownloadError for a path outside `root`."""
    sums = {}
    for number, line in enumerate(file.read_bytes().decode(errors="replace").split("\n"), start=1):
        match = re.fullmatch(r"([0-9a-fA-F]{64}) [ *]?(.+?)\r?", line)
        if match:
            _refuse_unsafe_path(match[2], root)
            sums[str(PurePosixPath(match[2]))] = match[1].lower()
        elif line.strip():
            raise DownloadError(f"{SUMS}, line {number}: not '<sha256> <path>': {line[:80]!r}")
    sums.pop(SUMS, None)
    if not sums:
        raise DownloadError(f"{SUMS} lists no file")
    return sums


def _refuse_unsafe_path(path: str, root: Path) -> None:
    parts = PurePosixPath(path).parts
    parents_and_path = [root.joinpath(*parts[: n + 1]) for n in range(len(parts))]
    if path.startswith("/") or ".." in parts or not parts:
        reason = "it is outside the folder"
    elif "\\" in path or re.match("[A-Za-z]:", path) or not path.isprintable() or "\ufffd" in path:
        reason = "backslashes, drive letters and unprintable characters are not allowed"
    elif path.endswith(".part"):
        reason = "names in .part are reserved for unfinished files"
    elif links := [step for step in (*parents_and_path, _part(parents_and_path[-1])) if step.is_symlink()]:
        reason = f"{links[0]} is a symbolic link"
    else:
        return
    raise DownloadError(f"{SUMS}: the path {path!r} is refused: {reason}")


def _fetch_files(job: _Job, sums: dict[str, str], workers: int) -> None:
    pool = ThreadPoolExecutor(workers)
    try:
        pending = {pool.submit(_fetch_file, job, path, expected) for path, expected in sums.items()}
        while pending:
            start_s, received_before = time.monotonic(), job.received_bytes
            done, pending = wait(pending, timeout=PROGRESS_S, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            rate = (job.received_bytes - received_before) / 1e6 / max(time.monotonic() - start_s, 1e-3)
            progress = f"{len(sums) - len(pending)}/{len(sums)} files"
            job.log(f"download: {progress}, {job.received_bytes / 1e6:.1f} MB fetched, {rate:.1f} MB/s")
    finally:
        job.stop.set()
        pool.shutdown(cancel_futures=True)


def _fetch_file(job: _Job, path: str, expected: str) -> None:
    target = job.root / path
    part = _part(target)
    if target.exists():
        if file_digest(target) == expected:
            return
        target.replace(part)  # it may be incomplete: then only the rest is downloaded
    target.parent.mkdir(parents=True, exist_ok=True)
    actual = file_digest(part) if part.exists() else ""
    for _ in range(2):  # the first attempt may have continued a part of an older version
        if actual != expected:
            _receive(job, path, part)
            actual = file_digest(part)
        if actual == expected:
            part.replace(target)
            return
        part.unlink()
    raise DownloadError(f"{path}: wrong SHA-256 sum: expected {expected}, found {actual}; the file is not kept")


def _receive(job: _Job, path: str, part: Path) -> None:
    """Download `path` into `part` until it is complete; bytes already in `part` are kept."""
    url = job.base_url + quote(path)
    failures, largest_size = 0, _size(part)
    while not job.stop.is_set():
        try:
            _attempt(job, url, part)
            return
        except _TEMPORARY_ERRORS as error:
            failures = 1 if _size(part) > largest_size else failures + 1
            largest_size = max(largest_size, _size(part))
            if failures > job.retries:
                raise NoAnswerError(f"cannot fetch {url}: {error}\n{_by_hand(job)}") from error
            delay_s = min(BACKOFF_S * 2 ** (failures - 1), 30)
            job.log(f"download: {path}: {error}; again in {delay_s:.1f} s")
            job.stop.wait(delay_s)
        except requests.RequestException as error:
            raise DownloadError(f"cannot fetch {url}: {error}") from error
    raise DownloadError("stopped")


def _attempt(job: _Job, url: str, part: Path) -> None:
    offset = _size(part)
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    with job.session.get(url, headers=headers, stream=True, timeout=job.timeout_s) as response:
        status, content_range = response.status_code, response.headers.get("Content-Range", "")
        if status == 416 or (status == 206 and not content_range.startswith(f"bytes {offset}-")):
            part.unlink(missing_ok=True)
            raise _RetryError("cannot be continued, starts from the beginning")
        if status in (408, 429) or status >= 500:
            raise _RetryError(f"HTTP {status} {response.reason}")
        if status not in (200, 206):
            raise DownloadError(f"{url}: HTTP {status} {response.reason}; is the address right?")
        length, free = response.headers.get("Content-Length"), shutil.disk_usage(part.parent).free
        if length and int(length) > free:
            raise DownloadError(f"{url}: {length} bytes to download, only {free} free on the disk of {part.parent}")
        received_bytes = 0
        with part.open("ab" if status == 206 else "wb") as file:
            for chunk in response.raw.stream(1 << 16, decode_content=False):
                file.write(chunk)
                received_bytes += len(chunk)
                with job.lock:
                    job.received_bytes += len(chunk)
                if job.stop.is_set():
                    raise DownloadError("stopped")
    if length and received_bytes != int(length):
        raise _RetryError(f"{received_bytes} of {length} bytes arrived")


def _check_placed_by_hand(job: _Job, error: DownloadError) -> None:
    if not (job.root / SUMS).is_file():
        raise error
    sums = _read_sums(job.root / SUMS, job.root)
    wrong_paths = [
        path
        for path, expected in sums.items()
        if not (job.root / path).is_file() or file_digest(job.root / path) != expected
    ]
    if wrong_paths:
        raise DownloadError(
            f"{error}\n{len(wrong_paths)} of {len(sums)} files are missing or wrong, first {wrong_paths[0]}"
        )
    job.log(f"download: no answer from {job.base_url}; all {len(sums)} files are in {job.root}, sums right")


def _by_hand(job: _Job) -> str:
    depth, folder = len(PurePosixPath(urlsplit(job.base_url).path).parts) - 1, job.root.resolve()
    return (
        "Run again when the network is back: downloaded files are kept. Or place the files by hand:\n"
        f"  from    {job.base_url}\n"
        f"  into    {folder}\n"
        f"  such as wget -r -c -np -nH --cut-dirs={depth} -P '{folder}' {job.base_url}\n"
        f"The folder must then contain {SUMS} and every file that it lists, under the paths listed there; "
        "run again to have them checked (needs no network)."
    )


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
