"""What has to be continuous across an interface besides the fields themselves."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from ..errors import ConfigError
from ..pde import Data, Expression, Field, Frame, Piecewise, Vector
from ..pde.equation import trace
from ..pde.recording import collect

__all__ = ["Flux", "Match", "NormalDerivatives", "RegionResidual"]


class Match(ABC):
    """Expressions of one region's fields that are continuous across its interfaces."""

    @abstractmethod
    def of(self, equation: Piecewise, region: str, scope: Frame) -> dict[str, Expression]:
        """Record the expressions by name.

        Args:
            equation: Equations of the regions.
            region: Name of the region.
            scope: Names as this region knows them; the normal is in the columns ``n_x``, ...
        """


@dataclass(frozen=True)
class Flux(Match):
    """What passes through the interface, such as heat ``k du/dn``, by each region's own law.

    Args:
        function: Called like a residual, with the argument ``normal`` if it has one; it returns one expression, a tuple
            or a dict of them. None for the method ``flux`` of each region's equation.

    Raises:
        ConfigError: If an equation has no flux.
    """

    function: Callable[..., Any] | None = None

    def of(self, equation: Piecewise, region: str, scope: Frame) -> dict[str, Expression]:
        """Record the flux along the normal."""
        own = equation.equations[region]
        function = self.function or getattr(own, "flux", None)
        if function is None:
            raise ConfigError(
                f"{type(own).__name__} has no method flux(self, {', '.join(own.fields)}, p, normal); give what is "
                "continuous across an interface, such as flux=lambda u, p, normal: p.k * (grad(u) @ normal)"
            )
        fields: list[Any] = [Field.of(name, scope) for name in scope.known_fields]
        takes = "normal" in inspect.signature(function).parameters
        extra: dict[str, Any] = {"normal": Vector(Data(f"n_{x}", scope) for x in scope.space)} if takes else {}
        return collect(trace(function, fields, equation.values(region, scope), extra), scope, "flux")


@dataclass(frozen=True)
class NormalDerivatives(Match):
    """Derivatives along the normal, up to one order below that of the equation.

    With the values they are what makes two solutions of an equation one. For interfaces that are perpendicular to a
    coordinate.

    Args:
        orders: Order of the equation in each coordinate, by field.
    """

    orders: Mapping[str, Mapping[str, int]]

    def of(self, equation: Piecewise, region: str, scope: Frame) -> dict[str, Expression]:
        """Record the derivatives; along coordinates of lower order there are none of the highest."""
        found = {}
        for name, orders in self.orders.items():
            for k in range(1, max(orders.values())):
                field: Any = Field.of(name, scope)
                steep = [x for x, order in orders.items() if order > k]
                terms = [Data(f"n_{x}", scope) * reduce(getattr, [x] * k, field) for x in steep]
                found[f"{name}_{'n' * k}"] = reduce(lambda a, b: a + b, terms)
        return found


@dataclass(frozen=True)
class RegionResidual(Match):
    """The residuals of both regions' equations."""

    def of(self, equation: Piecewise, region: str, scope: Frame) -> dict[str, Expression]:
        """Record the residual."""
        fields: list[Any] = [Field.of(name, scope) for name in scope.known_fields]
        found = trace(equation.equations[region].residual, fields, equation.values(region, scope))
        return collect(found, scope)
