"""What boolean combinations share: which parts of the operands' boundaries survive, and what they measure."""

from __future__ import annotations

import math
from abc import abstractmethod
from enum import Enum

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from ..samplers import Sobol, Uniform
from .base import Domain, Side
from .pieces import Piece, clip, flip, sample
from .rfunctions import TensorLike, trim

__all__ = ["Combination", "Relation", "apart", "holds"]

_NUDGE = 1e-8  # step across a boundary, relative to the larger bounding box


class Relation(Enum):
    """What is known for certain about two operands."""

    APART = "apart"
    A_HOLDS_B = "a holds b"
    B_HOLDS_A = "b holds a"
    UNKNOWN = "unknown"


class Combination(Domain):
    """Two operands and what survives of their boundaries.

    A boundary point survives if the combined region lies on one side of it and not on the other, which is decided a
    relative 1e-8 beside it. Where the operands share a stretch of boundary it is counted once, with the first.
    """

    # Inside an intersection or difference, and outside a union, of an operand's boundary only what survives is met.
    _plain_side: Side
    _survives_in_other: tuple[bool, bool]  # whether an operand's boundary survives inside or outside the other
    _turned: tuple[bool, bool] = (False, False)  # whether an operand's outside is the region's inside

    def __init__(self, a: Domain, b: Domain, names: tuple[str, str] | None) -> None:
        _check_operands(a, b, type(self).__name__)
        self.a, self.b = a, b
        self._operands = (a, b)
        self._relation = _relation(a, b)
        self._overlap = self._measure_overlap()
        self._origin = _part_names(a, b, names)
        parts = tuple(self._origin)
        walls = tuple(name for name in parts if self._origin[name][1] in self._operands[self._origin[name][0]].walls)
        bounds = self._combined_bounds()
        extent = torch.cat([a.bounds, b.bounds], dim=1)
        self._nudge = _NUDGE * float((extent.amax(1) - extent.amin(1)).max())
        super().__init__(a.coords, bounds, self._combined_measure(), parts, walls=walls)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.a!r}, {self.b!r})"

    @abstractmethod
    def _combined_bounds(self) -> Float[Tensor, "d 2"]:
        """Return the bounding box."""

    @abstractmethod
    def _combined_measure(self) -> float:
        """Return the measure, from those of the operands and of their overlap.

        Raises:
            ConfigError: If nothing is left.
        """

    @abstractmethod
    def _fate(self, operand: int) -> bool | None:
        """Tell whether the operand's boundary survives entirely, not at all, or depends (None)."""

    @abstractmethod
    def _survives(self, operand: int, inner: Tensor, outer: Tensor) -> Tensor:
        """Tell which boundary points of an operand survive, from the points just inside and just outside of it."""

    @abstractmethod
    def _surely_apart(self, other: Domain) -> bool:
        """Tell whether it follows from the operands that another domain shares no point with this one."""

    @abstractmethod
    def _surely_holds(self, other: Domain) -> bool:
        """Tell whether it follows from the operands that another domain lies in the interior of this one."""

    def _boundary(self) -> list[Piece]:
        return [piece for i in (0, 1) if self._operands[i].walls for piece in self._surviving(i, None)]

    def _part(self, part: str) -> list[Piece]:
        operand, name = self._origin[part]
        return self._surviving(operand, name)

    def _surviving(self, operand: int, part: str | None) -> list[Piece]:
        fate = self._fate(operand)
        if fate is False:
            return []
        pieces = self._operands[operand]._pieces(part)
        if fate is None:
            pieces = [clip(piece, lambda x, normals: self._keep(operand, x, normals)) for piece in pieces]
        return [flip(piece) for piece in pieces] if self._turned[operand] else pieces

    def _keep(self, operand: int, x: Tensor, normals: Tensor | None) -> Tensor:
        if normals is None:
            raise ConfigError(f"the boundary of {self._operands[operand]!r} has no normals, which a combination needs")
        step = self._nudge * normals
        return self._survives(operand, x - step, x + step)

    def _part_distance(self, x: TensorLike, part: str, side: Side) -> TensorLike:
        operand, name = self._origin[part]
        shape, other = self._operands[operand], self._operands[1 - operand]
        if side is self._plain_side:
            return shape.part_distance(x, name, Side(-side.value) if self._turned[operand] else side)
        within = other.distance(x) if self._survives_in_other[operand] else -other.distance(x)
        scale = float((self.bounds[:, 1] - self.bounds[:, 0]).max())
        return trim(shape.part_distance(x, name, Side.ANYWHERE), within, scale)

    def _measure_overlap(self) -> float:
        """Measure a & b: the share of 65,536 fixed quasi-random points of the smaller operand that lie in the other."""
        if self._relation is not Relation.UNKNOWN:
            held = {Relation.A_HOLDS_B: self.b, Relation.B_HOLDS_A: self.a}
            return held[self._relation].measure if self._relation in held else 0.0
        smaller, larger = sorted(self._operands, key=lambda domain: domain.measure)
        n = max(min(2**16, 2**22 // smaller.dim), 2**10)
        x, _ = sample(
            smaller._interior(),
            n,
            sampler=Sobol() if smaller.dim <= 1000 else Uniform(),
            generator=torch.Generator().manual_seed(0),
            what=f"the interior of {smaller!r}",
        )
        return smaller.measure * int(larger.inside(x).sum()) / n


def _check_operands(a: Domain, b: Domain, what: str) -> None:
    if not isinstance(b, Domain):
        raise ConfigError(f"{what} combines two domains, got {type(b).__name__}")
    if a.coords != b.coords:
        raise ConfigError(
            f"{what} combines domains with the same coordinates, got ({', '.join(a.coords)}) and "
            f"({', '.join(b.coords)}): name them alike with the argument coords, or multiply domains with *"
        )
    for domain in (a, b):
        if domain.time is not None or domain.parameters:
            raise ConfigError(
                f"{what} combines shapes in space, {domain!r} has more: combine first, multiply with * last"
            )
        if not (math.isfinite(domain.measure) and domain.measure > 0):
            raise ConfigError(f"{domain!r} has measure {domain.measure}, which float64 cannot compare: rescale lengths")


def _relation(a: Domain, b: Domain) -> Relation:
    if apart(a, b):
        return Relation.APART
    if holds(a, b):
        return Relation.A_HOLDS_B
    return Relation.B_HOLDS_A if holds(b, a) else Relation.UNKNOWN


def apart(a: Domain, b: Domain) -> bool:
    """Tell whether two domains certainly share no point, not even of their boundaries."""
    if bool(((a.bounds[:, 1] < b.bounds[:, 0]) | (b.bounds[:, 1] < a.bounds[:, 0])).any()):
        return True
    return any(isinstance(one, Combination) and one._surely_apart(other) for one, other in ((a, b), (b, a)))


def holds(a: Domain, b: Domain) -> bool:
    """Tell whether `b`, its boundary included, certainly lies in the interior of `a`."""
    if isinstance(a, Combination):
        return a._surely_holds(b)
    return a.convex and b.hull is not None and bool(a.inside(b.hull).all())


def _part_names(a: Domain, b: Domain, names: tuple[str, str] | None) -> dict[str, tuple[int, str]]:
    """Map each part of the combination to its operand and the name it has there."""
    prefixes = names or ("a", "b")
    if len(prefixes) != 2 or prefixes[0] == prefixes[1] or not all(prefixes):
        raise ConfigError(f"names must be two different prefixes for the parts of the operands, got {names!r}")
    shared = set(a.parts) & set(b.parts)
    taken = (set(a.parts) | set(b.parts)) - shared
    origin: dict[str, tuple[int, str]] = {}
    for operand, (domain, prefix) in enumerate(zip((a, b), prefixes, strict=True)):
        for part in domain.parts:
            name = part
            if names is not None or part in shared:
                name = f"{prefix}.{part}"
                while names is None and (name in taken or name in origin):
                    name = f"{prefix}.{name}"
            origin[name] = (operand, part)
    return origin
