"""Triangle meshes of rectangles with round holes and missing cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ConfigError

__all__ = ["CellMesh"]

Hole = tuple[float, float, float]


@dataclass(frozen=True)
class CellMesh:
    """A rectangle cut into cells by lines of constant x and y; cells may hold one round hole each, or be missing.

    A cell is cut into `n` x `n` squares, one with a hole into four fans of `n` x `n` cells between its sides and the
    circle, each of these into two triangles. Their sides are parabolas, which follow the rays
    and circles of the fans; the area is right up to ``O(h^4)``.

    Args:
        x: Lines of constant x, ascending.
        y: Lines of constant y, ascending.
        holes: Circles (x, y, radius), each within one cell and at most one in a cell.
        missing: Cells that are left out, by their place (column, row) among the lines.
        n: Number of pieces of each side of a cell.

    Raises:
        ConfigError: If the lines do not ascend, or a hole does not fit into a cell of its own.

    >>> CellMesh((0.0, 1.0, 3.0), (0.0, 1.0), holes=((0.5, 0.5, 0.2),), n=2).build().t.shape
    (3, 40)
    """

    x: Sequence[float]
    y: Sequence[float]
    holes: Sequence[Hole] = ()
    missing: Sequence[tuple[int, int]] = ()
    n: int = 8

    def __post_init__(self) -> None:
        for name, lines in (("x", self.x), ("y", self.y)):
            if len(lines) < 2 or any(not a < b for a, b in itertools.pairwise(lines)):
                raise ConfigError(f"lines of constant {name} must be at least two, ascending; got {tuple(lines)}")
        if self.n < 1:
            raise ConfigError(f"n is {self.n}; a side of a cell has at least 1 piece")
        owners = [self._owner(hole) for hole in self.holes]
        if len(set(owners)) < len(owners):
            raise ConfigError("two holes lie in the same cell: give lines that part them")

    def build(self) -> Any:
        """Make the mesh, a ``skfem.MeshTri2``.

        Its boundaries ``"circle0"``, ``"circle1"``, ... are the holes, in their order, and ``"outside"`` is the rest.

        Raises:
            ImportError: If scikit-fem is not installed.

        Cost: O(number of triangles).
        """
        skfem = import_skfem()
        blocks = [block for cell in self._cells() for block in self._blocks(*cell)]
        points, triangles, edges, middles = _glued(blocks, 1e-9 * max(self.x[-1] - self.x[0], self.y[-1] - self.y[0]))
        mesh = skfem.MeshTri2.from_mesh(skfem.MeshTri(points, triangles))
        where, facets = mesh.doflocs.copy(), mesh.boundary_facets()
        where[:, mesh.dofs.facet_dofs[0, _rows(edges, mesh.facets)]] = middles
        boundaries = {f"circle{i}": facets[_on(hole, mesh, facets)] for i, hole in enumerate(self.holes)}
        boundaries["outside"] = np.setdiff1d(facets, np.concatenate([[], *boundaries.values()]))
        return skfem.MeshTri2(where, mesh.t).with_boundaries(boundaries)

    def _owner(self, hole: Hole) -> tuple[int, int]:
        a, b, radius = hole
        for i, j in itertools.product(range(len(self.x) - 1), range(len(self.y) - 1)):
            gap = min(a - self.x[i], self.x[i + 1] - a, b - self.y[j], self.y[j + 1] - b)
            if radius > 0 and gap > 1.0001 * radius and (i, j) not in self.missing:
                return i, j
        raise ConfigError(f"the hole {hole} must have a positive radius and lie within one cell of the mesh")

    def _cells(self) -> list[tuple[int, int]]:
        every = itertools.product(range(len(self.x) - 1), range(len(self.y) - 1))
        return [cell for cell in every if cell not in self.missing]

    def _blocks(self, i: int, j: int) -> list[np.ndarray]:
        """Grids of points (2, 2 n + 1, 2 n + 1) that together cover a cell, every other one the middle of a side."""
        corners = [(self.x[i + a], self.y[j + b]) for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))]
        share = np.linspace(0.0, 1.0, 2 * self.n + 1)
        sides = [
            np.array(p)[:, None] + (np.array(q) - np.array(p))[:, None] * share
            for p, q in itertools.pairwise([*corners, corners[0]])
        ]
        hole = next((hole for hole in self.holes if self._owner(hole) == (i, j)), None)
        if hole is None:
            top = sides[2][:, ::-1]
            return [sides[0][:, :, None] * (1 - share) + top[:, :, None] * share]
        return [_fan(side, hole, share) for side in sides]


def _fan(side: np.ndarray, hole: Hole, share: np.ndarray) -> np.ndarray:
    """Points on rays from the circle to a side, closer to each other at the circle in proportion to the distance."""
    middle = np.array(hole[:2])[:, None]
    away = side - middle
    distance = np.hypot(*away)
    layers = hole[2] * (distance[:, None] / hole[2]) ** share
    return middle[:, :, None] + (away / distance)[:, :, None] * layers


def _on(hole: Hole, mesh: Any, facets: np.ndarray) -> np.ndarray:
    """Tell which sides have both ends on a circle."""
    ends = mesh.p[:, mesh.facets[:, facets]] - np.array(hole[:2])[:, None, None]
    return np.abs(np.hypot(*ends) - hole[2]).max(0) < 1e-6 * hole[2]


def _rows(edges: np.ndarray, facets: np.ndarray) -> np.ndarray:
    """Find edges (2, e) among the sides (2, f) of a mesh."""
    count = int(facets.max()) + 1
    keys = facets.min(0) * count + facets.max(0)
    order = np.argsort(keys)
    return order[np.searchsorted(keys[order], edges.min(0) * count + edges.max(0))]


def _glued(blocks: list[np.ndarray], tolerance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cut every quadrangle of all blocks into two triangles.

    Returns:
        Corners, those that coincide numbered once; triangles; edges, as pairs of corners; and their middles.
    """
    every = np.concatenate([block[:, ::2, ::2].reshape(2, -1) for block in blocks], axis=1)
    # an irrational unit: coordinates that users write down then never lie half-way between two whole numbers of it
    rounded = np.round(every / (math.pi * tolerance)).astype(np.int64)
    _, first, number = np.unique(rounded, axis=1, return_index=True, return_inverse=True)
    triangles, edges, middles, offset = [], [], [], 0
    for block in blocks:
        size = (block.shape[1] + 1) // 2
        place = number.reshape(-1)[offset : offset + size**2].reshape(size, size)
        a, b, c, d = place[:-1, :-1], place[1:, :-1], place[1:, 1:], place[:-1, 1:]
        triangles += [np.stack([a, b, c]).reshape(3, -1), np.stack([a, c, d]).reshape(3, -1)]
        edges += [
            np.stack(pair).reshape(2, -1) for pair in ((place[:-1], place[1:]), (place[:, :-1], place[:, 1:]), (a, c))
        ]
        middles += [block[:, i::2, j::2].reshape(2, -1) for i, j in ((1, 0), (0, 1), (1, 1))]
        offset += size**2
    joined = [np.ascontiguousarray(np.concatenate(items, axis=1)) for items in (triangles, edges, middles)]
    return np.ascontiguousarray(every[:, first]), joined[0], joined[1], joined[2]


def import_skfem() -> Any:
    """Import scikit-fem.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import skfem
    except ImportError as error:
        raise ImportError(
            "finite elements need scikit-fem, which is not installed. Install it with: pip install kjet[fem]"
        ) from error
    return skfem
