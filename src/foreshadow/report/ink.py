"""Figures as inline SVG that takes its colours and its font from the page.

Matplotlib draws with placeholder colours; afterwards each becomes a CSS variable of the page, so
that one drawing is right in light, in dark and on paper.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#010101"
MUTED = "#020202"
LINE = "#030303"
ACCENT = "#040404"
ALERT = "#050505"
PAPER = "#060606"

_VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", ACCENT: "--accent", ALERT: "--alert",
              PAPER: "--paper"}  # fmt: skip

_OPENING = re.compile(r"(<svg\b[^>]*>)")
_VIEW_BOX = re.compile(r'viewBox="[^"]*"')
_ID = re.compile(r'\b(id="|url\(#|href="#)')
_REWRITES = (
    (re.compile(r"<metadata>.*?</metadata>", re.DOTALL), ""),
    (
        re.compile(r"<style .*?</style>", re.DOTALL),
        "",
    ),  # for every element of the page: it is there
    (re.compile(r" ?font-family: [^;\"]*;"), ""),
    (re.compile(r"xlink:href="), "href="),
)

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.color": LINE,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
}


@contextmanager
def figure(height: float) -> Iterator[tuple[Figure, Axes]]:
    """Give an empty figure of the page's width, in the page's style.

    :param height: in hundredths of the width.
    """
    with mpl.rc_context(_STYLE):
        fig = Figure(figsize=(9.6, 9.6 * height / 100), layout="constrained")
        fig.patch.set_alpha(0.0)
        axes = fig.add_subplot()
        axes.patch.set_alpha(0.0)
        yield fig, axes


@dataclass(frozen=True, slots=True)
class End:
    """A name for a line, written at its right end."""

    text: str
    at: tuple[float, float]
    color: str
    strong: bool = False


def note(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    color: str,
    *,
    shift: tuple[float, float] = (0, 0),
    align: Literal["left", "center", "right"] = "left",
    strong: bool = False,
) -> None:
    """Write on a plot, right where it belongs.

    :param at: in data coordinates; ``shift`` is in points.
    """
    axes.annotate(
        text, at, xytext=shift, textcoords="offset points", color=color, ha=align, va="center",
        weight="bold" if strong else "normal", annotation_clip=False,
    )  # fmt: skip


def end_notes(fig: Figure, axes: Axes, ends: Sequence[End]) -> None:
    """Name the lines at their ends, moved apart where they would cover one another.

    The limits of the axes must be final; the layout, which moves all heights a little, need not be.
    """
    low, high = axes.get_ylim()
    tall = axes.get_position().height * fig.get_figheight() * 72.0
    heights = [(end.at[1] - low) / (high - low) * tall for end in ends]
    free = -math.inf
    for height, end in sorted(zip(heights, ends, strict=True), key=lambda pair: pair[0]):
        free = max(free, height)
        note(axes, end.text, end.at, end.color, shift=(6, free - height), strong=end.strong)
        free += 11.0


def svg(fig: Figure, key: str, alternative: str) -> str:
    """Return a figure as an ``<svg>`` element.

    :param key: unique on the page; ids inside the drawing are derived from it.
    :param alternative: what a person who cannot see it is told.
    """
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": key}):
        fig.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    opening, drawing = _OPENING.split(buffer.getvalue(), maxsplit=1)[1:]
    for pattern, replacement in _REWRITES:
        drawing = pattern.sub(replacement, drawing)
    drawing = _ID.sub(rf"\g<1>{key}-", drawing)
    for color, variable in _VARIABLES.items():
        drawing = drawing.replace(color, f"var({variable})")
    box = _VIEW_BOX.search(opening)
    view = box.group() if box else ""
    return f'<svg class="plot" role="img" aria-label="{escape(alternative)}" {view}>{drawing}'
