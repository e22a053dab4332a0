"""Conditions on the interfaces between regions, and conditions that each region reads with fields of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..data import Domain, Points
from ..errors import ConfigError, unknown
from ..pde import Data, Expression, Field, Frame, Piecewise, Recorded
from ..pde.expression import Apply, Number
from ..typing import Tensor
from .conditions import Condition, Draw, Value, _value
from .matching import Flux, Match

__all__ = ["ByRegion", "Interface", "by_region"]

_BEHIND, _BEFORE = "region_behind", "region_before"
_SCALE = "1/scale"


class Interface(Condition):
    """What fields of two regions have in common on their interface.

    With ``[q] = q_later - q_earlier``, the difference between the sides as the normal n looks from the region that
    comes first to the one that comes later: ``[u] = 0`` for every field, and ``[q] = 0`` for what else has to be
    continuous; or the jumps that are given. Differences of what is no field are divided by the geometric mean of the
    scales of both regions.

    Args:
        equation: Equations of the regions.
        match: What is continuous besides the fields: a :class:`Match`, or a function for :class:`Flux`, such as
            ``lambda u, p, normal: p.coefficient * (grad(u) @ normal)``. None for nothing more.
        jump: Jumps that are not zero: by field or by name of what is matched (``flux``, where that is a
            single expression), numbers or functions of coordinates and parameters.
        between: Names of two regions; None for all interfaces.
        name: Name in logs.

    Raises:
        ConfigError: If a region is unknown or the equation is the same everywhere.

    Ref: Jagtap, Karniadakis, *Extended physics-informed neural networks (XPINNs)*, 2020, section 3; Jagtap, Kharazmi,
    Karniadakis, *Conservative physics-informed neural networks on discrete domains for conservation laws*, 2020, for
    the flux.
    """

    part = "interface"

    def __init__(
        self,
        equation: Piecewise,
        match: Match | Callable[..., Any] | None = None,
        *,
        jump: Mapping[str, Value] | None = None,
        between: tuple[str, str] | None = None,
        name: str = "interface",
    ) -> None:
        if not isinstance(equation, Piecewise):
            raise ConfigError(f"an interface lies between the regions of a Piecewise equation; got {equation!r}")
        self.equation, self.jump, self.name = equation, dict(jump or {}), name
        self.match = match if match is None or isinstance(match, Match) else Flux(match)
        self.between = between
        names = equation.partition.names
        pair = None if between is None else sorted(map(equation.partition.index, between))
        behind, before = (names[:-1], names[1:]) if pair is None else ((names[pair[0]],), (names[pair[1]],))
        self._sides: tuple[tuple[str, ...], tuple[str, ...]] = (behind, before)

    def check(self, domain: Domain) -> None:
        """Refuse another domain than that of the partition."""
        if domain.coords != self.equation.partition.domain.coords:
            raise ConfigError(
                f'condition "{self.name}": the partition has the coordinates '
                f"({', '.join(self.equation.partition.domain.coords)}), the domain ({', '.join(domain.coords)})"
            )

    def expressions(self, frame: Frame) -> Recorded:
        """Record the differences between the sides."""
        earlier, later = (self._side(i, frame) for i in (0, 1))
        scale = earlier.pop(_SCALE) * later.pop(_SCALE)
        for key in self.jump:
            if key not in later:
                raise ConfigError(f'condition "{self.name}": ' + unknown("jump", key, later, "this interface"))
        jumps = {key: _value(value, frame) for key, value in self.jump.items()}
        found = {k: later[k] - earlier[k] - jumps.get(k, 0.0) for k in later}
        fields = self.equation.outputs
        return Recorded({k: v if k in fields else scale * v for k, v in found.items()}, frame)

    def sample(self, domain: Domain, n: int, draw: Draw) -> Points:
        """Draw points on the interfaces."""
        return self.equation.partition.interface(
            n,
            between=self.between,
            sampler=draw.sampler,
            generator=draw.generator,
            dtype=draw.dtype,
            device=draw.device,
        )

    def data(self, points: Points) -> dict[str, Tensor]:
        """Return normals, and the numbers of the regions on both sides where there are several."""
        found = super().data(points)
        if max(map(len, self._sides)) > 1:
            sides = self.equation.partition.sides(points)
            found |= {name: side.to(points.x) for name, side in zip((_BEHIND, _BEFORE), sides, strict=True)}
        return found

    def _side(self, which: int, frame: Frame) -> dict[str, Expression]:
        """What has to be continuous, of the region on one side of each point, and the scale of what is no field."""
        regions = self._sides[which]
        number = Data((_BEHIND, _BEFORE)[which], frame)
        result: dict[str, Expression] = {}
        for region in reversed(regions):
            found = self._of(region, frame)
            if not result:
                result = found
                continue
            if list(found) != list(result):
                raise ConfigError(
                    f'condition "{self.name}": regions match by the same names; "{region}" has '
                    f"{', '.join(list(found)[:-1])}, others {', '.join(list(result)[:-1])}"
                )
            here = Apply.of(torch.eq, (number, self.equation.partition.index(region)), {})
            result = {k: Apply.of(torch.where, (here, found[k], result[k]), {}) for k in result}
        return result

    def _of(self, region: str, frame: Frame) -> dict[str, Expression]:
        scope = self.equation.scope(region, frame)
        fields: dict[str, Any] = {name: Field.of(name, scope) for name in scope.known_fields}
        scale = Number(self.equation.scales[region] ** -0.5, frame)
        matched = {} if self.match is None else self.match.of(self.equation, region, scope)
        return {**fields, **matched, _SCALE: scale}


class ByRegion(Condition):
    """A condition that is recorded once for each region, with its fields and parameters, and holds where it lies.

    Args:
        condition: Any condition, over the fields as the regions know them.
        equation: Equations of the regions.
    """

    def __init__(self, condition: Condition, equation: Piecewise) -> None:
        self.condition, self.equation = condition, equation
        self.name, self.part, self.fixed = condition.name, condition.part, condition.fixed

    def expressions(self, frame: Frame) -> Recorded:
        """Record the condition for each region, and choose among them."""
        regions = self.equation.partition.names
        found = {name: self.condition.expressions(self.equation.scope(name, frame)).outputs for name in regions}
        return Recorded(self.equation.chosen(found, frame), frame)

    def check(self, domain: Domain) -> None:
        """Refuse what the condition refuses."""
        self.condition.check(domain)

    def sample(self, domain: Domain, n: int, draw: Draw) -> Points:
        """Draw the points of the condition."""
        return self.condition.sample(domain, n, draw)

    def data(self, points: Points) -> dict[str, Tensor]:
        """Columns of the condition."""
        return self.condition.data(points)

    def rows(self, points: Points) -> int:
        """Residuals for each expression."""
        return self.condition.rows(points)

    @property
    def offset(self) -> float:
        """What is subtracted from the combined values."""
        return self.condition.offset


class _CollapsedByRegion(ByRegion):
    """One whose values at the points are combined: an integral, or pairs of points."""

    def collapse(self, values: Tensor, points: Points) -> Tensor:
        """Combine the values as the condition does."""
        return self.condition.collapse(values, points)


def by_region(condition: Condition, equation: Piecewise) -> Condition:
    """Let every region read a condition with fields of its own; conditions on interfaces stay as they are."""
    if isinstance(condition, Interface | ByRegion):
        return condition
    plain = type(condition).collapse is Condition.collapse
    return (ByRegion if plain else _CollapsedByRegion)(condition, equation)
