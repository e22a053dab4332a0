"""Equations that differ from region to region, each with fields of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from ..data import Partition
from ..errors import ConfigError, unknown
from ..typing import Float, Tensor
from .equation import Equation, Parameters, trace
from .expression import Apply, Coordinate, Expression, Field, Frame
from .parameter import Unknown
from .recording import collect

__all__ = ["Piecewise"]


class Piecewise(Equation):
    """One equation for each region of a partition, over fields of that region's own.

    The fields are those of every region with the region's name behind them, ``u_inner``, ``u_outer``; so are
    parameters whose values differ between regions. At each point the residual is that of the region to which it
    belongs. What a solution reports is one field ``u``, chosen by region.

    Residuals of all regions are computed at all points before one of them is chosen: coefficients have to be finite in
    the whole domain.

    Args:
        partition: Regions of the domain.
        equations: Equation of each region, with the same fields, coordinates and names of residuals.
        scales: Size of the terms of a region's equation, by which its residuals are divided; 1 where none is given.
            Materials that differ by orders of magnitude need it: k of the region in ``div(k grad u)``.

    Raises:
        ConfigError: If a region has no equation, a scale is not positive, or the equations do not fit each other.

    >>> from kjet.data import Interval
    >>> from kjet.pde import Poisson
    >>> halves = Partition(Interval(-1, 1), {"left": Interval(-1, 0), "right": None})
    >>> rods = {"left": Poisson(coords=("x",)), "right": Poisson(coords=("x",), coefficient=5.0)}
    >>> print(Piecewise(halves, rods).record().describe().splitlines()[0])
    residual: where(in_left(x), -coefficient_left u_left_xx - source, -coefficient_right u_right_xx - source) = 0
    """

    def __init__(
        self, partition: Partition, equations: Mapping[str, Equation], scales: Mapping[str, float] | None = None
    ) -> None:
        for name in (*equations, *(scales or {})):
            if name not in partition.names:
                raise ConfigError(unknown("region", name, partition.names, "the partition"))
        self.scales = {name: float((scales or {}).get(name, 1.0)) for name in partition.names}
        for name, scale in self.scales.items():
            if not 0 < scale < math.inf:
                raise ConfigError(f'the scale of region "{name}" must be a positive number; got {scale}')
        for name in partition.names:
            if not isinstance(equations.get(name), Equation):
                raise ConfigError(f'region "{name}" needs an equation, such as Heat(); got {equations.get(name)!r}')
        self.partition, self.equations = partition, {name: equations[name] for name in partition.names}
        first, *others = self.equations.values()
        for name, other in zip(partition.names[1:], others, strict=True):
            for what in ("fields", "coords", "time"):
                if getattr(other, what) != getattr(first, what):
                    raise ConfigError(
                        f'the equations of regions have the same {what}; "{partition.names[0]}" has '
                        f'{getattr(first, what)}, "{name}" has {getattr(other, what)}'
                    )
        self.fields = tuple(f"{field}_{name}" for name in partition.names for field in first.fields)
        self.coords = first.coords
        self.time = first.time  # type: ignore[misc]

    def residual(self, *arguments: Any) -> dict[str, Expression]:
        """Residual of the region that a point belongs to."""
        frame = arguments[-1]._frame
        found = {}
        for region, equation in self.equations.items():
            scope = self.scope(region, frame)
            fields = [Field.of(name, scope) for name in equation.fields]
            residuals = collect(trace(equation.residual, fields, self.values(region, scope)), scope)
            found[region] = {name: (1.0 / self.scales[region]) * value for name, value in residuals.items()}
        return self.chosen(found, frame)

    def parameters(self) -> dict[str, float | Unknown]:
        """Parameters of all regions; those whose values differ have the region's name behind theirs."""
        shared = self._shared
        merged: dict[str, float | Unknown] = {}
        for region, equation in self.equations.items():
            for name, value in equation.parameters().items():
                merged[name if name in shared else f"{name}_{region}"] = value
        return merged

    def functions(self) -> dict[str, Any]:
        """Nothing: functions belong to the regions."""
        return {}

    @property
    def outputs(self) -> tuple[str, ...]:
        """Fields by the names that all regions give them."""
        return tuple(next(iter(self.equations.values())).fields)

    def report(self, x: Float[Tensor, "n d"], values: Float[Tensor, "n m"]) -> Float[Tensor, "n k"]:
        """Choose the fields of the region that each point belongs to."""
        parts = values.unflatten(-1, (len(self.equations), len(self.outputs)))
        index = self.partition.owner(x)[:, None, None].expand(-1, 1, len(self.outputs))
        return parts.gather(1, index).squeeze(1)

    def scope(self, region: str, frame: Frame) -> Frame:
        """Names as the residuals and conditions of one region know them.

        Raises:
            ConfigError: If there is no such region.
        """
        self.partition.index(region)
        equation, shared = self.equations[region], self._shared
        fields = tuple((name, f"{name}_{region}") for name in equation.fields)
        own = tuple((name, f"{name}_{region}") for name in equation.parameters() if name not in shared)
        return replace(frame, local_fields=fields, local_parameters=own)

    def values(self, region: str, scope: Frame) -> Parameters:
        """Parameters and coordinates as the residuals of one region know them."""
        return Parameters(scope, self.equations[region].functions())

    def chosen(self, found: Mapping[str, Mapping[str, Expression]], frame: Frame) -> dict[str, Expression]:
        """Choose among expressions of all regions, by name, those of the region that a point belongs to.

        Raises:
            ConfigError: If the names differ between regions.
        """
        *others, last = self.equations
        for region in others:
            if list(found[region]) != list(found[last]):
                raise ConfigError(
                    f'regions have residuals of the same names; "{region}" has {", ".join(found[region])}, "{last}" '
                    f"has {', '.join(found[last])}"
                )
        coordinates = tuple(Coordinate(name, frame) for name in self.partition.domain.coords)
        inside = {region: Apply(_Within(self.partition, region), coordinates, {}, frame) for region in others}
        result = dict(found[last])
        for name in result:
            for region in reversed(others):
                result[name] = Apply.of(torch.where, (inside[region], found[region][name], result[name]), {})
        return result

    @property
    def _shared(self) -> frozenset[str]:
        """Parameters that have one value in all regions."""
        first, *others = (equation.parameters() for equation in self.equations.values())
        return frozenset(
            name for name, value in first.items() if all(name in o and _same(o[name], value) for o in others)
        )


def _same(a: float | Unknown, b: float | Unknown) -> bool:
    """Equal numbers; an unknown is the same only as itself."""
    return a is b or (not isinstance(a, Unknown) and not isinstance(b, Unknown) and a == b)


class _Within:
    """Whether points, given by columns, belong to a region."""

    def __init__(self, partition: Partition, region: str) -> None:
        self.partition, self.region, self.__name__ = partition, region, f"in_{region}"

    def __call__(self, *columns: Tensor) -> Tensor:
        return self.partition.within(torch.stack(torch.broadcast_tensors(*columns), -1), self.region)
