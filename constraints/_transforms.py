"""Transforms behind the hard constraints: columns by name, transfinite interpolation, start values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..errors import ConfigError, unknown
from ..jets import Jet
from ..typing import Tensor
from .coordinates import CoordinateFunction, Value

Distance = Callable[[Any], Any]
"""Points (n, d) to numbers (n,) that vanish on a part of the boundary and nowhere else in the domain."""


@dataclass(frozen=True)
class Frame:
    """Names of the columns of points and fields."""

    coords: tuple[str, ...]
    fields: tuple[str, ...]
    axes: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", {name: axis for axis, name in enumerate(self.coords)})

    def check_fields(self, names: Mapping[str, Any]) -> None:
        for name in names:
            if name not in self.fields:
                raise ConfigError(unknown("field", name, self.fields))

    def match(self, values: Mapping[str, Value]) -> dict[str, CoordinateFunction]:
        return {name: CoordinateFunction.of(value, self.coords) for name, value in values.items()}

    def columns(self, x: Any) -> Columns:
        if x.shape[-1] != len(self.coords):
            raise ConfigError(f"points have {x.shape[-1]} columns; expected one for each of {self.coords}")
        return Columns(x, self)

    def value(self, function: CoordinateFunction, columns: Columns) -> Any:
        """Evaluate to a number or to values (n,); a value (n, 1) would broadcast to (n, n) behind our back."""
        result, shape = function(columns), columns.x.shape[:-1]
        if isinstance(result, Tensor | Jet) and result.shape not in ((), shape):
            raise ConfigError(
                f"a value has shape {tuple(result.shape)} at points {tuple(shape)}; expected one number each. "
                "Coordinates come as vectors, not as columns"
            )
        return result

    def assemble(self, y: Any, constrained: Callable[[str, Any], Any]) -> Any:
        """Replace each output column by what `constrained` makes of it."""
        if y.shape[-1] != len(self.fields):
            raise ConfigError(
                f"the network has {y.shape[-1]} outputs; expected one for each of the fields {self.fields}"
            )
        columns = [constrained(name, y[..., i]) for i, name in enumerate(self.fields)]
        return columns[0][..., None] if len(columns) == 1 else torch.stack(columns, -1)


@dataclass(frozen=True, eq=False)
class Columns:
    """Coordinates by name, each sliced when it is asked for: there may be 100,000, and hardly any is read.

    Attributes:
        x: Points (n, d), or jets of them.
        frame: Names of the columns.
        held: Coordinates that take other values.
    """

    x: Any
    frame: Frame
    held: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.held[name] if name in self.held else self.x[..., self.frame.axes[name]]

    def points(self, names: tuple[str, ...]) -> Any:
        """Return the columns of these names beside each other; None where that is no slice of the points."""
        if self.held or names != self.frame.coords[: len(names)]:
            return None
        return self.x if len(names) == len(self.frame.coords) else self.x[..., : len(names)]


@dataclass(frozen=True, eq=False)
class Piece:
    """Parts of the boundary with one value."""

    distances: tuple[Distance, ...]
    value: CoordinateFunction

    def is_zero(self) -> bool:
        return isinstance(self.value.value, int | float) and self.value.value == 0


def boundary(parts: Sequence[tuple[Distance, Value]], frame: Frame, name: str) -> tuple[Piece, ...]:
    """Join parts of equal value, which spares interpolation between them and its singularity where they meet."""
    if not parts:
        raise ConfigError(f'field "{name}" has no pieces; give (distance, value) pairs, or leave the field out')
    values: list[CoordinateFunction] = []
    distances: list[tuple[Distance, ...]] = []
    for distance, value in parts:
        if not callable(distance):
            raise ConfigError(f'a distance of field "{name}" is {distance!r}; expected a function of points (n, d)')
        matched = CoordinateFunction.of(value, frame.coords)
        place = next((i for i, known in enumerate(values) if _same(known.value, matched.value)), None)
        if place is None:
            values.append(matched)
            distances.append((distance,))
        else:
            distances[place] += (distance,)
    return tuple(Piece(of, value) for of, value in zip(distances, values, strict=True))


def _same(a: Value, b: Value) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return a is b
    return a is b or bool(a == b)


@dataclass(frozen=True, eq=False)
class Dirichlet:
    frame: Frame
    pieces: Mapping[str, tuple[Piece, ...]]

    def __call__(self, x: Any, y: Any) -> Any:
        columns, known = self.frame.columns(x), _Distances(x)

        def constrained(name: str, output: Any) -> Any:
            if name not in self.pieces:
                return output
            pieces = self.pieces[name]
            phi = known.product(tuple(of for piece in pieces for of in piece.distances))
            return self._extension(pieces, columns, known) + phi * output

        return self.frame.assemble(y, constrained)

    def _extension(self, pieces: tuple[Piece, ...], columns: Columns, known: _Distances) -> Any:
        """``g = sum_i g_i P_i / sum_i P_i`` with ``P_i = prod_{j != i} phi_j``."""
        values = [None if piece.is_zero() else self.frame.value(piece.value, columns) for piece in pieces]
        if len(pieces) == 1:
            return 0.0 if values[0] is None else values[0]
        others = [
            known.product(tuple(of for other in pieces if other is not piece for of in other.distances))
            for piece in pieces
        ]
        total = _sum(others)
        defined = _primal(total).abs() > torch.finfo(total.dtype).tiny
        nearest = _nearest([known.product(piece.distances) for piece in pieces])
        top = _weighted(others, values)
        average = _weighted(nearest, values)
        return torch.where(defined, top, average) * torch.reciprocal(torch.where(defined, total, 1.0))


class _Distances:
    """Distances at the points of one call, and their products, each evaluated once."""

    def __init__(self, x: Any) -> None:
        self.x = x
        self.known: list[tuple[tuple[Distance, ...], Any]] = []

    def product(self, of: tuple[Distance, ...]) -> Any:
        for distances, value in self.known:
            if distances == of:
                return value
        value = of[0](self.x) if len(of) == 1 else self.product(of[:-1]) * self.product(of[-1:])
        if value.shape != self.x.shape[:-1]:
            raise ConfigError(
                f"a distance has shape {tuple(value.shape)} at points {tuple(self.x.shape)}; "
                "expected one number for each point. Index columns as x[..., 0]"
            )
        self.known.append((of, value))
        return value


def _primal(value: Any) -> Tensor:
    return value.primal if isinstance(value, Jet) else value


def _nearest(distances: Sequence[Any]) -> list[Tensor]:
    """Equal weights for the pieces that are nearest, of sum one."""
    sizes = torch.stack([_primal(distance).detach().abs() for distance in distances])
    chosen = (sizes == sizes.amin(0)).to(sizes.dtype)
    return list((chosen / chosen.sum(0)).unbind(0))


def _sum(terms: Sequence[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _weighted(weights: Sequence[Any], values: Sequence[Any]) -> Any:
    """``sum_i w_i g_i``, zero values left out."""
    return _sum([weight * value for weight, value in zip(weights, values, strict=True) if value is not None])


@dataclass(frozen=True, eq=False)
class Initial:
    frame: Frame
    values: Mapping[str, CoordinateFunction]
    velocities: Mapping[str, CoordinateFunction]
    time: str
    start: float

    def __call__(self, x: Any, y: Any) -> Any:
        columns = self.frame.columns(x)
        elapsed = columns[self.time] - self.start
        # A value that depends on time would otherwise add to the velocity.
        held = Columns(x, self.frame, {self.time: torch.full_like(columns[self.time], self.start)})

        def constrained(name: str, output: Any) -> Any:
            if name not in self.values:
                return output
            value = self.frame.value(self.values[name], held)
            if name not in self.velocities:
                return value + elapsed * output
            velocity = self.frame.value(self.velocities[name], held)
            return value + elapsed * (velocity + elapsed * output)

        return self.frame.assemble(y, constrained)
