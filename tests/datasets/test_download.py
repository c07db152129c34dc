"""The download from a local HTTP server: with and without ranges, broken connections, wrong files, no server."""

import errno
import hashlib
import re
import runpy
import shutil
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
import requests

from auscult.datasets import circor, download
from auscult.datasets.download import DownloadError, fetch_release

BIG = "training_data/9_AV.wav"
FILES = {
    BIG: Random(1).randbytes(1_000_000),
    "training_data/9_AV.hea": b"9_AV 1 4000 100\r\n",
    "training_data/a name #1%.txt": "Größe: 1\n".encode(),
    "training_data.csv": b"Patient ID,Age\n9,Child\n",
    "empty.txt": b"",
}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sums_of(files: dict[str, bytes]) -> bytes:
    return "".join(f"{sha256(content)} {path}\n" for path, content in files.items()).encode()


@dataclass
class Release:
    """The files of the server, its faults, and the requests that it received."""

    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    sums: bytes = sums_of(FILES)
    ranges: bool = True
    lengths: bool = True
    shift: int = 0  # number of bytes by which a 206 answer begins late
    breaks: dict[str, int] = field(default_factory=dict)  # path → number of answers to break off
    break_after: int = 300_000  # bytes of an answer
    reset: bool = False  # break off by a TCP reset instead of closing the connection
    statuses: dict[str, list[int]] = field(default_factory=dict)  # path → statuses of the first answers
    requests: Counter[str] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)  # bytes
    range_headers: list[str] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    release: Release

    def do_GET(self) -> None:
        release, path = self.release, unquote(self.path).removeprefix("/files/heart/1.0/")
        release.requests[path] += 1
        if release.statuses.get(path):
            self.answer(release.statuses[path].pop(0))
            return
        content = release.sums if path == download.SUMS else release.files.get(path)
        if content is None:
            self.answer(404)
            return
        start, status, headers = 0, 200, {}
        range_match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if range_match:
            release.range_headers.append(self.headers["Range"])
        if range_match and release.ranges:
            start, status = int(range_match[1]), 206
            if start >= len(content):
                self.answer(416)
                return
            start += release.shift
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        if release.lengths:
            headers["Content-Length"] = str(len(body))
        else:
            self.close_connection = True
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if release.breaks.get(path, 0) > 0:
            release.breaks[path] -= 1
            body = body[: release.break_after]
            self.close_connection = True
            if release.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        release.served[path] += len(body)
        self.wfile.write(body)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def shutdown_request(self, request: socket.socket) -> None:
        self.close_request(request)  # without closing the connection first, which would happen before a reset

    def handle_error(self, *args: object) -> None:
        pass  # the tests have clients that stop early


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Iterator[Release]:
    monkeypatch.setattr(download, "BACKOFF_S", 0.005)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server_release = Release()
    handler = type("BoundHandler", (Handler,), {"release": server_release})
    with Server(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        server_release.url = f"http://127.0.0.1:{server.server_port}/files/heart/1.0/"
        yield server_release
        server.shutdown()
        thread.join()


@pytest.fixture
def fetch(release: Release, tmp_path: Path) -> Callable[..., list[str]]:
    """A function that downloads the release into tmp_path/raw and returns the logged lines."""

    def run(**options: object) -> list[str]:
        lines: list[str] = []
        fetch_release(release.url, tmp_path / "raw", log=lines.append, **options)
        return lines

    return run


def content_of(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def assert_complete(root: Path) -> None:
    assert content_of(root) == FILES | {download.SUMS: sums_of(FILES)}


def test_fetches_everything_and_logs_progress(release, fetch, tmp_path):
    lines = fetch()
    assert_complete(tmp_path / "raw")
    assert lines[-1].startswith("download: 5/5 files, 1.0 MB fetched, ")
    assert lines[-1].endswith(" MB/s")
    assert set(release.requests.values()) == {1}


def test_progress_is_reported_while_files_come(release, fetch, monkeypatch):
    monkeypatch.setattr(download, "PROGRESS_S", 0.005)
    monkeypatch.setattr(download, "BACKOFF_S", 0.1)
    release.breaks[BIG] = 1
    assert any(re.match(r"download: [0-4]/5 files, ", line) for line in fetch())


def test_address_without_final_slash(release, tmp_path):
    fetch_release(release.url.rstrip("/"), tmp_path / "raw", log=lambda line: None)
    assert_complete(tmp_path / "raw")


def test_second_run_fetches_nothing(release, fetch):
    fetch()
    release.requests.clear()
    lines = fetch()
    assert release.requests == {download.SUMS: 1}
    assert lines == ["download: 5/5 files, 0.0 MB fetched, 0.0 MB/s"]


def test_broken_off_file_is_continued_by_range(release, fetch, tmp_path):
    release.breaks[BIG] = 3
    lines = fetch()
    assert_complete(tmp_path / "raw")
    assert release.range_headers == [f"bytes={n}-" for n in (300_000, 600_000, 900_000)]
    assert release.served[BIG] == len(FILES[BIG])
    assert sum("again in" in line for line in lines) == 3


def test_connection_reset_in_the_middle_is_continued(release, fetch, tmp_path):
    release.breaks[BIG], release.reset = 3, True
    lines = fetch()
    assert_complete(tmp_path / "raw")
    assert any("reset" in line for line in lines)
    assert release.requests[BIG] == 4


def test_new_bytes_renew_the_retries(release, fetch, tmp_path):
    release.breaks[BIG], release.break_after = 9, 100_000
    fetch(retries=1)
    assert_complete(tmp_path / "raw")
    assert release.requests[BIG] == 10


def test_server_without_ranges_starts_the_file_again(release, fetch, tmp_path):
    release.ranges = False
    release.breaks[BIG] = 2
    fetch()
    assert_complete(tmp_path / "raw")
    assert len(release.range_headers) == 2
    assert release.served[BIG] == len(FILES[BIG]) + 2 * release.break_after


def test_server_that_always_breaks_off_is_given_up(release, fetch, tmp_path):
    release.ranges = False
    release.breaks[BIG] = 1000
    with pytest.raises(DownloadError, match=r"cannot fetch .*9_AV\.wav"):
        fetch(retries=2)
    assert not (tmp_path / "raw" / BIG).exists()
    assert release.requests[BIG] == 3  # only the first request brought new bytes


def test_next_run_continues_the_part_of_the_last(release, fetch, tmp_path):
    release.breaks[BIG] = 1
    with pytest.raises(DownloadError):
        fetch(retries=0)
    assert (tmp_path / "raw" / f"{BIG}.part").stat().st_size == release.break_after
    fetch(retries=0)
    assert_complete(tmp_path / "raw")
    assert release.served[BIG] == len(FILES[BIG])


def test_file_cut_short_under_its_final_name_gets_its_rest(release, fetch, tmp_path):
    target = tmp_path / "raw" / BIG
    target.parent.mkdir(parents=True)
    target.write_bytes(FILES[BIG][:400_000])
    fetch()
    assert_complete(tmp_path / "raw")
    assert release.served[BIG] == 600_000


def test_complete_part_is_only_renamed(release, fetch, tmp_path):
    part = tmp_path / "raw" / f"{BIG}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(FILES[BIG])
    fetch()
    assert_complete(tmp_path / "raw")
    assert BIG not in release.requests


@pytest.mark.parametrize("content", [b"x" * 1000, b"x" * 1_000_000, b"x" * 1_000_001])
def test_stale_part_is_replaced(content, fetch, tmp_path):
    part = tmp_path / "raw" / f"{BIG}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    fetch()
    assert_complete(tmp_path / "raw")


def test_range_answered_from_elsewhere_starts_again(release, fetch, tmp_path):
    release.shift, release.breaks[BIG] = 7, 1
    fetch()
    assert_complete(tmp_path / "raw")


def test_short_answer_without_length_is_caught_by_the_sum(release, fetch, tmp_path):
    release.lengths, release.breaks[BIG] = False, 1
    fetch()
    assert_complete(tmp_path / "raw")


def test_wrong_file_stops_with_both_sums(release, fetch, tmp_path):
    wrong = release.files[BIG] = b"?" * len(FILES[BIG])
    (tmp_path / "raw/training_data").mkdir(parents=True)
    (tmp_path / "raw" / BIG).write_bytes(wrong)
    with pytest.raises(DownloadError) as caught:
        fetch()
    for word in (BIG, sha256(FILES[BIG]), sha256(wrong)):
        assert word in str(caught.value)
    assert not list((tmp_path / "raw").rglob("9_AV.wav*"))
    release.files[BIG] = FILES[BIG]
    fetch()
    assert_complete(tmp_path / "raw")


def test_missing_file_is_named_and_not_requested_again(release, fetch):
    del release.files[BIG]
    with pytest.raises(DownloadError, match=r"9_AV\.wav: HTTP 404"):
        fetch()
    assert release.requests[BIG] == 1


def test_missing_sums_file_is_named(release, fetch):
    release.statuses[download.SUMS] = [404]
    with pytest.raises(DownloadError, match=r"SHA256SUMS\.txt: HTTP 404"):
        fetch()


def test_busy_server_gets_another_request(release, fetch, tmp_path):
    release.statuses = {download.SUMS: [503], BIG: [503, 429, 500]}
    fetch()
    assert_complete(tmp_path / "raw")
    assert release.requests[BIG] == 4


def test_server_that_stays_busy_is_given_up(release, fetch):
    release.statuses[BIG] = [503] * 100
    with pytest.raises(DownloadError, match="HTTP 503"):
        fetch(retries=2)
    assert release.requests[BIG] == 3


@pytest.mark.parametrize(
    "path",
    [
        "../out.txt",
        "a/../../out.txt",
        "/out.txt",
        "..\\out.txt",
        "C:\\out.txt",
        "C:out.txt",
        ".",
        "a\0b",
        "a.part",
    ],
)
def test_escaping_path_is_refused_by_name(path, release, fetch, tmp_path):
    release.sums += f"{sha256(b'')} {path}\n".encode()
    with pytest.raises(DownloadError, match=re.escape(repr(path))):
        fetch()
    assert set(release.requests) == {download.SUMS}
    assert [p.name for p in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize("link", ["training_data", "training_data.csv", "training_data.csv.part"])
def test_symbolic_link_in_the_folder_is_refused(link, release, fetch, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "raw" / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DownloadError, match="is a symbolic link"):
        fetch()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_folder_that_is_itself_a_link_is_fine(fetch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "raw").symlink_to(tmp_path / "elsewhere")
    fetch()
    assert_complete(tmp_path / "elsewhere")


@pytest.mark.parametrize("sums", [b"<html>log in</html>\n", b"\xff\xfe\n", b"12ab short.txt\n"])
def test_unreadable_sums_file_is_refused(sums, release, fetch, tmp_path):
    release.sums = sums
    with pytest.raises(DownloadError, match="line 1"):
        fetch()
    assert not (tmp_path / "raw" / download.SUMS).exists()


def test_sums_file_without_lines_is_refused(release, fetch):
    release.sums = b"\n"
    with pytest.raises(DownloadError, match="lists no file"):
        fetch()


def test_other_forms_of_sums_lines(release, fetch, tmp_path):
    release.sums = sums_of(FILES).replace(b" training_data", b" *./training_data", 1).replace(b"\n", b"\r\n")
    fetch()
    assert content_of(tmp_path / "raw") == FILES | {download.SUMS: release.sums}


def free_port_url() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/files/heart/1.0/"


def test_without_a_server_the_error_explains_how_to_place_files_by_hand(release, fetch, tmp_path):
    release.url = free_port_url()
    with pytest.raises(DownloadError) as caught:
        fetch(retries=2)
    for word in (release.url, str(tmp_path / "raw"), "by hand", download.SUMS, "--cut-dirs=3"):
        assert word in str(caught.value)


def test_files_placed_by_hand_need_no_server(release, fetch, tmp_path):
    fetch()
    release.url = free_port_url()
    assert "all 5 files are in" in fetch(retries=0)[-1]
    (tmp_path / "raw" / BIG).write_bytes(b"wrong")
    with pytest.raises(DownloadError, match=rf"1 of 5 files are missing or wrong, first {BIG}"):
        fetch(retries=0)


def test_connection_lost_between_files(release, fetch, monkeypatch, tmp_path):
    original_attempt = download._attempt

    def attempt(job, url, part):
        if url.endswith(".wav"):
            raise requests.ConnectionError("connection reset")
        original_attempt(job, url, part)

    monkeypatch.setattr(download, "_attempt", attempt)
    with pytest.raises(DownloadError, match="connection reset"):
        fetch(retries=1)
    assert not (tmp_path / "raw" / BIG).exists()


def test_too_little_space_stops_before_the_file(release, fetch, monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)._replace(free=500_000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match=r"9_AV\.wav: 1000000 bytes to download, only 500000 free"):
        fetch()
    assert not (tmp_path / "raw" / f"{BIG}.part").exists()


def test_disk_that_fills_up(fetch, monkeypatch, tmp_path):
    original_open = Path.open

    def full(path: Path, mode: str = "r", **options: object):
        if mode in ("ab", "wb") and path.name == "9_AV.wav.part":
            raise OSError(errno.ENOSPC, "No space left on device")
        return original_open(path, mode, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DownloadError, match="the disk is full; free some space"):
        fetch()
    assert not (tmp_path / "raw" / BIG).exists()


def test_folder_that_cannot_be_made(release, tmp_path):
    (tmp_path / "raw").write_text("a file")
    with pytest.raises(DownloadError, match="cannot write to"):
        fetch_release(release.url, tmp_path / "raw", log=lambda line: None)


@pytest.mark.parametrize("first", [True, False])
def test_a_data_set_without_a_download_does_not_keep_others_from_theirs(tmp_path, monkeypatch, first):
    """The rule's script: own recordings, and a release, in any order; own recordings alone are an error."""
    scripts = Path(__file__).parents[2] / "workflow" / "scripts"
    monkeypatch.syspath_prepend(str(scripts))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # the script replaces it
    fetched = []
    monkeypatch.setattr(circor, "fetch", lambda root, options, report: fetched.append(root))
    own = ("mine", {"adapter": "folder", "root": "own", "options": {"labels": {}}})
    release = ("circor", {"adapter": "circor", "root": "release", "options": {}})

    def run(*datasets):
        params = SimpleNamespace(datasets=dict(datasets))
        job = SimpleNamespace(log=[str(tmp_path / "log")], params=params)
        runpy.run_path(str(scripts / "download.py"), {"snakemake": job})

    run(*((own, release) if first else (release, own)))
    assert fetched == [Path("release")] and "nothing to download" in (tmp_path / "log").read_text()
    with pytest.raises(SystemExit, match="nothing was downloaded"):
        run(own)
