"""Figures of a solution over more coordinates than can be seen: random points, random lines, one slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..typing import Float, Tensor
from ._canvas import BLACK, BLUE, CYCLE, MAX_ROWS, frame, heading, more_text, new_figure, number, plain
from ._lines import draw_error, log_if_positive
from ._maps import Plane, draw_triple, field_scale
from ._samples import Sample, sample, within
from .view import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Lines", "cloud", "fit_lines", "high_dimensional", "lines", "slice_plane"]

_LINES = 3
_ENTRIES = 2**23  # numbers in the points of one panel
_MAX_SLICED = 64  # with more coordinates a slice through the centre says nothing of the whole
_HALVINGS = 20


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines through the centre of the box, from border to border of the domain.

    Args:
        points: Points of every line (lines, n, d).
        position: Signed distance from the centre (lines, n).
    """

    points: Float[Tensor, "lines n d"]
    position: Float[Tensor, "lines n"]


def high_dimensional(view: View, resolution: int) -> Figure:
    """Draw solution against reference at random points, both along random lines, and a slice through the centre."""
    generator = torch.Generator().manual_seed(0)
    points = cloud(view, 1000, generator)
    scattered = sample(view, points, (len(points),))
    bundle = lines(view, _LINES, resolution, generator)
    along = sample(view, bundle.points.flatten(0, 1), bundle.position.shape)
    plane = slice_plane(view, resolution)
    sliced = sample(view, plane.points(), plane.shape) if plane else None
    fields = view.fields[:MAX_ROWS]
    rows = [2 if plane and field in scattered.reference else 1 for field in fields]
    figure = new_figure(12.0, sum(3.4 * n + 0.4 for n in rows))
    parts = figure.subfigures(len(fields), 1, squeeze=False, height_ratios=rows)[:, 0]
    for part, field, n in zip(parts, fields, rows, strict=True):
        error = scattered.agreement(field)
        heading(part, plain(field), f"{error} at {len(points)} random points" if error else more_text(len(view.fields)))
        known = field in scattered.reference
        grid = part.subplots(n, 3 if known or plane else 2, squeeze=False)
        _draw_scatter(grid[0, 0], scattered, field)
        _draw_lines(grid[0, 1], bundle, along, field)
        if known:
            _draw_line_errors(grid[0, 2], bundle, along, field)
        if plane and sliced:
            draw_triple(list(grid[1]) if known else [grid[0, 2]], plane, sliced, field)
            _caption(grid[1, 1] if known else grid[0, 2], view, plane)
    return figure


def slice_plane(view: View, resolution: int) -> Plane | None:
    """Return the plane of the first two coordinates in space, or None where it would be a drop in the sea."""
    if len(view.free) > _MAX_SLICED:
        return None
    across, up = view.space[:2]
    return Plane(view, across, up, resolution)


