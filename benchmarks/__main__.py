"""Run all benchmarks and write their table: python -m benchmarks [--quick]."""

from __future__ import annotations

import argparse
import platform
import tempfile
from datetime import date
from pathlib import Path

from threadpoolctl import threadpool_limits

from auscult.provenance import commit, environment
from benchmarks import data, features, growth, networks, study, workflow
from benchmarks.timing import Row

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
WHY = """
In rows of growth, the values belong to the sizes in the row, from the smallest on. The target concerns the last value
relative to the first.

Explanations of the figures:

- **Log-mels.** auscult transforms in float64, so that a loud tone does not mask quiet bands. The first rows include two
  caches with a description of their origin, written by a process that it starts; librosa's side writes nothing. The
  rows "in memory" have neither.
- **Training.** Both sides run the same layers, so that time can only be saved between and around them. The plain
  loop keeps every overlapping window as a copy in memory. The rows of `compile: true` do not count the compilation, a
  minute or two.
- **Nine planes.** The values are those of the calls. What is left are transforms and fits of librosa and SciPy.
- **A dry run** consists of Snakemake's own planning, of reading all code that jobs import, and of loading Snakemake and
  pandas. Every job has the code that it imports as inputs, about 85 files; with one file instead, a dry run of `circor`
  took a seventh less (by hand).
- **Cores outside jobs**: starts of Snakemake and of jobs, which take seconds each, and the last jobs (decisions,
  tables, report, tracking), which leave a core idle.
- **A study against a plain script**: the script computes the log-mels of every fold anew, trains one network after the
  other, and leaves out tuning, thresholds, intervals, tables and figures.
- **Memory**: jobs of caches hold one recording at a time. What grows are the tables of the data set, and in ingest the
  rows that the adapter reads before they become tables.
- **GPU rows**: not measured, because no GPU was available. The Challenge's fastest entry took 0.40 s per patient, the
  reference 117 s (official run, on its machine). "passes of a patient" is the time of auscult's network alone on one
  core.
"""


def main() -> None:
    """Everything, on fresh data in a temporary folder; each part is shown as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little data and few repetitions; writes no page")
    quick = parser.parse_args().quick
    subjects, repetitions = (4, 1) if quick else (100, 5)
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        made = data.make(home / "data", subjects)
        data.cache_samples(made)
        parts = [
            lambda: features.rows(made, repetitions),
            lambda: networks.rows(made, subjects, repetitions),
            lambda: workflow.rows(home, 1 if quick else 3),
            lambda: study.rows(home, *((40, 1) if quick else ())),
            lambda: growth.rows(home, growth.SIZES[0 if quick else -1]),
        ]
        rows = []
        for part in parts:
            found = part()
            print(*map(line, found), sep="\n", flush=True)
            rows += found
        text = page(rows, made)
    if not quick:
        PAGE.write_text(text, encoding="utf-8")


def page(rows: list[Row], made: data.Data) -> str:
    """The table as Markdown, with machine, versions and data."""
    versions = ", ".join(f"{name} {version}" for name, version in environment().items())
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`. The sides of a comparison take turns in one run. Figures are medians, with the",
        "smallest and largest of the repetitions in brackets. Times are processor time if a side is one process, else",
        "wall-clock time.",
        "",
        f"Machine: {cpu()}, {platform.system()}, no GPU used (GPU rows: not measured). {versions}.",
        f"Data: {len(made.manifest.recordings)} simulated recordings of {made.seconds():.0f} s at 4 kHz. "
        f"Commit {commit()}, {date.today().isoformat()}.",
        "",
        "| what | side | median (range) | target | met |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(line, rows), WHY])


def line(row: Row) -> str:
    """A row of the table."""
    met = "" if row.met is None else "yes" if row.met else "**no**"
    return f"| {row.what} | {row.side} | {row.text} | {row.target} | {met} |"


def cpu() -> str:
    """Name and number of the processors."""
    import os

    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{os.cpu_count()} × {names[0] if names else platform.processor()}"


if __name__ == "__main__":
    main()
