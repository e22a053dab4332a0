"""A simple polygon as a boolean formula of its edges' half-planes, each used exactly once.

A chain of edges, its first and last extended to rays, is split at a vertex of its convex hull: what lies to the left of
the chain is the intersection (convex vertex) or union (reflex vertex) of what lies to the left of its two halves. The
zero sets of the halves then meet at that vertex and nowhere else, so that R-functions of the formula are smooth
everywhere except at the polygon's own vertices.

Ref: Dobkin, Guibas, Hershberger, Snoeyink, *An efficient algorithm for finding the CSG representation of a simple
polygon*, 1988.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .rfunctions import TensorLike, conjunction, disjunction

__all__ = ["Formula", "HalfPlane", "evaluate", "polygon_formula"]

Vertex = tuple[float, float]


@dataclass(frozen=True)
class HalfPlane:
    """Half-plane ``(x - px) nx + (y - py) ny > 0`` with unit normal n."""

    px: float
    py: float
    nx: float
    ny: float

    def __call__(self, x: TensorLike) -> TensorLike:
        """Return the signed distance to the line."""
        return (x[..., 0] - self.px) * self.nx + (x[..., 1] - self.py) * self.ny


@dataclass(frozen=True)
class _Node:
    convex: bool
    first: Formula
    second: Formula


Formula = HalfPlane | _Node


def evaluate(formula: Formula, x: TensorLike) -> TensorLike:
    """Evaluate the R-function of a formula: positive inside, zero on and negative outside the polygon."""
    if isinstance(formula, HalfPlane):
        return formula(x)
    combine = conjunction if formula.convex else disjunction
    return combine(evaluate(formula.first, x), evaluate(formula.second, x))


def polygon_formula(corners: Sequence[Vertex]) -> Formula:
    """Build the formula of a simple polygon in O(n^2).

    Args:
        corners: Vertices counter-clockwise, none of them on the straight line between its neighbours.
    """
    # the lexicographic extremes are hull vertices, which split the closed polygon into two chains
    start = min(range(len(corners)), key=lambda k: corners[k])
    ring = [*corners[start:], *corners[: start + 1]]
    middle = max(range(len(ring)), key=lambda k: ring[k])
    return _Node(True, _chain(ring[: middle + 1]), _chain(ring[middle:]))


def _chain(chain: Sequence[Vertex]) -> Formula:
    if len(chain) == 2:
        (px, py), (dx, dy) = chain[0], _direction(chain[0], chain[1])
        return HalfPlane(px, py, -dy, dx)
    k = _hull_vertex(chain)
    turn = _cross(_direction(chain[k - 1], chain[k]), _direction(chain[k], chain[k + 1]))
    return _Node(turn > 0, _chain(chain[: k + 1]), _chain(chain[k:]))


def _hull_vertex(chain: Sequence[Vertex]) -> int:
    """Find an inner vertex on the convex hull of the chain and its two rays."""
    begin, end = _direction(chain[0], chain[1]), _direction(chain[-2], chain[-1])
    outward = (begin[0] - end[0], begin[1] - end[1])  # both rays run against this direction
    inner = range(1, len(chain) - 1)
    if math.hypot(*outward) > 1e-9:
        height = [_dot(outward, chain[k]) for k in inner]
        return inner[_ties(height)[0]]
    # Parallel rays: look to the side on which a vertex stands out most beyond both of them.
    options = []
    for normal in ((-begin[1], begin[0]), (begin[1], -begin[0])):
        height = [_dot(normal, chain[k]) for k in inner]
        options.append((max(height) - max(height[0], height[-1]), height))
    height = max(options, key=lambda option: option[0])[1]
    ties = _ties(height)
    # a first ray that runs along the hull must not be continued over an edge further along
    return inner[ties[-1] if ties[0] == 0 else ties[0]]


def _ties(height: Sequence[float]) -> list[int]:
    tolerance = 1e-12 * max(1e-300, max(map(abs, height)))
    return [k for k, value in enumerate(height) if value >= max(height) - tolerance]


def _direction(p: Vertex, q: Vertex) -> Vertex:
    length = math.hypot(q[0] - p[0], q[1] - p[1])
    return (q[0] - p[0]) / length, (q[1] - p[1]) / length


def _dot(p: Vertex, q: Vertex) -> float:
    return p[0] * q[0] + p[1] * q[1]


def _cross(p: Vertex, q: Vertex) -> float:
    return p[0] * q[1] - p[1] * q[0]
