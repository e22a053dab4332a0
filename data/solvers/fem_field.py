"""Evaluation of finite-element fields at any point, beside curved boundaries too."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch

from ...errors import ConfigError
from ...typing import Float, Tensor

__all__ = ["FemField", "mapped", "sampled"]

_CANDIDATES = (8, 64, 512)  # triangles whose centres are nearest: more of them where triangles are long
_NEWTON = 8
_SLIVER = 0.02  # what a curved side leaves out at most; points beyond are looked for farther away
_BEYOND = 0.1  # how far outside a triangle of side 1 its polynomial is used


class FemField:
    """A field of Lagrange elements on a triangle mesh, steady or between times.

    Points that a curved boundary leaves just outside the mesh get the polynomial of the nearest triangle. Between times
    the field is the cubic through values and rates of change.

    Args:
        basis: scikit-fem's basis of continuous elements on a mesh of straight or quadratic triangles.
        values: Degrees of freedom (n), or (t, n) at the times.
        times: Times, ascending.
        rates: Derivatives of `values` in time, shaped like it.

    Cost: a call searches a tree for each point and evaluates the polynomials of some triangles.
    """

    def __init__(self, basis: Any, values: np.ndarray, times: np.ndarray | None = None, rates: Any = None) -> None:
        self.values, self.times, self.rates = values, times, rates
        self._basis = basis

    def __call__(self, *coordinates: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Evaluate at points (x, y), or (x, y, t).

        Raises:
            ConfigError: If a point lies outside the mesh.
        """
        columns = torch.broadcast_tensors(*(item.detach().to("cpu", torch.float64) for item in coordinates))
        x, y, *t = (column.reshape(-1).numpy() for column in columns)
        cells, local = self._located(np.stack([x, y]))
        dofs = self._basis.element_dofs[:, cells]
        weights = [self._basis.elem.lbasis(local, k)[0] for k in range(len(dofs))]
        found = sum(w * column for w, column in zip(weights, self._at(dofs, *t), strict=True))
        return torch.from_numpy(np.asarray(found, dtype=np.float64)).reshape(columns[0].shape)

    def _at(self, dofs: np.ndarray, t: np.ndarray | None = None) -> np.ndarray:
        """Degrees of freedom (b, n), in time by Hermite's cubic."""
        if self.times is None or t is None:
            return self.values[dofs]
        i = np.clip(np.searchsorted(self.times, t, side="right") - 1, 0, len(self.times) - 2)
        h = self.times[i + 1] - self.times[i]
        s = (t - self.times[i]) / h
        slopes = h * (self.rates[i, dofs] * s * (1 - s) ** 2 - self.rates[i + 1, dofs] * s**2 * (1 - s))
        step = s**2 * (3 - 2 * s)
        return (1 - step) * self.values[i, dofs] + step * self.values[i + 1, dofs] + slopes

    @cached_property
    def _nodes(self) -> np.ndarray:
        """Nodes of the map of each triangle (2, b, c): 3 if it is affine, 6 if it is quadratic."""
        mesh = self._basis.mesh
        return mesh.doflocs[:, mesh.dofs.element_dofs]

    @cached_property
    def _tree(self) -> Any:
        from scipy.spatial import cKDTree

        return cKDTree(self._nodes[:, :3].mean(1).T)

    def _located(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Triangles (n) and coordinates in them (2, n)."""
        cells, local = np.zeros(x.shape[1], dtype=np.int64), np.zeros_like(x)
        beyond = np.full(x.shape[1], np.inf)
        for count in _CANDIDATES:
            asked = np.flatnonzero(beyond > _SLIVER)
            if not len(asked):
                break
            count = min(count, self._nodes.shape[2])
            for candidate in self._tree.query(x[:, asked].T, k=count)[1].reshape(-1, count).T:
                left = beyond[asked] > 1e-9
                open_, candidate = asked[left], candidate[left]
                if not len(open_):
                    break
                place = self._inverted(x[:, open_], candidate)
                outside = np.maximum(-place.min(0), place.sum(0) - 1)  # infinite where there is no place
                better = outside < beyond[open_]
                chosen = open_[better]
                cells[chosen], local[:, chosen], beyond[chosen] = candidate[better], place[:, better], outside[better]
        if (beyond > _BEYOND).any():
            raise ConfigError(
                f"{int((beyond > _BEYOND).sum())} of {x.shape[1]} points lie outside the mesh, such as "
                f"{tuple(x[:, int(beyond.argmax())].tolist())}; evaluate inside the domain"
            )
        return cells, local

    def _inverted(self, x: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Coordinates of points in given triangles, by Newton's method from the centre."""
        element, nodes = self._basis.mesh.elem(), self._nodes[:, :, cells]
        place = np.full_like(x, 1 / 3)
        for _ in range(_NEWTON):
            reached, slope = mapped(element, nodes, place)
            gap = x - reached
            ((a, b), (c, d)) = slope
            det = a * d - b * c
            det = np.where(np.abs(det) < 1e-300, 1e-300, det)
            step = np.stack([d * gap[0] - b * gap[1], a * gap[1] - c * gap[0]]) / det
            place = np.clip(place + step, -3.0, 4.0)
            if np.abs(step).max(initial=0.0) < 1e-13:
                break
        # a quadratic map is not one to one far outside: what Newton's method did not reach is no place in the triangle
        size = np.abs(nodes[:, 1:3] - nodes[:, :1]).max((0, 1))
        missed = np.abs(x - mapped(element, nodes, place)[0]).max(0) > 1e-7 * size
        return np.where(missed, np.inf, place)


def mapped(element: Any, nodes: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Map points (2, ...) of the reference triangle to triangles of given nodes (2, b, ...).

    Returns:
        Points (2, ...), and derivatives (2, 2, ...) of each coordinate along both axes of the reference triangle.
    """
    parts = [element.lbasis(place, k) for k in range(nodes.shape[1])]
    x = sum(phi * nodes[:, k] for k, (phi, _) in enumerate(parts))
    slope = sum(nodes[:, k][:, None] * np.broadcast_to(d, place.shape)[None] for k, (_, d) in enumerate(parts))
    return np.asarray(x), np.asarray(slope)


def sampled(value: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Evaluate a number or a torch function at NumPy points."""
    if not callable(value):
        return np.full(x.shape, float(value))
    found = value(torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(np.ascontiguousarray(y)))
    return np.broadcast_to(torch.as_tensor(found).detach().numpy(), x.shape)
