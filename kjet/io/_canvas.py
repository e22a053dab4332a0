"""Figures without pyplot: size, colours, text and grid lines that all figures share."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BLACK",
    "BLUE",
    "CYCLE",
    "DPI",
    "GREY",
    "MAX_ROWS",
    "TINY",
    "VERMILLION",
    "frame",
    "heading",
    "more_text",
    "new_figure",
    "note_figure",
    "number",
    "plain",
]

DPI = 150
MAX_ROWS = 8  # fields drawn in one figure, so that it stays a picture

# Okabe, Ito, Color Universal Design, 2008, without the yellow, which is too light for a line on white.
BLACK, BLUE, VERMILLION = "#000000", "#0072B2", "#D55E00"
CYCLE = (BLUE, VERMILLION, "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#666666")
GREY = "#B3B3B3"

TINY = 1e-250  # zero, for a picture: logarithms and ranges of what is less underflow


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure, in inches; notebooks show it, and nothing else knows of it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = _figure_class()(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
    FigureCanvasAgg(figure)
    return figure


@functools.cache
def _figure_class() -> type[Figure]:
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        """A figure that IPython shows although pyplot has not been told of it."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=100)
            return buffer.getvalue()

    return NotebookFigure


def note_figure(text: str) -> Figure:
    """Make a figure that says why there is nothing to see."""
    figure = new_figure(6.0, 2.0)
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#555555")
    return figure


def frame(axes: Axes, xlabel: str = "", ylabel: str = "", title: str = "") -> None:
    """Dress axes that hold lines: labels, a faint grid, no box."""
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title, fontsize="medium", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def plain(name: str) -> str:
    r"""Return a name that matplotlib shows as it stands.

    >>> plain("_a$b"), plain("u")
    (' _a\\$b', 'u')
    """
    # A dollar sign would start a formula, a leading underscore would hide the name from legends.
    escaped = name.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def number(value: float) -> str:
    """Write a number shortly, as on the axes: 0.25, 1e-05.

    >>> number(0.25), number(1e-05), number(1 / 3), number(-0.0)
    ('0.25', '1e-05', '0.333', '0')
    """
    return f"{value + 0.0:.3g}"


def more_text(total: int) -> str:
    """Say that rows were left out, if any were.

    >>> more_text(20), more_text(3)
    ('the first 8 of 20 are shown', '')
    """
    return f"the first {MAX_ROWS} of {total} are shown" if total > MAX_ROWS else ""


def heading(figure: Any, *parts: str) -> None:
    """Set the title over a figure or a part of it, empty parts left out."""
    text = ": ".join(part for part in parts if part)
    if text:
        figure.suptitle(text, fontsize="large")
