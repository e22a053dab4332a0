"""Simple polygon, convex or not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ...errors import ConfigError
from ...typing import Bool, Float, Tensor
from .base import Domain, Side
from .checks import Real, coordinate_names, point
from .pieces import Patch, Piece, clip
from .polygon_formula import HalfPlane, evaluate, polygon_formula
from .rfunctions import TensorLike, trim

__all__ = ["Polygon"]


class Polygon(Domain):
    """Simple polygon; its boundary parts are `edge0` (first to second vertex), `edge1`, ...

    The interior is sampled by rejection from the bounding box, the edges directly. Area and lengths are exact. Costs
    are O(n) tests per edge.

    Args:
        vertices: At least three corners in order, in either orientation; the last is joined to the first.
        coords: Names of the coordinates.

    Raises:
        ConfigError: If vertices repeat, edges cross, touch or fold back, the area is zero, or a number is not finite.

    >>> corner = Polygon([(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)])
    >>> corner.measure, corner.part_measure("edge0"), corner.part_measure()
    (3.0, 2.0, 8.0)
    """

    def __init__(self, vertices: Sequence[Sequence[Real]], coords: Sequence[str] = ("x", "y")) -> None:
        corners = [point(vertex, "vertex of Polygon", 2) for vertex in vertices]
        if len(corners) < 3:
            raise ConfigError(f"Polygon needs at least 3 vertices, got {len(corners)}")
        self.vertices = torch.tensor(corners, dtype=torch.float64)
        area = _check_simple(self.vertices)
        self._edges = self.vertices.roll(-1, 0) - self.vertices
        self._lengths = torch.linalg.vector_norm(self._edges, dim=1)
        turned = torch.stack([self._edges[:, 1], -self._edges[:, 0]], dim=1)  # to the right: outward if area > 0
        self._normals = turned / self._lengths[:, None] * math.copysign(1.0, area)

        unit = self._edges / self._lengths[:, None]
        turns = _cross(unit.roll(1, 0), unit) * math.copysign(1.0, area)
        order = [k for k in range(len(corners)) if abs(float(turns[k])) > 1e-12]
        ring = [(corners[k][0], corners[k][1]) for k in (order if area > 0 else order[::-1])]
        self._formula = polygon_formula(ring)

        names = coordinate_names(coords, 2, "Polygon")
        bounds = torch.stack([self.vertices.amin(0), self.vertices.amax(0)], dim=1)
        parts = tuple(f"edge{k}" for k in range(len(corners)))
        convex = bool((turns > -1e-12).all())
        super().__init__(names, bounds, abs(area), parts, convex=convex, hull=self.vertices)

    def inside(self, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Tell which points lie in the interior, by the parity of edges crossed on the way to infinity."""
        px, py = x[:, 0].to(torch.float64), x[:, 1].to(torch.float64)
        odd = torch.zeros_like(px, dtype=torch.bool)
        for (ax, ay), (bx, by) in zip(self.vertices.tolist(), self.vertices.roll(-1, 0).tolist(), strict=True):
            if ay != by:
                odd ^= ((ay > py) != (by > py)) & (px < ax + (py - ay) * ((bx - ax) / (by - ay)))
        return odd

    def _interior(self) -> list[Piece]:
        low, high = self.bounds.unbind(1)

        def chart(u: Tensor) -> Patch:
            return Patch(torch.lerp(low.to(u.device), high.to(u.device), u))

        box = Piece(float((high - low).prod()), 2, chart)
        return [clip(box, lambda x, _: self.inside(x))]

    def _boundary(self) -> list[Piece]:
        return [self._edge(k) for k in range(len(self._lengths))]

    def _part(self, part: str) -> list[Piece]:
        return [self._edge(self._own_parts.index(part))]

    def _edge(self, k: int) -> Piece:
        begin, end = self.vertices[k], self.vertices[(k + 1) % len(self.vertices)]

        def chart(u: Tensor) -> Patch:
            x = torch.lerp(begin.to(u.device), end.to(u.device), u[:, :1])
            return Patch(x, self._normals[k].to(u.device).expand_as(x))

        return Piece(float(self._lengths[k]), 1, chart)

    def _distance(self, x: TensorLike) -> TensorLike:
        return evaluate(self._formula, x)

    def _part_distance(self, x: TensorLike, part: str, side: Side) -> TensorLike:
        k = self._own_parts.index(part)
        (px, py), (nx, ny) = self.vertices[k].tolist(), self._normals[k].tolist()
        line = HalfPlane(px, py, -nx, -ny)(x)
        if side is Side.INSIDE and self._supports(k):
            return line
        # the disk on the edge as its diameter trims the line to the edge
        length = float(self._lengths[k])
        mx, my = (self.vertices[k] + 0.5 * self._edges[k]).tolist()
        dx, dy = x[..., 0] - mx, x[..., 1] - my
        return trim(line, (0.25 * length**2 - dx * dx - dy * dy) * (1.0 / length), length)

    def _supports(self, k: int) -> bool:
        """Tell whether the polygon lies on one side of the edge's line and meets it in that edge alone."""
        others = [j for j in range(len(self.vertices)) if j not in (k, (k + 1) % len(self.vertices))]
        depth = -((self.vertices[others] - self.vertices[k]) @ self._normals[k])
        return bool((depth > 1e-12 * float(self._lengths.max())).all())


