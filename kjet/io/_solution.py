"""Figures of a solution over one, two or three coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._canvas import MAX_ROWS, heading, more_text, new_figure, number, plain
from ._high_dimensional import high_dimensional
from ._lines import draw_error, draw_pair
from ._maps import Plane, draw_bar, draw_map, draw_triple, error_scale, field_scale, similar
from ._samples import Sample, agreement, lattice, nodes, sample, times
from .view import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["map_height", "solution_figure"]

_SLICES = 4
_FRAMES = 3
_STRIP = 0.45  # height over width


def solution_figure(view: View, resolution: int = 200) -> Figure:
    """Draw the solution, the reference and the absolute error of every field.

    What is drawn depends on the coordinates that vary:

    - one: curves, and the error on a logarithmic axis;
    - space and time: maps over both, and slices at four times;
    - two in space: maps; with time, maps at three times;
    - more: solution against reference at random points, curves along random lines, maps of a slice through the centre.

    The relative L² error in the titles is taken over the points that are drawn.

    Args:
        view: The solution.
        resolution: Points along one side of a map.

    Returns:
        A figure that pyplot does not know of.

    Raises:
        ConfigError: If the functions of the view return other fields or shapes than it promises.

    Cost: ``resolution**2`` evaluations for each map of each time.

    >>> import torch
    >>> line = View(("x",), torch.tensor([[0.0, 1.0]]), None, ("u",), None, lambda p: {"u": p[:, 0]}, None, None)
    >>> len(solution_figure(line).axes)
    1
    """
    match len(view.space), view.moving:
        case (1, None) | (0, _):
            return _curves(view, 4 * resolution)
        case 1, str(time):
            return _space_time(view, view.space[0], time, resolution)
        case 2, time:
            return _planes(view, time, resolution)
        case _:
            return high_dimensional(view, resolution)


def map_height(ratio: float | None, width: float) -> float:
    """Return the height of a map in inches, given the width of its column."""
    return 0.67 * width * min(max(ratio or 0.9, 0.12), 1.6)


def _curves(view: View, n: int) -> Figure:
    name = view.free[0]
    x = nodes(view, name, n)
    values = sample(view, lattice(view, {name: x}), (n,))
    fields = view.fields[:MAX_ROWS]
    columns = 2 if values.reference else 1
    figure = new_figure(6.0 * columns, 3.3 * len(fields) + 0.2)
    heading(figure, more_text(len(view.fields)))
    grid = figure.add_gridspec(len(fields), columns)
    for row, field in enumerate(fields):
        axes, reference = figure.add_subplot(grid[row, 0]), values.reference.get(field)
        draw_pair(axes, x.numpy(), values.solution[field], reference, plain(name), plain(field))
        if reference is not None:
            axes.legend(frameon=False)
            title = f"{plain(field)}, absolute error ({values.agreement(field)})"
            draw_error(figure.add_subplot(grid[row, 1]), x.numpy(), values.error(field), plain(name), title)
    return figure


def _space_time(view: View, space: str, time: str, resolution: int) -> Figure:
    plane = Plane(view, time, space, resolution, true=False)
    values = sample(view, plane.points(), plane.shape)
    instants, x = times(view, time, _SLICES), nodes(view, space, 2 * resolution)
    slices = [sample(view, lattice(view, {time: nodes(view, time, 1).fill_(t), space: x}), (len(x),)) for t in instants]
    fields = view.fields[:MAX_ROWS]
    figure = new_figure(12.0, 5.8 * len(fields))
    parts = figure.subfigures(len(fields), 1, squeeze=False)[:, 0]
    for part, field in zip(parts, fields, strict=True):
        heading(part, plain(field), values.agreement(field) or more_text(len(view.fields)))
        grid = part.add_gridspec(2, 1, height_ratios=(1.15, 1.0))
        top, bottom = grid[0].subgridspec(1, _maps_of(values, field)), grid[1].subgridspec(1, _SLICES)
        maps = [part.add_subplot(cell) for cell in top]
        draw_triple(maps, plane, values, field)
        for t in instants[1:-1]:
            maps[0].axvline(t, color="white", linewidth=0.8, linestyle=(0, (2, 3)))
        _draw_slices([part.add_subplot(cell) for cell in bottom], x.numpy(), instants, slices, field, (space, time))
    return figure


def _draw_slices(
    row: list[Axes], x: Any, instants: list[float], slices: list[Sample], field: str, names: tuple[str, str]
) -> None:
    for axes, t, values in zip(row, instants, slices, strict=True):
        title = f"{plain(names[1])} = {number(t)}"
        draw_pair(axes, x, values.solution[field], values.reference.get(field), plain(names[0]), title)
        if axes is not row[0]:
            axes.sharey(row[0])
            axes.tick_params(labelleft=False)
    row[0].set_ylabel(plain(field))
    for axes in row:  # shared limits follow the panel that was scaled last
        axes.autoscale(axis="y")
    if slices[0].reference.get(field) is not None:
        row[0].legend(frameon=False, fontsize="small")


def _planes(view: View, time: str | None, resolution: int) -> Figure:
    plane = Plane(view, view.space[0], view.space[1], resolution)
    if time is not None:
        return _plane_frames(view, plane, time)
    values = sample(view, plane.points(), plane.shape)
    fields = view.fields[:MAX_ROWS]
    counts = [_maps_of(values, field) for field in fields]
    # A long strip, such as a channel, is drawn wide, one map below the other.
    strip = (plane.ratio or 1.0) < _STRIP
    columns = 1 if strip else max(counts)
    rows = counts if strip else [1] * len(fields)
    width = 9.0 if strip else 4.0 if columns > 1 else 5.5
    unit = map_height(plane.ratio, width) * (1.25 if strip else 1.0) + 0.7
    figure = new_figure(width * columns, sum(unit * n + 0.3 for n in rows))
    parts = figure.subfigures(len(fields), 1, squeeze=False, height_ratios=rows)[:, 0]
    for part, field, n in zip(parts, fields, rows, strict=True):
        heading(part, plain(field), values.agreement(field) or more_text(len(view.fields)))
        draw_triple(list(part.subplots(n, columns, squeeze=False).ravel()), plane, values, field)
    return figure


def _maps_of(values: Sample, field: str) -> int:
    return 3 if field in values.reference else 1


def _plane_frames(view: View, plane: Plane, time: str) -> Figure:
    instants = times(view, time, _FRAMES)
    frames = [sample(view, plane.points({time: t}), plane.shape) for t in instants]
    fields = view.fields[:MAX_ROWS]
    width = 4.0
    rows = [3 if field in frames[0].reference else 1 for field in fields]
    unit = 1.1 * map_height(plane.ratio, width) + 0.55
    figure = new_figure(width * _FRAMES, sum(unit * n + 0.5 for n in rows))
    parts = figure.subfigures(len(fields), 1, squeeze=False, height_ratios=rows)[:, 0]
    titles = [f"{plain(time)} = {number(t)}" for t in instants]
    for part, field, n in zip(parts, fields, rows, strict=True):
        stacked = [np.stack([values.solution[field] for values in frames])]
        if n == 3:
            stacked.append(np.stack([values.reference[field] for values in frames]))
        heading(part, plain(field), agreement(*stacked) if n == 3 else more_text(len(view.fields)))
        _draw_frames(part.subplots(n, _FRAMES, squeeze=False), plane, frames, field, titles)
    return figure


def _draw_frames(grid: Any, plane: Plane, frames: list[Sample], field: str, titles: list[str]) -> None:
    known = len(grid) == 3
    pairs = [np.stack([values.solution[field], *([values.reference[field]] if known else [])]) for values in frames]
    common = similar(pairs)  # else each time has its own colours, as for a solution that dies out
    errors = [values.error(field) for values in frames] if known else []
    for column, (values, title) in enumerate(zip(frames, titles, strict=True)):
        scale = field_scale(*pairs) if common else field_scale(pairs[column])
        layers = [("solution", values.solution[field], scale)]
        if known:
            layers.append(("reference", values.reference[field], scale))
            layers.append(("absolute error", errors[column], error_scale(*errors)))
        for axes, (kind, shown, colours) in zip(grid[:, column], layers, strict=True):
            image = draw_map(axes, plane, shown, values.inside, colours, f"{kind}, {title}")
            if column == len(frames) - 1 or not (common or kind == "absolute error"):
                draw_bar(axes, image, colours)