def cloud(view: View, n: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
    """Draw points of the domain: uniform in the box where that succeeds, else on rays from its centre.

    In many dimensions a ball fills next to nothing of its box, and nearly all of its volume lies at its surface: there
    the distance from the centre is drawn uniformly instead, so that all depths are seen.
    """
    n = max(16, min(n, _ENTRIES // len(view.coords)))
    low, high = view.bounds.cpu().double().unbind(1)
    uniform = low + (high - low) * torch.rand(2 * n, len(low), generator=generator, dtype=torch.float64)
    accepted = uniform[within(view, uniform.to(view.bounds)).cpu()]
    if len(accepted) >= n // 2:
        return accepted[:n].to(view.bounds)
    direction = _directions(view, n, generator, frozen=False)
    depth = torch.rand(n, 1, generator=generator, dtype=torch.float64) * _reach(view, direction)[:, None]
    return ((low + high) / 2 + depth * direction).to(view.bounds)


def lines(view: View, count: int, n: int, generator: torch.Generator) -> Lines:
    """Draw lines of random directions in space, through the centre of the box, time at mid-range."""
    n = max(16, min(n, _ENTRIES // (count * len(view.coords))))
    direction = _directions(view, count, generator, frozen=True)
    back, forth = -_reach(view, -direction)[:, None], _reach(view, direction)[:, None]
    share = torch.linspace(0.0, 1.0, n, dtype=torch.float64)
    depth = back + (forth - back) * share
    points = view.bounds.cpu().double().mean(1) + depth[..., None] * direction[:, None, :]
    return Lines(points.to(view.bounds), depth * direction.norm(dim=1, keepdim=True))


def fit_lines(axes: Axes, bundle: Lines) -> None:
    """Show the longest of the lines from end to end."""
    axes.set_xlim(float(bundle.position.min()), float(bundle.position.max()))
    axes.locator_params(axis="x", nbins=5)


def _directions(view: View, count: int, generator: torch.Generator, *, frozen: bool) -> Float[Tensor, "s d"]:
    """Draw random directions, as long as to reach the box at depth 1; with time held, if it is `frozen`."""
    low, high = view.bounds.cpu().double().unbind(1)
    half = (high - low) / 2
    direction = torch.randn(count, len(half), generator=generator, dtype=torch.float64)
    if frozen and view.moving:
        direction[:, view.coords.index(view.moving)] = 0.0
    return half * direction / direction.abs().amax(1, keepdim=True)


def _reach(view: View, direction: Float[Tensor, "s d"]) -> Float[Tensor, " s"]:
    """Bisect for the border of the domain on rays from the centre; 1, the border of the box, if that is outside."""
    centre = view.bounds.cpu().double().mean(1)
    low, high = torch.zeros(len(direction), dtype=torch.float64), torch.ones(len(direction), dtype=torch.float64)

    def lies_inside(depth: Tensor) -> Tensor:
        return within(view, (centre + depth[:, None] * direction).to(view.bounds)).cpu()

    whole = lies_inside(high) | ~lies_inside(low)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        hit = lies_inside(middle)
        low, high = torch.where(hit, middle, low), torch.where(hit, high, middle)
    return torch.where(whole, torch.ones_like(low), low)


def _draw_scatter(axes: Axes, values: Sample, field: str) -> None:
    solution, reference = values.solution[field], values.reference.get(field)
    if reference is None:
        axes.hist(solution[np.isfinite(solution)], bins=40, color=BLUE)
        frame(axes, plain(field), "points", "solution at random points")
        return
    scale = field_scale(solution, reference)
    ends = (scale.low, scale.high)
    axes.plot(ends, ends, color=BLACK, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.plot(reference, solution, ".", color=BLUE, markersize=5, alpha=0.5, markeredgewidth=0)
    frame(axes, "reference", "solution", "random points; on the diagonal both agree")


def _draw_lines(axes: Axes, bundle: Lines, values: Sample, field: str) -> None:
    reference = values.reference.get(field)
    position = bundle.position.numpy()
    for row, colour in zip(range(len(position)), CYCLE, strict=False):
        axes.plot(position[row], values.solution[field][row], color=colour, linewidth=2.5)
        if reference is not None:
            axes.plot(position[row], reference[row], color=BLACK, linewidth=1.0, linestyle=(0, (4, 3)))
    title = "along random lines" + (" (dashed: reference)" if reference is not None else "")
    frame(axes, "distance from the centre", plain(field), title)
    fit_lines(axes, bundle)


def _draw_line_errors(axes: Axes, bundle: Lines, values: Sample, field: str) -> None:
    error, position = values.error(field), bundle.position.numpy()
    for row, colour in zip(range(len(position)), CYCLE, strict=False):
        draw_error(axes, position[row], error[row], "distance from the centre", "absolute error along them", colour)
    log_if_positive(axes, error)
    fit_lines(axes, bundle)


def _caption(axes: Axes, view: View, plane: Plane) -> None:
    """Say under a slice where the coordinates that do not vary are held."""
    rest = [name for name in view.coords if name not in (plane.across, plane.up)]
    held = ", ".join(f"{plain(name)} = {number(sum(view.range(name)) / 2)}" for name in rest[:3])
    text = held if len(rest) <= 3 else f"the other {len(rest)} coordinates at mid-range"
    axes.set_xlabel(f"{plain(plane.across)}\n({text})")