def _cross(p: Float[Tensor, "... 2"], q: Float[Tensor, "... 2"]) -> Float[Tensor, "..."]:
    return p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]


def _check_simple(vertices: Float[Tensor, "k 2"]) -> float:
    """Return the signed area of a simple polygon, and refuse others."""
    _refuse_repeated(vertices)
    following = vertices.roll(-1, 0)
    size = float((vertices.amax(0) - vertices.amin(0)).max())
    shifted = vertices - vertices[0]
    area = 0.5 * float(_cross(shifted, shifted.roll(-1, 0)).sum())
    edges = following - vertices
    _refuse_folds(edges)
    _refuse_crossings(vertices, following)
    if abs(area) <= 1e-14 * size**2:
        raise ConfigError("the vertices of Polygon enclose no area: they lie on a line")
    return area


def _refuse_repeated(vertices: Float[Tensor, "k 2"]) -> None:
    same = (vertices[:, None] == vertices[None]).all(dim=-1).triu(diagonal=1).nonzero()
    if len(same):
        i, j = same[0].tolist()
        hint = ": leave out the last, the polygon closes itself" if (i, j) == (0, len(vertices) - 1) else ""
        raise ConfigError(f"vertices {i} and {j} of Polygon are the same point {tuple(vertices[i].tolist())}{hint}")


def _refuse_folds(edges: Float[Tensor, "k 2"]) -> None:
    following = edges.roll(-1, 0)
    scale = torch.linalg.vector_norm(edges, dim=1) * torch.linalg.vector_norm(following, dim=1)
    folded = (_cross(edges, following).abs() <= 1e-14 * scale) & ((edges * following).sum(1) < 0)
    if bool(folded.any()):
        k = int(folded.nonzero()[0])
        raise ConfigError(
            f"Polygon folds back on itself after edge{k}: its vertices must run once around a region of positive area"
        )


def _refuse_crossings(begin: Float[Tensor, "k 2"], end: Float[Tensor, "k 2"]) -> None:
    """Refuse edges that are not neighbours and yet share a point."""
    n = len(begin)

    def side(p: Tensor, q: Tensor, r: Tensor) -> Tensor:
        return torch.sign(_cross(q[:, None] - p[:, None], r[None] - p[:, None]))

    # edge i has the ends of edge j on different sides (or on its line), and the other way round
    straddled = side(begin, end, begin) * side(begin, end, end) <= 0
    low, high = torch.minimum(begin, end), torch.maximum(begin, end)
    near = ((low[:, None] <= high[None]) & (low[None] <= high[:, None])).all(dim=-1)
    gap = (torch.arange(n)[:, None] - torch.arange(n)[None]).remainder(n)
    crossing = (straddled & straddled.T & near & (gap > 1) & (gap < n - 1)).triu().nonzero()
    if len(crossing):
        i, j = crossing[0].tolist()
        raise ConfigError(
            f"edge{i} and edge{j} of Polygon cross or touch: give the vertices in order around the region"
        )
