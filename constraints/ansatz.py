"""Conditions that hold by construction, whatever the weights of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import ConfigError, unknown
from ..jets import Jet
from ..typing import Float, Tensor
from .coordinates import CoordinateFunction, Value

__all__ = ["Ansatz", "DirichletAnsatz", "Distance", "InitialAnsatz", "Transform"]

Distance = Callable[[Any], Any]
"""Points (n, d) to numbers (n,) that vanish on a part of the boundary and nowhere else in the domain."""

Transform = Callable[[Any, Any], Any]
"""Points (n, d) and network outputs (n, m) to fields (n, m)."""


class Ansatz(nn.Module):
    """A network whose outputs are transformed: ``u(x) = transform(x, N(x))``.

    Args:
        network: Points (n, d) to (n, m), also on jets.
        transform: Function of points and outputs, built from operations that have a Taylor rule.

    >>> double = Ansatz(nn.Identity(), lambda x, y: 2 * y)
    >>> double(torch.tensor([[3.0]])).item()
    6.0
    """

    def __init__(self, network: nn.Module, transform: Transform) -> None:
        super().__init__()
        self.network = network
        self.transform = transform

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n m"] | Jet:
        """Evaluate at points, or at jets of them."""
        return self.transform(x, self.network(x))


class DirichletAnsatz(Ansatz):
    """Fields with given values on parts of the boundary: ``u = g(x) + phi(x) N(x)``.

    ``phi`` is the product of the distances ``phi_i`` to the parts of a field. One piece has ``g = g_1``; several are
    joined by transfinite interpolation, ``g = sum_i w_i g_i`` with ``w_i = prod_{j != i} phi_j / sum_k prod_{j != k}
    phi_j``, which is ``g_i`` on part i. Parts with the same value count as one, of distance the product of theirs.
    Where parts of different values meet, ``w`` is not defined: there the values of the parts that meet are averaged.

    Start values are pieces too: ``(lambda x: x[..., 1], u0)`` for time in column 1. With the distance squared and
    the value ``u0 + t v0``, the velocity at the start is given as well.

    Args:
        network: Points (n, d) to (n, m), also on jets.
        coords: Names of the columns of the points.
        fields: Names of the columns of the output.
        parts: Field to its pieces ``(distance, value)``; fields not named pass through. A value is a number or a
            function of coordinates by name. Distances come from ``domain.distance(x, part)``.

    Raises:
        ConfigError: If a field or a coordinate is unknown, a field has no pieces, or, when called, shapes do not fit.

    Cost: that of the network, and O(pieces) products for each field. ``phi`` is small where many distances are
    multiplied: prefer one distance to a whole boundary to one for each of its faces where the values are equal.

    Ref: Lagaris, Likas, Fotiadis, *Artificial neural networks for solving ordinary and partial differential equations*,
    1998; Rvachev et al., *Transfinite interpolation over implicitly defined sets*, 2001, for several pieces; Sukumar,
    Srivastava, *Exact imposition of boundary conditions with distance functions in physics-informed deep neural
    networks*, 2022.

    >>> walls = lambda x: x[..., 0] * (1 - x[..., 0])
    >>> u = DirichletAnsatz(nn.Linear(1, 1), ("x",), ("u",), {"u": [(walls, lambda x: 1 + x)]})
    >>> u(torch.tensor([[0.0], [1.0]])).flatten().tolist()
    [1.0, 2.0]
    """

    def __init__(
        self,
        network: nn.Module,
        coords: Sequence[str],
        fields: Sequence[str],
        parts: Mapping[str, Sequence[tuple[Distance, Value]]],
    ) -> None:
        frame = _Frame(tuple(coords), tuple(fields))
        frame.check_fields(parts)
        super().__init__(
            network, _Dirichlet(frame, {name: _boundary(pieces, frame, name) for name, pieces in parts.items()})
        )


class InitialAnsatz(Ansatz):
    """Fields with given start values: ``u = u0 + (t - t0) N``, with velocities ``u0 + (t - t0) v0 + (t - t0)^2 N``.

    Args:
        network: Points (n, d) to (n, m), also on jets.
        coords: Names of the columns of the points.
        fields: Names of the columns of the output.
        values: Field to its start value, a number or a function of coordinates by name; time is held at the start.
            Fields not named pass through.
        velocities: Field to its first time derivative at the start, for equations of second order in time.
        time: Name of the time coordinate.
        start: Start time t0.

    Raises:
        ConfigError: If a field or a coordinate is unknown, a velocity comes without a value, or, when called, shapes
            do not fit.

    Ref: Lagaris, Likas, Fotiadis, *Artificial neural networks for solving ordinary and partial differential equations*,
    1998, section 2.

    >>> u = InitialAnsatz(nn.Linear(2, 1), ("x", "t"), ("u",), {"u": lambda x: x**2})
    >>> u(torch.tensor([[3.0, 0.0]])).item()
    9.0
    """

    def __init__(
        self,
        network: nn.Module,
        coords: Sequence[str],
        fields: Sequence[str],
        values: Mapping[str, Value],
        velocities: Mapping[str, Value] | None = None,
        *,
        time: str = "t",
        start: float = 0.0,
    ) -> None:
        frame = _Frame(tuple(coords), tuple(fields))
        rates = velocities or {}
        frame.check_fields(values)
        frame.check_fields(rates)
        for name in rates:
            if name not in values:
                raise ConfigError(f'field "{name}" has a start velocity but no start value; give both')
        if time not in frame.coords:
            raise ConfigError(unknown("time coordinate", time, frame.coords))
        super().__init__(network, _Initial(frame, frame.match(values), frame.match(rates), time, float(start)))


@dataclass(frozen=True)
class _Frame:
    """Names of the columns of points and fields."""

    coords: tuple[str, ...]
    fields: tuple[str, ...]

    def check_fields(self, names: Mapping[str, Any]) -> None:
        for name in names:
            if name not in self.fields:
                raise ConfigError(unknown("field", name, self.fields))

    def match(self, values: Mapping[str, Value]) -> dict[str, CoordinateFunction]:
        return {name: CoordinateFunction.of(value, self.coords) for name, value in values.items()}

    def columns(self, x: Any) -> dict[str, Any]:
        if x.shape[-1] != len(self.coords):
            raise ConfigError(f"points have {x.shape[-1]} columns; expected one for each of {self.coords}")
        return {name: x[..., i] for i, name in enumerate(self.coords)}

    def value(self, function: CoordinateFunction, columns: Mapping[str, Any]) -> Any:
        """Evaluate to a number or to values (n,); a value (n, 1) would broadcast to (n, n) behind our back."""
        result, like = function(columns), columns[self.coords[0]]
        if isinstance(result, Tensor | Jet) and result.shape not in ((), like.shape):
            raise ConfigError(
                f"a value has shape {tuple(result.shape)} at points {tuple(like.shape)}; expected one number each. "
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
class _Piece:
    """Parts of the boundary with one value."""

    distances: tuple[Distance, ...]
    value: CoordinateFunction

    def is_zero(self) -> bool:
        return isinstance(self.value.value, int | float) and self.value.value == 0


def _boundary(parts: Sequence[tuple[Distance, Value]], frame: _Frame, name: str) -> tuple[_Piece, ...]:
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
    return tuple(_Piece(of, value) for of, value in zip(distances, values, strict=True))


def _same(a: Value, b: Value) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return a is b
    return a is b or bool(a == b)


@dataclass(frozen=True, eq=False)
class _Dirichlet:
    frame: _Frame
    pieces: Mapping[str, tuple[_Piece, ...]]

    def __call__(self, x: Any, y: Any) -> Any:
        columns, known = self.frame.columns(x), _Distances(x)

        def constrained(name: str, output: Any) -> Any:
            if name not in self.pieces:
                return output
            pieces = self.pieces[name]
            phi = known.product(tuple(of for piece in pieces for of in piece.distances))
            return self._extension(pieces, columns, known) + phi * output

        return self.frame.assemble(y, constrained)

    def _extension(self, pieces: tuple[_Piece, ...], columns: Mapping[str, Any], known: _Distances) -> Any:
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
class _Initial:
    frame: _Frame
    values: Mapping[str, CoordinateFunction]
    velocities: Mapping[str, CoordinateFunction]
    time: str
    start: float

    def __call__(self, x: Any, y: Any) -> Any:
        columns = self.frame.columns(x)
        elapsed = columns[self.time] - self.start
        # A value that depends on time would otherwise add to the velocity.
        held = {**columns, self.time: torch.full_like(columns[self.time], self.start)}

        def constrained(name: str, output: Any) -> Any:
            if name not in self.values:
                return output
            value = self.frame.value(self.values[name], held)
            if name not in self.velocities:
                return value + elapsed * output
            velocity = self.frame.value(self.velocities[name], held)
            return value + elapsed * (velocity + elapsed * output)

        return self.frame.assemble(y, constrained)
