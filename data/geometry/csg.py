"""Union, intersection and difference of domains with the same coordinates."""

from __future__ import annotations

import torch

from ...errors import ConfigError
from ...typing import Bool, Float, Tensor
from .base import Domain, Side
from .combination import Combination, Relation, apart, holds
from .pieces import Piece, clip
from .rfunctions import TensorLike, conjunction, disjunction

__all__ = ["Difference", "Intersection", "Union"]


class Union(Combination):
    """Union ``a | b``: what lies in either.

    The measure is exact if bounding boxes are apart or one convex operand holds the other; else the overlap is
    estimated from 65,536 fixed quasi-random points of the smaller operand, to about 1e-4 of that operand.

    Args:
        a: First operand.
        b: Second operand, with the same spatial coordinates.
        names: Prefixes for the parts. By default parts keep their names, and only those that both operands have become
            `a.name` and `b.name`.

    Raises:
        ConfigError: If the coordinates differ, include time or parameters, or measures leave float64's range.

    >>> from kjet.data.geometry import Disk, Rectangle
    >>> (Rectangle() | Disk((1, 0.5), 0.5)).parts
    ('left', 'right', 'bottom', 'top', 'circle')
    """

    _plain_side = Side.OUTSIDE
    _survives_in_other = (False, False)

    def __init__(self, a: Domain, b: Domain, names: tuple[str, str] | None = None) -> None:
        super().__init__(a, b, names)

    def inside(self, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Tell which points lie in either operand."""
        return self.a.inside(x) | self.b.inside(x)

    def _combined_bounds(self) -> Float[Tensor, "d 2"]:
        low = torch.minimum(self.a.bounds[:, 0], self.b.bounds[:, 0])
        return torch.stack([low, torch.maximum(self.a.bounds[:, 1], self.b.bounds[:, 1])], dim=1)

    def _combined_measure(self) -> float:
        return self.a.measure + self.b.measure - self._overlap

    def _interior(self) -> list[Piece]:
        a, b = self.a, self.b
        if self._relation is Relation.APART:
            return a._interior() + b._interior()
        if self._relation is not Relation.UNKNOWN:
            return (a if self._relation is Relation.A_HOLDS_B else b)._interior()
        return a._interior() + [clip(piece, lambda x, _: ~a.inside(x)) for piece in b._interior()]

    def _fate(self, operand: int) -> bool | None:
        held = (Relation.B_HOLDS_A, Relation.A_HOLDS_B)[operand]
        return None if self._relation is Relation.UNKNOWN else self._relation is not held

    def _surely_apart(self, other: Domain) -> bool:
        return apart(self.a, other) and apart(self.b, other)

    def _surely_holds(self, other: Domain) -> bool:
        return holds(self.a, other) or holds(self.b, other)

    def _survives(self, operand: int, inner: Tensor, outer: Tensor) -> Tensor:
        if operand == 0:
            return ~self.b.inside(outer)
        return ~self.a.inside(outer) & ~self.a.inside(inner)

    def _distance(self, x: TensorLike) -> TensorLike:
        return disjunction(self.a.distance(x), self.b.distance(x))


class Intersection(Combination):
    """Intersection ``a & b``: what lies in both.

    The measure is exact if one convex operand holds the other, else estimated as for :class:`Union`.

    Args:
        a: First operand.
        b: Second operand, with the same spatial coordinates.
        names: As for :class:`Union`.

    Raises:
        ConfigError: As :class:`Union`, and if the intersection is empty.

    >>> from kjet.data.geometry import Disk, Rectangle
    >>> round((Rectangle() & Disk((0, 0), 1)).measure, 3)
    0.785
    """

    _plain_side = Side.INSIDE
    _survives_in_other = (True, True)

    def __init__(self, a: Domain, b: Domain, names: tuple[str, str] | None = None) -> None:
        super().__init__(a, b, names)

    def inside(self, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Tell which points lie in both operands."""
        return self.a.inside(x) & self.b.inside(x)

    def _combined_bounds(self) -> Float[Tensor, "d 2"]:
        low = torch.maximum(self.a.bounds[:, 0], self.b.bounds[:, 0])
        return torch.stack([low, torch.minimum(self.a.bounds[:, 1], self.b.bounds[:, 1])], dim=1)

    def _combined_measure(self) -> float:
        if not self._overlap > 0:
            raise ConfigError(f"the intersection of {self.a!r} and {self.b!r} is empty: no common point was found")
        return self._overlap

    def _interior(self) -> list[Piece]:
        if self._relation is not Relation.UNKNOWN:
            return (self.b if self._relation is Relation.A_HOLDS_B else self.a)._interior()
        smaller, larger = sorted(self._operands, key=lambda domain: domain.measure)
        return [clip(piece, lambda x, _: larger.inside(x)) for piece in smaller._interior()]

    def _fate(self, operand: int) -> bool | None:
        held = (Relation.B_HOLDS_A, Relation.A_HOLDS_B)[operand]
        return None if self._relation is Relation.UNKNOWN else self._relation is held

    def _surely_apart(self, other: Domain) -> bool:
        return apart(self.a, other) or apart(self.b, other)

    def _surely_holds(self, other: Domain) -> bool:
        return holds(self.a, other) and holds(self.b, other)

    def _survives(self, operand: int, inner: Tensor, outer: Tensor) -> Tensor:
        if operand == 0:
            return self.b.inside(inner)
        return self.a.inside(inner) & self.a.inside(outer)

    def _distance(self, x: TensorLike) -> TensorLike:
        return conjunction(self.a.distance(x), self.b.distance(x))


class Difference(Combination):
    """Difference ``a - b``: what lies in `a` and not in `b`. Normals of `b` are turned round.

    The measure is exact if bounding boxes are apart or a convex `a` holds `b`, else estimated as for :class:`Union`.

    Args:
        a: Domain to cut from.
        b: Domain to cut away, with the same spatial coordinates.
        names: As for :class:`Union`.

    Raises:
        ConfigError: As :class:`Union`, and if nothing is left.

    >>> from kjet.data.geometry import Disk, Rectangle
    >>> plate = Rectangle(x=(-5, 5), y=(-5, 5)) - Disk((0, 0), 0.1)
    >>> round(plate.part_measure("circle") / plate.part_measure(), 4)
    0.0155
    """

    _plain_side = Side.INSIDE
    _survives_in_other = (False, True)
    _turned = (False, True)

    def __init__(self, a: Domain, b: Domain, names: tuple[str, str] | None = None) -> None:
        super().__init__(a, b, names)

    def inside(self, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Tell which points lie in the first operand and not in the second."""
        return self.a.inside(x) & ~self.b.inside(x)

    def _combined_bounds(self) -> Float[Tensor, "d 2"]:
        return self.a.bounds

    def _combined_measure(self) -> float:
        left = self.a.measure - self._overlap
        if self._relation is Relation.B_HOLDS_A or not left > 1e-12 * self.a.measure:
            raise ConfigError(f"nothing is left of {self.a!r} after {self.b!r} is cut away: it covers everything")
        return left

    def _interior(self) -> list[Piece]:
        if self._relation is Relation.APART:
            return self.a._interior()
        return [clip(piece, lambda x, _: ~self.b.inside(x)) for piece in self.a._interior()]

    def _fate(self, operand: int) -> bool | None:
        if self._relation is Relation.UNKNOWN:
            return None
        return operand == 0 or self._relation is Relation.A_HOLDS_B

    def _surely_apart(self, other: Domain) -> bool:
        return apart(self.a, other) or holds(self.b, other)

    def _surely_holds(self, other: Domain) -> bool:
        return holds(self.a, other) and apart(self.b, other)

    def _survives(self, operand: int, inner: Tensor, outer: Tensor) -> Tensor:
        if operand == 0:
            return ~self.b.inside(inner)
        return self.a.inside(inner) & self.a.inside(outer)

    def _distance(self, x: TensorLike) -> TensorLike:
        return conjunction(self.a.distance(x), -self.b.distance(x))
