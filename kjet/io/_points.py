"""Figure of where the conditions of a problem are imposed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError, unknown
from ..typing import Float, Tensor
from ._canvas import CYCLE, frame, new_figure, note_figure, plain
from ._samples import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["points_figure"]

_MAX_DRAWN = 20_000  # of one term; more is a black square
_MARKERS = "osD^vP*"


def points_figure(points: Mapping[str, Float[Tensor, "_ d"]], coords: Sequence[str], time: str | None = None) -> Figure:
    """Draw the points of every term of the loss: over two coordinates, or on a line.

    Args:
        points: Points (n, d) of each term.
        coords: Names of the coordinates.
        time: The coordinate that is time; it runs to the right if there is one in space, and is not shown if
            there are more.

    Returns:
        A figure that pyplot does not know of.

    Raises:
        ConfigError: If the points do not have as many columns as there are coordinates.

    >>> import torch
    >>> figure = points_figure({"equation": torch.rand(50, 2), "wall": torch.rand(9, 2)}, ("x", "t"), "t")
    >>> figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
    ('t', 'x')
    """
    if time is not None and time not in coords:
        raise ConfigError(unknown("time coordinate", time, coords, "coords"))
    for name, term in points.items():
        if term.ndim != 2 or term.shape[1] != len(coords):
            raise ConfigError(
                f'points of "{name}" have shape {tuple(term.shape)}; expected (n, {len(coords)}), '
                f"one column for each of {', '.join(coords)}."
            )
    # Few points are drawn over many: conditions over the equation.
    order = sorted((name for name in points if len(points[name])), key=lambda name: -len(points[name]))
    if not order:
        return note_figure("no points were sampled")
    across, up = _shown(coords, time)
    figure = new_figure(8.5, 5.5 if up else 1.2 + 0.5 * len(order))
    axes = figure.add_subplot()
    for i, name in enumerate(order):
        x = _thinned(points[name], coords.index(across))
        y = _thinned(points[name], coords.index(up)) if up else np.full(len(x), float(i))
        _draw(axes, x, y, i, f"{plain(name)} ({len(points[name])})")
    frame(axes, plain(across), plain(up) if up else "")
    if up is None:
        axes.set_yticks([])
    axes.legend(
        title="term (points)",
        frameon=False,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        markerscale=1.5,
    )
    return figure


def _shown(coords: Sequence[str], time: str | None) -> tuple[str, str | None]:
    """Choose the coordinates across and up."""
    space = [name for name in coords if name != time]
    if len(space) >= 2:
        return space[0], space[1]
    if len(space) == 1 and time:
        return time, space[0]
    return coords[0], None


def _thinned(points: Float[Tensor, "n d"], column: int) -> Array:
    stride = -(-len(points) // _MAX_DRAWN)
    values: Array = points[::stride, column].detach().cpu().double().numpy()
    return values


def _draw(axes: Axes, x: Array, y: Array, i: int, label: str) -> None:
    dense = len(x) > 1000
    axes.plot(
        x, y, linestyle="none", marker=_MARKERS[i % len(_MARKERS)], markersize=2.0 if dense else 4.5,
        color=CYCLE[i % len(CYCLE)], alpha=0.5 if i == 0 else 0.9, markeredgewidth=0, clip_on=False, label=label,
    )  # fmt: skip
