"""How figures look: size, colours that colour-blind readers tell apart, axes, legends, and what a figure carries."""

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
NAMED = 9  # curves that get a colour and a line in the legend
LINE = 50  # letters of a title across that width
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


class Drawn(NamedTuple):
    """One figure, with the name of its file and its texts."""

    file: str
    figure: Figure
    title: str
    alt: str
    caption: str


class Curve(NamedTuple):
    """One line of a figure: name, points, the number shown beside its name, and the weight of each point."""

    name: str
    x: NDArray
    y: NDArray
    value: float
    weight: NDArray | None = None


def blank(height: float, title: str) -> Figure:
    """A figure of the common width with its title, on several lines where it is long."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    figure.suptitle(textwrap.fill(title, LINE), x=0.02, ha="left", fontsize=11.5, fontweight="bold")
    return figure


def square(title: str, x: str, y: str, diagonal: bool = False) -> tuple[Figure, Axes]:
    figure = blank(WIDTH, title)
    axes = figure.add_subplot(xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.grid()
    if diagonal:
        axes.plot([0, 1], [0, 1], color="#999999", lw=1, zorder=0)
    return figure, axes


def line_styles(curves: list[Curve]) -> list[dict]:
    """Line styles: the first `NAMED` curves are told apart by colour and then by dashes, more are grey."""
    colours, dashes = PALETTE * 2, ["-"] * len(PALETTE) + ["--"] * len(PALETTE)
    named = [{"color": colours[k], "lw": 1.8, "ls": dashes[k], "zorder": 3 - k / 10} for k in range(NAMED)]
    return (named + [{"color": "#bbbbbb", "lw": 0.8, "zorder": 1}] * len(curves))[: len(curves)]


def legend(figure: Figure, axes: Axes, curves: list[Curve], values: list[str], markers: str = "") -> None:
    """Names with their values below the axes; the figure grows by the lines they need."""
    if not curves:
        axes.set_title("nothing to draw", color="#555555")
        return
    styles = [style | {"marker": markers[k : k + 1]} for k, style in enumerate(line_styles(curves)[:NAMED])]
    names = [f"{shortened(c.name, 40)}  {value}" for c, value in zip(curves, values, strict=True)][:NAMED]
    columns = 1 if max(map(len, names)) > 26 or len(names) < 4 else 2
    figure.set_figheight(WIDTH + 0.25 + 0.24 * -(-len(names) // columns))
    handles = [axes.plot([], [], **style)[0] for style in styles]
    figure.legend(handles, names, loc="outside lower center", ncols=columns)


def shortened(name: str, width: int = 24) -> str:
    """A name as one line of at most `width` characters that a legend does not take for a hidden one."""
    name = " ".join(str(name).split())
    name = name if len(name) <= width else f"{name[: width - 1]}…"
    return f" {name}" if name.startswith("_") else name


def said(curves: list[Curve]) -> str:
    return "; ".join(f"{curve.name} {curve.value:.3f}" for curve in curves) or "not defined"


def save(drawn: Iterable[Drawn], folder: Path) -> pd.DataFrame:
    """Write figures into `folder` as SVG; returns `file, title, alt, caption, sha256`.

    The digest makes a changed picture a changed table, which is what later rules depend on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    with matplotlib.rc_context(STYLE):
        for one in drawn:
            facts = {"Date": None, "Title": one.title}
            one.figure.savefig(folder / one.file, format="svg", metadata=facts, facecolor="white")
            digest = hashlib.sha256((folder / one.file).read_bytes()).hexdigest()
            rows.append([one.file, one.title, one.alt, one.caption, digest])
    return pd.DataFrame(rows, columns=["file", "title", "alt", "caption", "sha256"])
