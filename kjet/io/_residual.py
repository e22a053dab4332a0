"""Figures of how far the equations are from being satisfied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import ConfigError
from ._canvas import BLUE, CYCLE, MAX_ROWS, TINY, frame, heading, more_text, new_figure, note_figure, number, plain
from ._high_dimensional import cloud, fit_lines, lines, slice_plane
from ._lines import draw_error, log_if_positive
from ._maps import Plane, draw_bar, draw_map, log_scale
from ._samples import Array, lattice, nodes, root_mean_square, sample_residual, times
from ._solution import map_height
from .view import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["residual_figure"]

_FRAMES = 3
_NOTHING = "no point of the grid lies in the domain"


def residual_figure(view: View, resolution: int = 100) -> Figure:
    """Draw the absolute residual of every equation on a logarithmic scale.

    Curves over one coordinate; a map over two; maps at three times over two and time; over more coordinates its
    distribution at random points, curves along random lines, and a slice through the centre.

    Args:
        view: The solution, with `residual`.
        resolution: Points along one side of a map.

    Returns:
        A figure that pyplot does not know of. The titles hold the root mean square over the points drawn.

    Raises:
        ConfigError: If the view has no residual.

    Cost: ``resolution**2`` evaluations of the residual for each map.

    >>> import torch
    >>> view = View(("x",), torch.tensor([[0.0, 1.0]]), None, ("u",), None, lambda p: {}, None,
    ...             lambda p: {"equation": p[:, 0]})
    >>> residual_figure(view).axes[0].get_yscale()
    'log'
    """
    if view.residual is None:
        raise ConfigError("the view has no residual; give View(..., residual=...) or leave this figure out.")
    match len(view.space), view.moving:
        case (1, None) | (0, _):
            return _curves(view, 4 * resolution)
        case 1, str(time):
            return _maps(Plane(view, time, view.space[0], resolution, true=False), None)
        case 2, time:
            return _maps(Plane(view, view.space[0], view.space[1], resolution), time)
        case _:
            return _high_dimensional(view, resolution)


def _curves(view: View, n: int) -> Figure:
    name = view.free[0]
    x = nodes(view, name, n)
    found, _ = sample_residual(view, lattice(view, {name: x}), (n,))
    if not found:
        return note_figure(_NOTHING)
    shown = list(found.items())[:MAX_ROWS]
    figure = new_figure(7.0, 3.3 * len(shown) + 0.2)
    heading(figure, more_text(len(found)))
    for axes, (equation, values) in zip(figure.subplots(len(shown), squeeze=False)[:, 0], shown, strict=True):
        draw_error(axes, x.numpy(), values, plain(name), _title(equation, values), BLUE)
        axes.set_ylabel("absolute residual")
    return figure


def _maps(plane: Plane, time: str | None) -> Figure:
    view = plane.view
    instants = times(view, time, _FRAMES) if time else [0.0]
    at = [{time: t} if time else None for t in instants]
    frames = [sample_residual(view, plane.points(place), plane.shape) for place in at]
    names = list(frames[0][0])
    if not names or any(list(found) != names for found, _ in frames):
        return note_figure(_NOTHING)
    count = min(len(names), MAX_ROWS)
    columns = 1 if time else min(3, count)
    rows = math.ceil(count / columns)
    width = 4.3 if time or columns > 1 else 6.5
    height = map_height(plane.ratio, width) if plane.true else 3.6
    figure = new_figure(width * len(at) * columns, (height + 1.0) * rows)
    parts = figure.subfigures(rows, columns, squeeze=False).ravel()[:count]
    titles = [f"{time} = {number(t)}" if time else "" for t in instants]
    for part, name in zip(parts, names, strict=False):
        layers = [found[name] for found, _ in frames]
        heading(part, _title(name, np.stack(layers)))
        masks = [inside for _, inside in frames]
        _draw_row(part.subplots(1, len(at), squeeze=False)[0], plane, layers, masks, titles)
    return figure


def _draw_row(
    row: Sequence[Axes], plane: Plane, layers: list[Array], masks: list[Array], titles: Sequence[str]
) -> None:
    scale = log_scale(*layers)
    for axes, values, inside, title in zip(row, layers, masks, titles, strict=True):
        image = draw_map(axes, plane, values, inside, scale, title)
    draw_bar(row[-1], image, scale, "absolute residual")


def _high_dimensional(view: View, resolution: int) -> Figure:
    generator = torch.Generator().manual_seed(0)
    points = cloud(view, 1000, generator)
    scattered, _ = sample_residual(view, points, (len(points),))
    bundle = lines(view, 3, resolution, generator)
    along, _ = sample_residual(view, bundle.points.flatten(0, 1), bundle.position.shape)
    plane = slice_plane(view, resolution)
    sliced, inside = sample_residual(view, plane.points(), plane.shape) if plane else ({}, np.empty(0))
    if not scattered:
        return note_figure(_NOTHING)
    shown = list(scattered.items())[:MAX_ROWS]
    figure = new_figure(12.0 if sliced else 9.0, 4.0 * len(shown))
    for part, (name, values) in zip(figure.subfigures(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
        heading(part, _title(name, values))
        row = part.subplots(1, 3 if sliced else 2)
        _draw_distribution(row[0], values)
        for position, curve, colour in zip(bundle.position.numpy(), along.get(name, []), CYCLE, strict=False):
            draw_error(row[1], position, curve, "distance from the centre", "along random lines", colour)
        log_if_positive(row[1], along.get(name, np.empty(0)))
        fit_lines(row[1], bundle)
        if plane and sliced:
            scale = log_scale(sliced[name])
            draw_bar(row[2], draw_map(row[2], plane, sliced[name], inside, scale, "slice through the centre"), scale)
    return figure


def _draw_distribution(axes: Axes, values: Array) -> None:
    """Draw a histogram with equal bins of the logarithm."""
    positive = values[np.isfinite(values) & (values > TINY)]
    if positive.size:
        high = float(positive.max())
        low = max(min(float(positive.min()), high / 10), high * 1e-12)
        axes.hist(positive, bins=np.geomspace(low, high, 41).tolist(), color=BLUE)
        axes.set_xscale("log")
    frame(axes, "absolute residual", "points", f"at {values.size} random points")


def _title(equation: str, values: Array) -> str:
    return f"{plain(equation)}: root mean square {root_mean_square(values):.1e}"
