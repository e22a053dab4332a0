"""Evaluate a view on lattices and on lines, NaN where there is nothing to show."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import ConfigError, unknown
from ..typing import Bool, Float, Tensor
from .view import View

__all__ = [
    "Array",
    "Sample",
    "agreement",
    "centres",
    "lattice",
    "nodes",
    "relative_l2",
    "root_mean_square",
    "sample",
    "sample_residual",
    "times",
]

Array = np.ndarray[Any, np.dtype[Any]]

_BATCH = 8192  # points in one evaluation
_ENTRIES = 2**22  # numbers in one batch of points: few points where there are many coordinates
_SHRINK = 1e-6  # relative; more than a rounding error of float32, less than a pixel


@dataclass(frozen=True, eq=False)
class Sample:
    """Values on a lattice: NaN outside the domain and where they are not finite.

    Args:
        inside: Which points lie in the domain.
        solution: Values of each field of the view.
        reference: Values of those fields that the reference has.
    """

    inside: Array
    solution: dict[str, Array]
    reference: dict[str, Array]

    def error(self, name: str) -> Array:
        """Return the absolute error of a field that has a reference."""
        difference: Array = np.abs(self.solution[name] - self.reference[name])
        return difference

    def agreement(self, name: str) -> str:
        """Word how far a field is from its reference; nothing without a reference."""
        return agreement(self.solution[name], self.reference[name]) if name in self.reference else ""


def nodes(view: View, name: str, n: int) -> Float[Tensor, " n"]:
    """Return `n` equidistant values of a coordinate, both ends among them."""
    return torch.linspace(*view.range(name), n, dtype=torch.float64)


def centres(view: View, name: str, n: int) -> Float[Tensor, " n"]:
    """Return the centres of `n` equal cells of a coordinate: pixels of a map, points of the midpoint rule."""
    low, high = view.range(name)
    return low + (high - low) * (torch.arange(n, dtype=torch.float64) + 0.5) / n


def times(view: View, name: str, n: int) -> list[float]:
    """Return `n` times, the first and the last instant among them."""
    return [float(t) for t in nodes(view, name, n)]


def lattice(view: View, axes: Mapping[str, Float[Tensor, " _"]]) -> Float[Tensor, "n d"]:
    """Return the product of values of some coordinates, the first varying slowest; the others are at mid-range."""
    mesh = torch.meshgrid(*axes.values(), indexing="ij")
    points = view.bounds.cpu().double().mean(1).expand(mesh[0].numel(), -1).clone()
    for name, values in zip(axes, mesh, strict=True):
        points[:, view.coords.index(name)] = values.reshape(-1).to(points)
    return points.to(view.bounds)


def within(view: View, points: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
    """Tell which points lie in the domain.

    They are tested a little nearer to the centre of the box, so that rounding does not lose its faces.
    """
    if view.inside is None:
        return torch.ones(len(points), dtype=torch.bool, device=points.device)
    centre = view.bounds.mean(1)
    size = max(1, _ENTRIES // points.shape[1])
    return torch.cat([view.inside(centre + (part - centre) * (1 - _SHRINK)).bool() for part in points.split(size)])


def sample(view: View, points: Float[Tensor, "n d"], shape: Sequence[int]) -> Sample:
    """Evaluate solution and reference.

    Raises:
        ConfigError: If the solution lacks a field or an array has the wrong size.
    """
    inside = within(view, points)
    solution = _evaluate(view.predict, points, inside, shape, "predict", view.fields)
    for name in view.fields:
        if name not in solution:
            raise ConfigError(unknown("field", name, solution, "predict"))
    known = {} if view.reference is None else _evaluate(view.reference, points, inside, shape, "reference", view.fields)
    if not bool(inside.any()):
        known = {}
    return Sample(inside.cpu().numpy().reshape(tuple(shape)), solution, known)


def sample_residual(view: View, points: Float[Tensor, "n d"], shape: Sequence[int]) -> tuple[dict[str, Array], Array]:
    """Evaluate the absolute residuals; also return which points lie in the domain.

    Raises:
        ConfigError: If the view has no residual, or an array has the wrong size.
    """
    if view.residual is None:
        raise ConfigError("the view has no residual; give View(..., residual=...) or leave this figure out.")
    inside = within(view, points)
    found = _evaluate(view.residual, points, inside, shape, "residual", ())
    return {name: np.abs(values) for name, values in found.items()}, inside.cpu().numpy().reshape(tuple(shape))


def relative_l2(solution: Array, reference: Array) -> float | None:
    """Return ``|solution - reference| / |reference|`` over the points where both are known; None if that is 0/0 or x/0.

    >>> relative_l2(np.array([1.0, 2.2, np.nan]), np.array([1.0, 2.0, 1.0]))  # doctest: +ELLIPSIS
    0.0894...
    """
    both = np.isfinite(solution) & np.isfinite(reference)
    norm = float(np.linalg.norm(reference[both]))
    return float(np.linalg.norm(solution[both] - reference[both])) / norm if norm > 0 else None


def agreement(solution: Array, reference: Array) -> str:
    """Word the relative L² error, or where the reference is zero the greatest error.

    >>> agreement(np.array([1.001]), np.array([1.0])), agreement(np.array([0.5]), np.array([0.0]))
    ('relative L² error 1.0e-03', 'greatest error 5.0e-01')
    """
    relative = relative_l2(solution, reference)
    if relative is not None:
        return f"relative L² error {relative:.1e}" if relative else "no error"
    error = np.abs(solution - reference)
    return f"greatest error {np.nanmax(error):.1e}" if np.isfinite(error).any() else ""


def root_mean_square(values: Array) -> float:
    """Return the root mean square of the values that are finite; NaN if there are none."""
    finite = values[np.isfinite(values)]
    return math.sqrt(float(np.mean(finite**2))) if finite.size else math.nan


def _evaluate(
    function: Callable[[Tensor], Mapping[str, Tensor]],
    points: Float[Tensor, "n d"],
    inside: Bool[Tensor, " n"],
    shape: Sequence[int],
    what: str,
    names: Sequence[str],
) -> dict[str, Array]:
    """Evaluate at the points inside; the named fields only, if any are named."""
    keep = inside.cpu().numpy()
    size = max(1, min(_BATCH, _ENTRIES // points.shape[1]))
    chosen = points[inside]
    parts = [_arrays(function(part), len(part), what, names) for part in chosen.split(size)] if len(chosen) else []
    out = {name: np.full(len(points), np.nan) for name in (parts[0] if parts else names)}
    for name, values in out.items():
        if parts:
            values[keep] = np.concatenate([part[name] for part in parts])
        values[~np.isfinite(values)] = np.nan
    return {name: values.reshape(tuple(shape)) for name, values in out.items()}


def _arrays(found: Mapping[str, Tensor], n: int, what: str, names: Sequence[str]) -> dict[str, Array]:
    arrays = {}
    for name, values in found.items():
        if names and name not in names:
            continue
        flat = torch.as_tensor(values).detach().reshape(-1)
        if flat.numel() not in (1, n):
            raise ConfigError(
                f'{what} returned shape {tuple(values.shape)} for "{name}" at {n} points; expected ({n},), '
                "one value for each point."
            )
        arrays[name] = flat.cpu().double().expand(n).numpy()
    return arrays
