"""Conditions on parts of a domain, as unreduced residuals.

A condition says where it holds and which expression vanishes there. It knows neither its weight nor the network.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..data import Domain, Points
from ..errors import ConfigError, unknown
from ..pde import Data, Expression, Field, Frame, Parameters, PointFunction, Recorded, Vector, record
from ..pde.coordinates import call_with_names
from ..typing import Float, Tensor

__all__ = [
    "Condition", "Dirichlet", "Draw", "Initial", "Integral", "Neumann", "Observations", "On", "Periodic", "Robin",
]  # fmt: skip

Value = Callable[..., Any] | float | int


@dataclass(frozen=True)
class Draw:
    """How to draw points: sampler, generator, dtype and device."""

    sampler: Any
    generator: torch.Generator
    dtype: torch.dtype = torch.float64
    device: torch.device | str = "cpu"

    def boundary(self, domain: Domain, n: int, part: str) -> Points:
        """Draw ``n`` points on a part of the boundary, or inside for ``"interior"``."""
        options: dict[str, Any] = {
            "sampler": self.sampler, "generator": self.generator, "dtype": self.dtype, "device": self.device,
        }  # fmt: skip
        return domain.interior(n, **options) if part == "interior" else domain.boundary(n, part, **options)


class Condition:
    """Something that vanishes on a part of the domain.

    Attributes:
        name: Name in logs, unique within a problem.
        part: Boundary part, ``"boundary"`` for all of it, or ``"interior"``.
        fixed: Whether the points are given and must not be drawn anew.
    """

    name: str = ""
    part: str = "boundary"
    fixed: bool = False

    def expressions(self, frame: Frame) -> Recorded:
        """Record what vanishes."""
        raise NotImplementedError

    def check(self, domain: Domain) -> None:
        """Refuse a part that the domain does not have, or one without measure."""
        if self.part not in ("interior", "boundary"):
            if self.part not in domain.parts:
                raise ConfigError(
                    f'condition "{self.name}": ' + unknown("boundary part", self.part, domain.parts, "the domain")
                )
            # In thousands of dimensions measures leave the range of float64, and say nothing.
            if 0 < domain.measure < math.inf and not domain.part_measure(self.part) > 0:
                raise ConfigError(
                    f'condition "{self.name}" is on part "{self.part}", which has measure zero; drop it or '
                    "choose another part"
                )

    def check_normals(self) -> None:
        """Refuse the interior for a condition that reads normals."""
        if self.part == "interior":
            raise ConfigError(
                f'condition "{self.name}" needs an outward normal, and the interior has none; name a boundary part'
            )

    def sample(self, domain: Domain, n: int, draw: Draw) -> Points:
        """Draw the points where the condition is imposed."""
        return draw.boundary(domain, n, self.part)

    def data(self, points: Points) -> dict[str, Tensor]:
        """Columns that the recorded expressions read at the points."""
        if points.normals is None:
            return {}
        return {f"n_{name}": points.normals[:, i] for i, name in enumerate(points.coords)}

    def collapse(self, values: Float[Tensor, "n ..."], points: Points) -> Float[Tensor, "r ..."]:
        """Combine the values at the points linearly into residuals; by default one residual for each point."""
        return values

    @property
    def offset(self) -> float:
        """What is subtracted from the combined values."""
        return 0.0

    def rows(self, points: Points) -> int:
        """Residuals for each expression."""
        return len(points)


def _value(value: Value, frame: Frame) -> Any:
    """Record a number or a function of coordinates and parameters by name."""
    if isinstance(value, PointFunction):
        return value.record(frame)
    if not callable(value):
        return value
    p = Parameters(frame)
    return call_with_names(value, {name: getattr(p, name) for name in (*frame.coords, *frame.known_parameters)})


def _field(frame: Frame, name: str, where: str) -> Field:
    if name not in frame.known_fields:
        raise ConfigError(f'condition "{where}": ' + unknown("field", name, frame.known_fields, "the equation"))
    return Field.of(name, frame)


def _normal_derivative(u: Field, frame: Frame) -> Any:
    terms = [Data(f"n_{name}", frame) * getattr(u, name) for name in frame.space]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _recorded(named: Mapping[str, Any], frame: Frame, where: str) -> Recorded:
    for name, node in named.items():
        if not isinstance(node, Expression):
            raise ConfigError(f'condition "{where}" on {name} does not depend on the fields')
    return Recorded(named, frame)


class On(Condition):
    """Any residual on a part: ``On("wall", lambda u, v, p: u.y + v.x)``.

    Args:
        part: Boundary part, ``"boundary"`` or ``"interior"``.
        residual: Called like an equation's residual; an argument named ``normal`` receives the outward normal.
        name: Name in logs.
    """

    def __init__(self, part: str, residual: Callable[..., Any], name: str | None = None) -> None:
        self.part, self.residual, self.name = part, residual, name or f"on_{part}"

    def expressions(self, frame: Frame) -> Recorded:
        """Record the residual."""
        extra: dict[str, Any] = {}
        if "normal" in inspect.signature(self.residual).parameters:
            self.check_normals()
            extra["normal"] = Vector(Data(f"n_{name}", frame) for name in frame.space)
        return record(self.residual, frame, extra)


class Dirichlet(Condition):
    """``u = g`` on a part, for each field named: ``Dirichlet("left", u=0.0, v=lambda y: 1 - y**2)``.

    Raises:
        ConfigError: If no field is named.
    """

    def __init__(self, part: str = "boundary", name: str | None = None, **values: Value) -> None:
        if not values:
            raise ConfigError(f'Dirichlet("{part}") needs values by field, such as u=0.0')
        self.part, self.values, self.name = part, values, name or part

    def expressions(self, frame: Frame) -> Recorded:
        """Record ``u - g``."""
        found = {k: _field(frame, k, self.name) - _value(g, frame) for k, g in self.values.items()}
        return _recorded(found, frame, self.name)


class Initial(Condition):
    """State at the first time: ``Initial(u=lambda x: torch.sin(x), u_t=0.0)``; ``u_t`` names a derivative of ``u``."""

    def __init__(self, name: str = "initial", **values: Value) -> None:
        if not values:
            raise ConfigError("Initial() needs values by field, such as u=0.0, or by derivative, such as u_t=0.0")
        self.part, self.values, self.name = "initial", values, name

    def expressions(self, frame: Frame) -> Recorded:
        """Record ``u - u0`` and ``u_t - v0``."""
        found = {}
        for key, g in self.values.items():
            field, derivative = _split(key, frame)
            u = _field(frame, field, self.name)
            found[key] = (getattr(u, derivative) if derivative else u) - _value(g, frame)
        return _recorded(found, frame, self.name)


def _split(key: str, frame: Frame) -> tuple[str, str]:
    """Split ``u_t`` into field and derivative; names of fields may contain underscores."""
    starts = [name for name in frame.known_fields if key == name or key.startswith(f"{name}_")]
    if not starts:
        field, _, derivative = key.rpartition("_")
        return (field, derivative) if field else (key, "")
    field = max(starts, key=len)
    return field, key[len(field) + 1 :]


class Neumann(Condition):
    """``n . grad u = g`` on a part, with the outward normal n."""

    def __init__(self, part: str = "boundary", name: str | None = None, **values: Value) -> None:
        if not values:
            raise ConfigError(f'Neumann("{part}") needs values by field, such as u=0.0')
        self.part, self.values, self.name = part, values, name or f"{part}_flux"

    def expressions(self, frame: Frame) -> Recorded:
        """Record ``n . grad u - g``."""
        self.check_normals()
        found = {
            k: _normal_derivative(_field(frame, k, self.name), frame) - _value(g, frame) for k, g in self.values.items()
        }
        return _recorded(found, frame, self.name)


class Robin(Condition):
    """``a u + b n . grad u = g`` on a part: ``Robin("wall", u=(a, b, g))``, each a number or a function."""

    def __init__(self, part: str = "boundary", name: str | None = None, **values: tuple[Value, Value, Value]) -> None:
        if not values:
            raise ConfigError(f'Robin("{part}") needs coefficients by field, such as u=(1.0, 1.0, 0.0)')
        for key, value in values.items():
            if not isinstance(value, tuple) or len(value) != 3:
                raise ConfigError(f"Robin({key}=...) takes (a, b, g) for a u + b du/dn = g; got {value!r}")
        self.part, self.values, self.name = part, values, name or f"{part}_exchange"

    def expressions(self, frame: Frame) -> Recorded:
        """Record ``a u + b n . grad u - g``."""
        self.check_normals()
        found = {}
        for key, coefficients in self.values.items():
            a, b, g = (_value(c, frame) for c in coefficients)
            u = _field(frame, key, self.name)
            found[key] = a * u + b * _normal_derivative(u, frame) - g
        return _recorded(found, frame, self.name)


class Periodic(Condition):
    """Equal values, and derivatives up to ``order`` along the coordinate, on the two opposite faces.

    Args:
        coord: Coordinate in which the solution repeats.
        order: Highest derivative that is matched: one less than the order of the equation in this coordinate.
        fields: Fields that repeat; all by default.

    Raises:
        ConfigError: If the order is negative.
    """

    def __init__(self, coord: str, order: int = 1, fields: Sequence[str] | None = None) -> None:
        if order < 0:
            raise ConfigError(
                f'Periodic("{coord}", order={order}): order must be at least 0, which matches values only'
            )
        self.coord, self.order, self.fields = coord, order, fields
        self.part, self.name = "boundary", f"periodic_{coord}"

    def check(self, domain: Domain) -> None:
        """Refuse a coordinate that the domain does not have; its shape is checked when points are drawn."""
        if self.coord not in domain.coords:
            raise ConfigError(
                f'condition "{self.name}": ' + unknown("coordinate", self.coord, domain.coords, "the domain")
            )

    def expressions(self, frame: Frame) -> Recorded:
        """Record the values and derivatives at one face."""
        found: dict[str, Expression] = {}
        for name in self.fields or frame.known_fields:
            node: Any = _field(frame, name, self.name)
            for k in range(self.order + 1):
                found[f"{name}_{self.coord * k}" if k else name] = node
                node = getattr(node, self.coord)
        return Recorded(found, frame)

    def sample(self, domain: Domain, n: int, draw: Draw) -> Points:
        """Draw points on the lower face, followed by their partners on the upper one."""
        pair = domain.periodic_pairs(
            max(1, n // 2),
            self.coord,
            sampler=draw.sampler,
            generator=draw.generator,
            dtype=draw.dtype,
            device=draw.device,
        )
        return Points.concat(list(pair))

    def collapse(self, values: Tensor, points: Points) -> Tensor:
        """Subtract the upper face from the lower one."""
        half = len(points) // 2
        return values[:half] - values[half:]

    def rows(self, points: Points) -> int:
        """One residual for each pair."""
        return len(points) // 2


class Observations(Condition):
    """Measured values at given points.

    Args:
        x: Points (n, d), or a mapping from coordinate to column.
        values: Measured values (n,) by field.
        coords: Names of the columns of ``x``, when it is a tensor.

    Raises:
        ConfigError: If numbers of values and points differ or a value is not finite.
    """

    fixed = True

    def __init__(self, x: Any, coords: Sequence[str] | None = None, name: str = "observations", **values: Any) -> None:
        if isinstance(x, Mapping):
            coords, x = tuple(x), _stacked(x)
        if coords is None:
            raise ConfigError("Observations need the names of the columns of x: coords=('x', 't')")
        if not values:
            raise ConfigError("Observations need measured values by field, such as u=[0.1, 0.2]")
        # lists of numbers would become float32 and lose digits
        self.points = Points(torch.as_tensor(x, dtype=torch.float64), tuple(coords))
        self.values = {k: torch.as_tensor(v, dtype=torch.float64).reshape(-1) for k, v in values.items()}
        self.name, self.part = name, "interior"
        bad = int((~torch.isfinite(self.points.x)).any(-1).sum())
        if bad:
            raise ConfigError(f"{bad} of {len(self.points)} observed points are not finite; leave them out")
        for key, column in self.values.items():
            if len(column) != len(self.points):
                raise ConfigError(
                    f"observations of {key}: {len(column)} values for {len(self.points)} points; give one each"
                )
            if not bool(torch.isfinite(column).all()):
                raise ConfigError(
                    f"observations of {key} contain {int((~torch.isfinite(column)).sum())} values that are not finite"
                )

    def check(self, domain: Domain) -> None:
        """Refuse points whose coordinates are not the domain's."""
        for name in self.points.coords:
            if name not in domain.coords:
                raise ConfigError(
                    f'condition "{self.name}": ' + unknown("coordinate", name, domain.coords, "the domain")
                )
        missing = [name for name in domain.coords if name not in self.points.coords]
        if missing:
            raise ConfigError(f'condition "{self.name}": the observed points have no column {", ".join(missing)}')

    def expressions(self, frame: Frame) -> Recorded:
        """Record ``u - observed``."""
        found = {k: _field(frame, k, self.name) - Data(f"observed_{k}", frame) for k in self.values}
        return _recorded(found, frame, self.name)

    def sample(self, domain: Domain, n: int, draw: Draw) -> Points:
        """Return the given points, columns in the domain's order."""
        columns = [self.points.column(name) for name in domain.coords]
        return Points(torch.stack(columns, -1).to(draw.device, draw.dtype), domain.coords)

    def data(self, points: Points) -> dict[str, Tensor]:
        """Return the measured columns."""
        return {f"observed_{k}": v.to(points.x) for k, v in self.values.items()}


