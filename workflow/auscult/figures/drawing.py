"""Common parts of all figures: size, colours for colour-blind readers, axes, legends, and saving with captions."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]  # Okabe–Ito without yellow
MARKERS = "osD^vP*X<"
MOST_COLOURS = 9  # curves that get a colour and a line in the legend
TITLE_LETTERS = 50  # of one line of a title
WIDTH = 5.2  # inches: text stays legible when the figure is shown 400 pixels wide
STYLE = {
    "svg.hashsalt": "auscult",
    "svg.fonttype": "path",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
}


class Plot(NamedTuple):
    """A figure with its file name, title, alternative text and caption."""

    file: str
    figure: Figure
    title: str
    alt: str
    caption: str


class Curve(NamedTuple):
    """One line of a figure: name, points, the number shown beside its name, and optionally a weight of each point."""

    name: str
    x: NDArray
    y: NDArray
    value: float
    weight: NDArray | None = None


def blank(height: float, title: str) -> Figure:
    """A figure of the common width with a title; a long title is wrapped. height: in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    figure.suptitle(textwrap.fill(title, TITLE_LETTERS), x=0.02, ha="left", fontsize=11.5, fontweight="bold")
    return figure


def square(title: str, x: str, y: str, diagonal: bool = False) -> tuple[Figure, Axes]:
    """A figure with square axes from 0 to 1, labelled `x` and `y`, optionally with the grey diagonal."""
    figure = blank(WIDTH, title)
    axes = figure.add_subplot(xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.grid()
    if diagonal:
        axes.plot([0, 1], [0, 1], color="#999999", lw=1, zorder=0)
    return figure, axes


def line_styles(curves: list[Curve]) -> list[dict]:
    """Line styles: the first `MOST_COLOURS` curves differ by colour and then by dashes, all others are grey."""
    colours, dashes = PALETTE * 2, ["-"] * len(PALETTE) + ["--"] * len(PALETTE)
    colour_styles = [
        {"color": colours[k], "lw": 1.8, "ls": dashes[k], "zorder": 3 - k / 10} for k in range(MOST_COLOURS)
    ]
    return (colour_styles + [{"color": "#bbbbbb", "lw": 0.8, "zorder": 1}] * len(curves))[: len(curves)]


def legend(figure: Figure, axes: Axes, curves: list[Curve], values: list[str], markers: str = "") -> None:
    """Add a legend with the curves' names and `values` below the axes; the figure grows by the lines it needs."""
    if not curves:
        axes.set_title("nothing to draw", color="#555555")
        return
    styles = [style | {"marker": markers[k : k + 1]} for k, style in enumerate(line_styles(curves)[:MOST_COLOURS])]
    names = [f"{shortened(c.name, 40)}  {value}" for c, value in zip(curves, values, strict=True)][:MOST_COLOURS]
    columns = 1 if max(map(len, names)) > 26 or len(names) < 4 else 2
    figure.set_figheight(WIDTH + 0.25 + 0.24 * -(-len(names) // columns))
    handles = [axes.plot([], [], **style)[0] for style in styles]
    figure.legend(handles, names, loc="outside lower center", ncols=columns)


def shortened(name: str, width: int = 24) -> str:
    """A name as one line of at most `width` characters. A leading `_` gets a space: matplotlib hides such labels."""
    name = " ".join(str(name).split())
    name = name if len(name) <= width else f"{name[: width - 1]}…"
    return f" {name}" if name.startswith("_") else name


def values_text(curves: list[Curve]) -> str:
    """Names and values of curves, for captions."""
    return "; ".join(f"{curve.name} {curve.value:.3f}" for curve in curves) or "not defined"


def save(plots: Iterable[Plot], folder: Path) -> pd.DataFrame:
    """Write plots into `folder` as SVG files. Returns a table `file, title, alt, caption, sha256`.

    Later rules depend on this table alone. The digest changes the table whenever a figure changes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):  # of a study that has changed
        old.unlink()
    rows = []
    with matplotlib.rc_context(STYLE):
        for plot in plots:
            metadata = {"Date": None, "Title": plot.title}
            plot.figure.savefig(folder / plot.file, format="svg", metadata=metadata, facecolor="white")
            digest = hashlib.sha256((folder / plot.file).read_bytes()).hexdigest()
            rows.append([plot.file, plot.title, plot.alt, plot.caption, digest])
    return pd.DataFrame(rows, columns=["file", "title", "alt", "caption", "sha256"])
