"""Harmed inputs of one kind, one after the other, in a process of its own: python -m tests.fuzz.inputs KIND COUNT SEED.

Each must end in a result or in the error that its reader promises. The process says on its last line how many of
each, and dies of anything else: a crash, an error of another kind, twenty seconds without an end, half a gigabyte more
memory, or a path outside the folder.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import yaml

from auscult.cache.store import CacheError, open_cache, write_cache
from auscult.datasets import audio, challenge2021, circor, folder, simulate
from auscult.datasets.build import build
from auscult.datasets.errors import DatasetError, Unusable
from auscult.datasets.ids import problem_of, same_but_for_writing
from auscult.studies import ConfigError, load_study

SECONDS = 20
MEMORY_KB = 512 * 1024
TOP = Path(__file__).resolve().parents[2]
NUMBERS = [b"0", b"-1", b"1e999", b"nan", b"99999999999999999999", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f"]
WORDS = [
    b"../../etc/passwd",
    b"/etc/passwd",
    b"\x00",
    b"\n",
    b"\t",
    b",",
    b'"',
    b"\xff\xfe",
    b": ",
    b"&a [*a]",
    b"|",
    b"#",
    b" ",
    b"0",
    "É".encode(),
    "E\u0301".encode(),
    "\u200b".encode(),
    "Ⅷ".encode(),
]

Try = Callable[[], object]
Kind = tuple[list[Path], Try, type[Exception]]
"""The files that are harmed, what reads them, and the error that it may raise."""


def wav(root: Path) -> Kind:
    """A recording."""
    path = root / "a.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 400), 4000, subtype="PCM_16")
    return [path], lambda: audio.inspect(path, None, None, 1.0, True), Unusable


def wfdb(root: Path) -> Kind:
    """A record of the Challenge 2021: a header with its labels, and the samples."""
    from scipy.io import savemat

    values = np.random.default_rng(0).integers(-900, 900, (12, 200), dtype=np.int16)
    savemat(root / "A0001.mat", {"val": values}, format="4")
    lines = [
        "A0001 12 500 200",
        *(
            f"A0001.mat 16+24 1000/mV 16 0 {int(row[0])} {int(row.sum()) % 65536} 0 I{n}"
            for n, row in enumerate(values)
        ),
    ]
    (root / "A0001.hea").write_text("\n".join([*lines, "# Age: 50", "# Sex: Male", "# Dx: 426783006"]) + "\n")

    def read() -> object:
        listing = challenge2021.ingest(root, challenge2021.Options(codes={"426783006": "sinus"}))
        return [audio.inspect(root / path, None, None, 1.0, False, "float32") for path in listing.recordings["path"]]

    return [root / "A0001.hea", root / "A0001.mat"], read, (Unusable, DatasetError)


def release(root: Path) -> Kind:
    """A patient of CirCor: text, table of states, WFDB header."""
    simulate.fetch(root, simulate.Options(subjects=1, seconds=(2.0, 2.1), twins=0.0), lambda line: None)
    files = [path for path in sorted(root.rglob("*")) if path.suffix in (".txt", ".tsv", ".hea", ".csv")]
    return files, lambda: circor.ingest(root, circor.Options()), DatasetError


def tables(root: Path) -> Kind:
    """The two tables of a folder, with the audio that they name."""
    soundfile.write(root / "a.wav", np.random.default_rng(0).normal(0, 0.1, 400), 4000, subtype="PCM_16")
    (root / "cases.csv").write_text("case,subject,label,age\nc1,s1,x,3\nc2,s2,y,\n")
    rows = ["r1,c1,a.wav,AV,0,0.05", "r2,c2,a.wav,MV,,", "r3,c2,a.wav,TV,0.01,0.1"]
    (root / "recordings.csv").write_text("\n".join(["recording,case,path,site,onset_s,offset_s", *rows]) + "\n")
    options = folder.Options(labels={"label": []}, covariates=["age"])

    def read() -> object:
        listing = folder.ingest(root, options)
        manifest = build(listing, root, "mean", 1.0, 1)
        for path in manifest.recordings["path"]:
            if not (root / path).resolve().is_relative_to(root.resolve()):
                raise AssertionError(f"{path} is outside the folder")
        return manifest

    return [root / "cases.csv", root / "recordings.csv"], read, DatasetError


def ids(root: Path) -> Kind:
    """Ids in the two tables of a folder. What is read has no id that is a path, and no two that differ in writing."""
    soundfile.write(root / "a.wav", np.random.default_rng(0).normal(0, 0.1, 400), 4000, subtype="PCM_16")
    names = ["P01", "P2", "É3", "7", "x-1", "Q"]
    cases = [f"{name},s{name},{'xy'[k % 2]}" for k, name in enumerate(names)]
    (root / "cases.csv").write_text("\n".join(["case,subject,label", *cases]) + "\n", encoding="utf-8")
    rows = [f"r{name},{name},a.wav" for name in names]
    (root / "recordings.csv").write_text("\n".join(["recording,case,path", *rows]) + "\n", encoding="utf-8")
    options = folder.Options(labels={"label": []})

    def read() -> object:
        manifest = build(folder.ingest(root, options), root, "mean", 1.0, 1)
        for column in (manifest.cases["case"], manifest.cases["subject"], manifest.recordings["recording"]):
            problems = [name for name in column if problem_of(name)]
            if problems or same_but_for_writing(column):
                raise AssertionError(f"{column.name}: {problems} {same_but_for_writing(column)}")
        return manifest

    return [root / "cases.csv", root / "recordings.csv"], read, DatasetError


def study(root: Path) -> Kind:
    """A study."""
    text = yaml.safe_dump(yaml.safe_load((TOP / "config/studies/demo.yaml").read_text()), sort_keys=False)
    (root / "demo.yaml").write_text(text)
    return [root / "demo.yaml"], lambda: load_study("demo", root), ConfigError


def shard(root: Path) -> Kind:
    """A shard of a cache. What is read has the values that were written."""
    recordings = pd.DataFrame({"recording": ["a", "b", "c"], "sha256": ["1", "2", "3"]})
    write_cache(root, recordings, _numbers, {"kind": "fuzz"}, "code", 1)

    def read() -> object:
        cache = open_cache(root, {"kind": "fuzz"})
        values = {name: cache.read(name) for name in cache.index.index}
        if not all(np.array_equal(array, _numbers(None)) for array in values.values()) or set(values) != set("abc"):
            raise AssertionError(f"other values than were written: {values}")
        return values

    return [root / "shard-000.h5"], read, CacheError


def _numbers(row: object) -> np.ndarray:
    return np.arange(20, dtype=np.float32).reshape(10, 2)


KINDS = {"wav": wav, "wfdb": wfdb, "release": release, "tables": tables, "ids": ids, "study": study, "shard": shard}


def harm(data: bytes, chance: random.Random) -> bytes:
    """One to four changes: bytes flipped, cut out, doubled, or replaced by what readers stumble over."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place, length = chance.randrange(len(out) + 1), chance.choice([1, 1, 2, 4, 16, 100])
        what = chance.randrange(6)
        if what == 0 and place < len(out):
            out[place] ^= 1 << chance.randrange(8)
        elif what == 1:
            del out[place : place + length]
        elif what == 2:
            out[place:place] = out[place : place + length]
        elif what == 3:
            out[place : place + length] = chance.choice(NUMBERS)
        elif what == 4:
            out[place:place] = chance.choice(WORDS)
        else:
            del out[place:]
    return bytes(out)


def main(kind: str, count: int, seed: int) -> None:
    """Harm, read, count."""
    chance, ends = random.Random(f"{kind} {seed}"), Counter()
    with tempfile.TemporaryDirectory() as home:
        files, read, promised = KINDS[kind](Path(home))
        whole = {path: path.read_bytes() for path in files}
        read()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(count):
            path = chance.choice(files)
            path.write_bytes(harm(whole[path], chance))
            signal.alarm(SECONDS)  # its default action ends the process
            try:
                read()
                ends["result"] += 1
            except promised:
                ends["error"] += 1
            except BaseException:
                print(
                    f"{kind}, seed {seed}, input {number}: {path.name}: {path.read_bytes()[:2000]!r}", file=sys.stderr
                )
                raise
            finally:
                signal.alarm(0)
            path.write_bytes(whole[path])
            more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            if more > MEMORY_KB:
                raise MemoryError(f"{kind}, seed {seed}, input {number}: {more // 1024} MiB more")
    print(json.dumps(ends))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
