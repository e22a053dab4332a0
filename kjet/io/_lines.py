"""Curves of a solution, its reference and their difference along one coordinate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._canvas import BLACK, BLUE, TINY, VERMILLION, frame
from ._samples import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_error", "draw_pair", "log_if_positive"]


def draw_pair(axes: Axes, x: Array, solution: Array, reference: Array | None, xlabel: str, title: str = "") -> None:
    """Draw the solution solid and over it, dashed so that both can be seen, the reference."""
    axes.plot(x, solution, color=BLUE, linewidth=2.5, marker=_marker(x), label="solution")
    if reference is not None:
        axes.plot(x, reference, color=BLACK, linewidth=1.2, linestyle=(0, (4, 3)), label="reference")
    frame(axes, xlabel, "", title)
    _fit(axes, x)


def draw_error(axes: Axes, x: Array, error: Array, xlabel: str, title: str = "", color: str = VERMILLION) -> None:
    """Draw values >= 0 on a logarithmic axis, on a linear one if all are zero."""
    axes.plot(x, error, color=color, linewidth=1.5, marker=_marker(x))
    log_if_positive(axes, error)
    frame(axes, xlabel, "", title)
    _fit(axes, x)


def log_if_positive(axes: Axes, *values: Array, decades: int = 9) -> None:
    """Make the vertical axis logarithmic where values are positive, showing at most `decades` below the greatest.

    Negative values, as an energy has them, make it symmetric: linear about zero and logarithmic beyond.
    """
    joined = np.concatenate([np.ravel(value) for value in values]) if values else np.empty(0)
    finite = joined[np.isfinite(joined) & (np.abs(joined) > TINY)]
    if not finite.size:
        return
    if (finite < 0).any():
        axes.set_yscale("symlog", linthresh=max(float(np.quantile(np.abs(finite), 0.05)), 1e-12))
        return
    low, high = float(finite.min()), float(finite.max())
    axes.set_yscale("log")
    # An error of exactly zero to rounding, as where a curve crosses its reference, must not set the scale.
    axes.set_ylim(max(low, high * 10.0**-decades) / 1.5, high * 1.5)


def _fit(axes: Axes, x: Array) -> None:
    """Show the whole range, also where there are no values."""
    low, high = float(x.min()), float(x.max())
    axes.set_xlim((low, high) if low < high else (low - 0.5, high + 0.5))


def _marker(x: Array) -> str | None:
    return "o" if x.min() == x.max() else None
