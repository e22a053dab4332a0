"""Domains in other units: ``x = size * x' + offset`` in each coordinate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch

from ...errors import ConfigError
from ...typing import Bool, Float, Tensor
from .base import Domain, Side
from .box import AxisBox
from .pieces import Patch, Piece
from .product import Product
from .rfunctions import TensorLike

__all__ = ["scaled_domain"]

Affine = Mapping[str, tuple[float, float]]


def scaled_domain(domain: Domain, scales: Affine) -> Domain:
    """Return a domain in other units; parts keep their names.

    Boxes and products of boxes become boxes. Of other shapes all coordinates need one size, so that what was spread
    evenly stays so, and distances stay distances.

    Args:
        domain: Domain in physical units.
        scales: Size and offset of each coordinate; 1 and 0 for those that are missing.

    Raises:
        ConfigError: If the coordinates of a shape that is no box have different sizes.

    >>> from kjet.data.geometry import Interval, Time
    >>> scaled_domain(Interval(0.0, 4.0) * Time(0.0, 100.0), {"x": (2.0, 0.0), "t": (100.0, 0.0)}).bounds.tolist()
    [[0.0, 2.0], [0.0, 1.0]]
    """
    pairs = [scales.get(name, (1.0, 0.0)) for name in domain.coords]
    if all(pair == (1.0, 0.0) for pair in pairs):
        return domain
    if isinstance(domain, Product) and not domain._extras:
        return Product(*(scaled_domain(factor, scales) for factor in domain.factors))
    if isinstance(domain, AxisBox) and not domain._extras:
        return _box(domain, pairs)
    if len({size for size, _ in pairs}) > 1:
        sizes = ", ".join(f"{name}: {size:g}" for name, (size, _) in zip(domain.coords, pairs, strict=True))
        raise ConfigError(f"the coordinates of {domain!r} need one size, so that its shape stays; got {sizes}")
    return _Scaled(domain, pairs[0][0], [offset for _, offset in pairs])


def _box(box: AxisBox, pairs: list[tuple[float, float]]) -> AxisBox:
    sides = [
        ((float(low) - offset) / size, (float(high) - offset) / size)
        for (low, high), (size, offset) in zip(box.bounds.tolist(), pairs, strict=True)
    ]
    made = AxisBox(sides, box.coords, box._own_parts, walls=box.walls)
    made.time, made.parameters = box.time, box.parameters
    return made


class _Scaled(Domain):
    """A domain of any shape, all of whose coordinates have one size."""

    def __init__(self, domain: Domain, size: float, offsets: list[float]) -> None:
        self.domain, self.size = domain, size
        self.offsets = torch.tensor(offsets, dtype=torch.float64)
        self.time, self.parameters, self.even = domain.time, domain.parameters, domain.even
        super().__init__(
            domain.coords, ((domain.bounds.T - self.offsets) / size).T, domain.measure / size**domain.dim,
            domain.parts, walls=domain.walls, convex=domain.convex, opposite=domain.opposite,
            hull=None if domain.hull is None else (domain.hull - self.offsets) / size,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"{self.domain!r} / {self.size:g}"

    def inside(self, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Tell which points lie in the interior."""
        return self.domain.inside(self._physical(x.to(torch.float64)))

    def _interior(self) -> list[Piece]:
        return self._pieces_of(self.domain._interior(), self.dim)

    def _boundary(self) -> list[Piece]:
        return self._pieces_of(self.domain._boundary(), self.dim - 1)

    def _part(self, part: str) -> list[Piece]:
        return self._pieces_of(self.domain._pieces(part), self.dim - 1)

    def _distance(self, x: TensorLike) -> TensorLike:
        return self.domain.distance(self._physical(x)) * (1.0 / self.size)

    def _part_distance(self, x: TensorLike, part: str, side: Side) -> TensorLike:
        return self.domain.part_distance(self._physical(x), part, side) * (1.0 / self.size)

    def _physical(self, x: TensorLike) -> TensorLike:
        own = x if x.shape[-1] == self.dim else x[..., : self.dim]  # further columns belong to other factors
        return own * self.size + self.offsets.to(dtype=x.dtype, device=x.device)

    def _pieces_of(self, pieces: list[Piece], power: int) -> list[Piece]:
        return [self._piece(piece, power) for piece in pieces]

    def _piece(self, piece: Piece, power: int) -> Piece:
        def chart(u: Tensor) -> Patch:
            patch = piece.chart(u)
            return patch._replace(x=(patch.x - self.offsets.to(patch.x)) / self.size)

        return replace(piece, size=piece.size / math.pow(self.size, power), chart=chart)
