"""Pieces of a region or a boundary, and how points are spread over them.

A piece is a measure-preserving map from the unit cube onto a simple shape, from which a part may be cut away. Shapes,
boolean combinations and products all reduce to lists of disjoint pieces; one function samples any list. A piece is
chosen in proportion to its size *before* cutting and cut points are rejected, so that the result is uniform over what
is left, whatever is left: no estimate of a measure enters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from ...errors import ConfigError
from ...typing import Bool, Float, Tensor
from ..samplers import Sampler, Sobol, Uniform

__all__ = ["Patch", "Piece", "clip", "cross", "flip", "kept_size", "sample"]

Keep = Callable[[Tensor, Tensor | None], Tensor]
"""(x, normals) -> mask of the points that stay."""


class Patch(NamedTuple):
    """Images of unit points: coordinates, outward normals if on a boundary, mask of those that stay if some may not."""

    x: Float[Tensor, "n d"]
    normals: Float[Tensor, "n d"] | None = None
    kept: Bool[Tensor, " n"] | None = None


@dataclass(frozen=True)
class Piece:
    """A map from the unit cube that spreads measure evenly.

    Attributes:
        size: Measure of the image before cutting.
        dim: Number of unit coordinates that `chart` reads.
        chart: Maps unit points (n, dim) to a patch.
        clipped: Whether the chart may reject points.
    """

    size: float
    dim: int
    chart: Callable[[Float[Tensor, "n k"]], Patch]
    clipped: bool = False


def clip(piece: Piece, keep: Keep) -> Piece:
    """Cut away the points at which `keep` does not hold."""

    def chart(u: Tensor) -> Patch:
        patch = piece.chart(u)
        mask = keep(patch.x, patch.normals)
        return patch._replace(kept=mask if patch.kept is None else patch.kept & mask)

    return replace(piece, chart=chart, clipped=True)


def flip(piece: Piece) -> Piece:
    """Turn the normals round."""

    def chart(u: Tensor) -> Patch:
        patch = piece.chart(u)
        return patch._replace(normals=None if patch.normals is None else -patch.normals)

    return replace(piece, chart=chart)


def cross(factors: Sequence[Piece]) -> Piece:
    """Multiply pieces of different coordinates; normals are zero along factors that have none."""

    def chart(u: Tensor) -> Patch:
        patches = [f.chart(v) for f, v in zip(factors, u.split([f.dim for f in factors], dim=1), strict=True)]
        x = torch.cat([patch.x for patch in patches], dim=1)
        masks = [patch.kept for patch in patches if patch.kept is not None]
        kept = torch.stack(masks).all(dim=0) if masks else None
        if all(patch.normals is None for patch in patches):
            return Patch(x, None, kept)
        normals = [torch.zeros_like(patch.x) if patch.normals is None else patch.normals for patch in patches]
        return Patch(x, torch.cat(normals, dim=1), kept)

    size, dim = math.prod(f.size for f in factors), sum(f.dim for f in factors)
    return Piece(size, dim, chart, any(f.clipped for f in factors))


def sample(
    pieces: Sequence[Piece],
    n: int,
    *,
    sampler: Sampler,
    generator: torch.Generator,
    what: str,
    check: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"] | None]:
    """Spread `n` points uniformly over disjoint pieces.

    Args:
        pieces: At least one; either all have normals or none has.
        n: Number of points.
        sampler: Where the unit points come from: one stream for the whole call.
        generator: Source of randomness; points are made in float64 on its device.
        what: Name of the region, for error messages.
        check: A last test on the coordinates.

    Returns:
        Coordinates, and normals if the pieces have them.

    Raises:
        ConfigError: If (nearly) all candidates are rejected, or sizes leave the range of float64.
    """
    d = 0

    def build(u: Tensor) -> Tensor:
        nonlocal d
        patch = _scatter(pieces, shares, u) if len(pieces) > 1 else pieces[0].chart(u[:, : pieces[0].dim])
        d = patch.x.shape[1]
        kept = patch.kept
        if check is not None:
            checked = check(patch.x)
            kept = checked if kept is None else kept & checked
        rows = patch.x if patch.normals is None else torch.cat([patch.x, patch.normals], dim=1)
        return rows if kept is None or bool(kept.all()) else rows[kept]

    shares = _shares(pieces, generator.device, what) if len(pieces) > 1 else torch.ones(1)
    stream = sampler.stream(max(1, *(piece.dim for piece in pieces)), generator=generator)
    rows = stream.take(n, build, what=what)
    return (rows[:, :d], rows[:, d:]) if rows.shape[1] > d else (rows, None)


def _shares(pieces: Sequence[Piece], device: torch.device, what: str) -> Float[Tensor, " k"]:
    sizes = torch.tensor([piece.size for piece in pieces], dtype=torch.float64, device=device)
    total = float(sizes.sum())
    if not (math.isfinite(total) and total > 0):
        raise ConfigError(f"the pieces of {what} measure {total} together, which float64 cannot weigh: rescale lengths")
    return sizes / total


def _scatter(pieces: Sequence[Piece], shares: Float[Tensor, " k"], u: Float[Tensor, "n d"]) -> Patch:
    """Choose the piece by the first unit coordinate; what that has left over is uniform again and serves the chart."""
    ends = shares.cumsum(0)
    # an end belongs to the piece before it: the rest is then 1, never 0, where polar charts have their center
    index = torch.searchsorted(ends, u[:, 0].contiguous()).clamp(max=len(pieces) - 1)
    rest = ((u[:, 0] - ends[index] + shares[index]) / shares[index]).clamp(0.0, 1.0 - 2.0**-53)
    v = torch.cat([rest[:, None], u[:, 1:]], dim=1)
    patches, order = [], []
    for k in index.unique().tolist():
        rows = (index == k).nonzero().flatten()
        patches.append(pieces[k].chart(v[rows, : pieces[k].dim]))
        order.append(rows)
    back = torch.cat(order).argsort()
    x = torch.cat([patch.x for patch in patches])[back]
    normals = [patch.normals for patch in patches if patch.normals is not None]
    masks = [
        torch.ones_like(r, dtype=torch.bool) if p.kept is None else p.kept for p, r in zip(patches, order, strict=True)
    ]
    return Patch(x, torch.cat(normals)[back] if normals else None, torch.cat(masks)[back])


_PROBES = 2**16
_BLOCK = 2**13


def kept_size(piece: Piece) -> float:
    """Measure what is left of a piece, deterministically.

    Exact if nothing was cut. On curves the ends of what is kept are found by bisection between 16,384 evenly spaced
    points: a relative error of about 1e-8, unless a stretch is shorter than the spacing and missed. Otherwise the share
    kept of 65,536 points (8,192 beyond 16 dimensions) of a fixed scrambled Sobol' sequence: typically an error of 1e-4
    of the piece in two dimensions and 1e-3 in more.
    """
    if not piece.clipped:
        return piece.size
    if piece.dim == 1:
        return piece.size * _kept_length(piece)
    probes = _PROBES if piece.dim <= 16 else _BLOCK
    sampler = Sobol() if piece.dim <= 1000 else Uniform()
    stream, kept = sampler.stream(max(piece.dim, 1), generator=torch.Generator().manual_seed(0)), 0
    for _ in range(probes // _BLOCK):
        kept += int(_mask(piece, stream.take(_BLOCK)[:, : piece.dim]).sum())
    return piece.size * kept / probes


def _mask(piece: Piece, u: Float[Tensor, "n k"]) -> Bool[Tensor, " n"]:
    kept = piece.chart(u).kept
    return torch.ones(len(u), dtype=torch.bool) if kept is None else kept


def _kept_length(piece: Piece, nodes: int = 2**14) -> float:
    u = (torch.arange(nodes, dtype=torch.float64) + 0.5) / nodes
    mask = _mask(piece, u[:, None])
    changes = (mask[1:] != mask[:-1]).nonzero().flatten()
    low, high = u[changes], u[changes + 1]
    for _ in range(40):
        middle = 0.5 * (low + high)
        same = _mask(piece, middle[:, None]) == mask[changes]
        low, high = torch.where(same, middle, low), torch.where(same, high, middle)
    # what is kept: from each change to "kept" (or 0) up to the next change (or 1)
    ends = torch.cat([u.new_zeros(1), low, u.new_ones(1)])
    kept = torch.cat([mask[:1], mask[changes + 1]])
    return float((ends.diff() * kept).sum())
