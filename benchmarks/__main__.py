"""Run benchmarks and write their page: python -m benchmarks [PART ...] [--quick].

Parts: features, networks, workflow, study, growth; all of them without a name. The rows of a part stay in
benchmarks/tables/PART.json until it runs again. The page is written from these files; one may have a `remark`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path

from threadpoolctl import threadpool_limits

from auscult.provenance import commit, environment, write_json, write_text
from benchmarks import data, features, growth, networks, study, workflow
from benchmarks.timing import Row

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
TABLES = Path(__file__).resolve().parent / "tables"
VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2, no AVX-512"}  # the widest first
MODULES = {"features": features, "networks": networks, "workflow": workflow, "study": study, "growth": growth}
INTRODUCTION = """# Benchmarks

`make bench` measures all parts and writes this page; `PYTHONPATH=.:workflow python -m benchmarks PART` measures one.
The sides of a comparison take turns in one run. Figures are medians, with the smallest and largest of the repetitions
in brackets. Times are processor time if a side is one process, else wall-clock time. Nothing was measured on a GPU,
because none was available.
"""


def main() -> None:
    """Measure parts on fresh data in a temporary folder; each is shown as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="by default all")
    parser.add_argument("--quick", action="store_true", help="little data and few repetitions; writes no page")
    options = parser.parse_args()
    unknown = set(options.parts) - set(MODULES)
    if unknown:
        parser.error(f"no parts {', '.join(sorted(unknown))}: use {', '.join(MODULES)}")
    facts = origin()  # before a table changes a file of the commit
    for name in options.parts or MODULES:
        with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
            rows = measures(name, Path(folder), options.quick)()
        print(*map(line, rows), sep="\n", flush=True)
        if not options.quick:
            write_json(TABLES / f"{name}.json", {**facts, "rows": [asdict(row) for row in rows]})
            write_text(PAGE, page())


def measures(name: str, home: Path, quick: bool) -> Callable[[], list[Row]]:
    """Return the function that measures a part."""
    subjects, repetitions = (4, 1) if quick else (100, 5)
    if name in ("features", "networks"):
        made = data.make(home / "data", subjects)
        data.cache_samples(made)
        if name == "features":
            return lambda: features.rows(made, repetitions)
        return lambda: networks.rows(made, subjects, repetitions)
    if name == "workflow":
        return lambda: workflow.rows(home, 1 if quick else 3)
    if name == "study":
        return lambda: study.rows(home, *((40, 1) if quick else ()))
    return lambda: growth.rows(home, growth.SIZES[0 if quick else -1])


def origin() -> dict[str, str]:
    """Return commit, date, machine and versions of a measurement."""
    versions = ", ".join(f"{name} {version}" for name, version in environment().items() if name != "platform")
    return {"commit": commit(), "date": date.today().isoformat(), "machine": cpu(), "versions": versions}


def page() -> str:
    """Return the page of all parts that were measured."""
    sections = []
    for name, module in MODULES.items():
        file = TABLES / f"{name}.json"
        if file.exists():
            table = json.loads(file.read_text(encoding="utf-8"))
            rows = [line(Row(**row)) for row in table["rows"]]
            head = ["| what | side | median (range) | target | met |", "|---|---|---|---|---|"]
            where = f"Commit {table['commit']}, {table['date']}, {table['machine']}. {table['versions']}."
            parts = [where, table.get("remark", ""), "\n".join([*head, *rows]), module.NOTES.strip()]
            sections += [f"## {module.TITLE}", *filter(None, parts)]
    return "\n\n".join([INTRODUCTION.strip(), *sections]) + "\n"


def line(row: Row) -> str:
    """A row of the table."""
    met = "" if row.met is None else "yes" if row.met else "**no**"
    return f"| {row.what} | {row.side} | {row.text} | {row.target} | {met} |"


def cpu() -> str:
    """Name and number of the processors, their widest vector instructions, and the system."""
    words = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [word.split(":")[1].strip() for word in words if word.startswith("model name")]
    flags = next((word.split() for word in words if word.startswith("flags")), [])
    vectors = next((f" with {name}" for flag, name in VECTORS.items() if flag in flags), "")
    return f"{os.cpu_count()} × {names[0] if names else platform.processor()}{vectors}, {platform.system()}"


if __name__ == "__main__":
    main()
