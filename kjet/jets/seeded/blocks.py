"""Rows of a jet that share one kind of seed: what a sum, a layer or a dense copy makes of them.

A function ``g`` of each coordinate by itself has the coefficients ``c_k[r, n, i] = G_k[n, i] v[r, i]^k``, where
``G_k = g^(k)(x) / k!`` belongs to a jet with one direction and a seed of ones. The blocks below hold the ``v``, and
combine the ``G_k`` with them without ever forming ``c_k``. In comments: s directions, n points, h outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...typing import Bool, Float, Int, Tensor
from .._series import Coefficient
from ..layout import Layout
from .opaque import columns_of

__all__ = ["Aimed", "Picked", "Span", "contract", "join", "sum_of_squares"]


@dataclass(frozen=True, eq=False)
class Span:
    """The ``count`` directions of a layout from direction ``first`` on."""

    layout: Layout
    first: int
    count: int

    def _clip(self, rows: int) -> int:
        return min(max(rows - self.first, 0), self.count)

    def kept(self, k: int) -> int:
        """Count the rows of these directions that order ``k`` keeps singly."""
        return self._clip(self.layout.kept[k - 1])

    def active(self, k: int) -> int:
        """Count the directions that reach order ``k``."""
        return self._clip(self.layout.active(k))

    @property
    def reach(self) -> int:
        """Highest order that any of them reaches."""
        return sum(self.active(k) > 0 for k in range(1, self.layout.order + 1))

    def weights(self, k: int, like: Tensor) -> Tensor | None:
        """Weights (sums, directions) of those that end at order ``k`` in a sum."""
        weights, above = self.layout.weights[k - 1], self.layout.kept[k - 1]
        first, last = max(self.first, above) - above, self.first + self.active(k) - above
        if weights is None or last <= first:
            return None
        return (weights if last - first == weights.shape[1] else weights[:, first:last]).to(like)

    def reduce(self, k: int, terms: Tensor) -> Tensor:
        """Share of these directions in order ``k``: the kept rows, then one row for each sum."""
        kept, weights = self.kept(k), self.weights(k, terms)
        if weights is None:
            return terms if terms.shape[0] == kept else terms[:kept]
        tail = terms[kept : self.active(k)]
        summed = (weights @ tail.reshape(tail.shape[0], -1)).reshape(weights.shape[0], *tail.shape[1:])
        return torch.cat([terms[:kept], summed]) if kept else summed


def join(layout: Layout, k: int, shares: Sequence[tuple[Span, Coefficient]]) -> Coefficient:
    """Order ``k`` of all blocks together: kept rows one after the other, sums added; None where every share is zero."""
    present = [rows for _, rows in shares if rows is not None]
    if not present or len(shares) == 1:
        return present[0] if present else None
    shape = torch.broadcast_shapes(*(rows.shape[1:] for rows in present))
    weights = layout.weights[k - 1]
    total: Coefficient = None if weights is None else present[0].new_zeros(weights.shape[0], *shape)
    parts = []
    for span, rows in shares:
        kept = span.kept(k)
        if kept:
            own = present[0].new_zeros(kept, *shape) if rows is None else rows[:kept]
            parts.append(own.expand(kept, *shape))
        if rows is not None and rows.shape[0] > kept:
            total = total + rows[kept:]  # type: ignore[operator]
    parts += [] if total is None else [total]
    return torch.cat(parts) if len(parts) > 1 else parts[0]


@dataclass(frozen=True, eq=False)
class Picked:
    """Coordinate axes: the ``G_k`` are computed at the picked columns alone, laid out (1, n, s).

    Attributes:
        span: The directions.
        positions: Columns (s,), or (s, n) where each point has its own.
        inside: False where a direction is zero at the start.
    """

    span: Span
    positions: Int[Tensor, "s *n"]
    inside: Bool[Tensor, "s *n"] | None = None

    @property
    def mask(self) -> Bool[Tensor, "*n s"] | None:
        """The directions that are not zero at the start, laid out as the columns of the points are."""
        return None if self.inside is None else self.inside.t() if self.inside.ndim == 2 else self.inside

    def gather(self, values: Tensor) -> Tensor:
        """Take the picked columns of values (d,) or (n|1, d): (s,), (n|1, s) or (n, s)."""
        return columns_of(values, self.positions)

    def window(self, start: int, stop: int, step: int) -> tuple[Picked, Tensor]:
        """Positions in a slice of the columns, and a mask (s,) or (n, s) of those that are inside."""
        offset = self.positions - start
        inside = (offset >= 0) & (self.positions < stop) & (offset % step == 0)
        positions = torch.where(inside, torch.div(offset, step, rounding_mode="floor"), 0)
        return Picked(self.span, positions), inside.t() if inside.ndim == 2 else inside

    def _rows(self, g: Tensor) -> Tensor:
        return g[0].t().expand(self.span.count, -1)  # (1, n|1, s|1) -> (s, n|1)

    def sum(self, k: int, g: Tensor) -> Tensor:
        """``sum_i c_k`` (rows, n|1)."""
        return self.span.reduce(k, self._rows(g))

    def linear(self, k: int, g: Tensor, images: Tensor) -> Tensor:
        """``sum_i c_k W_hi`` (rows, n|1, h), from the images (s, n|1, h) of the axes."""
        kept, weights = self.span.kept(k), self.span.weights(k, g)
        rows = self._rows(g)
        single = rows[:kept, :, None] * images[:kept]
        if weights is None:
            return single
        last = self.span.active(k)
        factors = weights[:, :, None] * rows[kept:last]
        summed = torch.einsum("qsn,sph->qnh" if images.shape[1] == 1 else "qsn,snh->qnh", factors.expand(
            -1, -1, max(rows.shape[1], images.shape[1])), images[kept:last])  # fmt: skip
        return torch.cat([single, summed.expand(-1, single.shape[1], -1)]) if kept else summed

    def dense(self, k: int, g: Tensor, width: int) -> Tensor:
        """``c_k`` itself, (rows, n|1, d)."""
        axes = self.positions.unsqueeze(-1) == torch.arange(width, device=g.device)
        return self.linear(k, g, (axes if axes.ndim == 3 else axes.unsqueeze(1)).to(g))


@dataclass(frozen=True, eq=False)
class Aimed:
    """Directions given by their vectors.

    Attributes:
        span: The directions.
        vectors: (s, 1, d) where all points share them, else (s, n, d).
    """

    span: Span
    vectors: Float[Tensor, "s n d"]

    def powers(self, k: int) -> Tensor:
        """``v^k`` by entries, of the directions that reach order ``k``, already summed where the layout sums."""
        active = self.span.active(k)
        vectors = self.vectors if active == self.span.count else self.vectors[:active]
        return self.span.reduce(k, _power(vectors, k))


def _power(v: Tensor, k: int) -> Tensor:
    if k == 1:
        return v
    half = _power(v, k // 2)
    return half * half * v if k % 2 else half * half


def contract(vectors: Float[Tensor, "r n d"], factors: Sequence[Float[Tensor, "1 n d"]]) -> Float[Tensor, "r n"]:
    """``sum_i prod_f f[n, i] v[r, n, i]``, as one matrix product where all points share the vectors.

    Factors that are the same at all points are multiplied into the vectors, which are smaller.
    """
    scale: Coefficient = None
    varying: Coefficient = None
    for factor in factors:
        if factor.shape[-1] == 1:  # the same for all coordinates: leaves the sum
            scale = factor[..., 0] if scale is None else scale * factor[..., 0]
        elif factor.shape[1] == 1:
            vectors = vectors * factor
        else:
            varying = factor if varying is None else varying * factor
    if varying is None:
        total = vectors.sum(-1)
    elif vectors.shape[1] == 1:
        total = vectors[:, 0] @ varying[0].t()
    else:
        total = (vectors * varying).sum(-1)
    return total if scale is None else total * scale


# Below this many coordinates a plain sum of squares is as fast.
_BLOCK = 1024


def sum_of_squares(x: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
    """Sum over the last axis in one pass over memory, without the array of the squares.

    torch's norm makes such a pass, but adds up float32 without pairwise summation: hence the blocks.
    """
    main = x.shape[-1] - x.shape[-1] % _BLOCK
    heads = torch.linalg.vector_norm(x[:, :main].unflatten(-1, (-1, _BLOCK)), dim=-1)
    return heads.square().sum(-1) + x[:, main:].square().sum(-1)