def _stacked(columns: Mapping[str, Any]) -> Float[Tensor, "n d"]:
    tensors = {name: torch.as_tensor(column, dtype=torch.float64).reshape(-1) for name, column in columns.items()}
    counts = {name: len(column) for name, column in tensors.items()}
    if len(set(counts.values())) != 1:
        given = ", ".join(f"{count} for {name}" for name, count in counts.items()) or "no columns"
        raise ConfigError(f"the columns of observed points must be equally long; got {given}")
    return torch.stack(list(tensors.values()), -1)


class Integral(Condition):
    """``integral of f over a part = target``, with f a field or any expression of the fields.

    Args:
        integrand: Called like an equation's residual, or the name of a field.
        target: Value of the integral.
        part: ``"interior"``, ``"boundary"`` or a part.
    """

    def __init__(
        self, integrand: Callable[..., Any] | str, target: float = 0.0, part: str = "interior", name: str = "integral"
    ) -> None:
        self.integrand, self.target, self.part, self.name = integrand, float(target), part, name

    def expressions(self, frame: Frame) -> Recorded:
        """Record the integrand."""
        if isinstance(self.integrand, str):
            return Recorded({self.integrand: _field(frame, self.integrand, self.name)}, frame)
        return record(self.integrand, frame)

    def collapse(self, values: Tensor, points: Points) -> Tensor:
        """Sum over the points with their quadrature weights."""
        n = len(points)
        weights = values.new_full((n,), points.measure / n) if points.weights is None else points.weights.to(values)
        return (weights @ values.reshape(n, -1)).reshape(1, *values.shape[1:])

    @property
    def offset(self) -> float:
        """Target of the integral."""
        return self.target

    def rows(self, points: Points) -> int:
        """A single residual."""
        return 1
