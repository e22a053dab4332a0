"""Conditions that hold by construction, whatever the weights of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from ..errors import ConfigError, unknown
from ..jets import Jet
from ..typing import Float, Tensor
from ._transforms import Dirichlet, Distance, Frame, Initial, boundary
from .coordinates import Value

__all__ = ["Ansatz", "DirichletAnsatz", "Distance", "InitialAnsatz", "Transform"]

Transform = Callable[[Any, Any], Any]
"""Points (n, d) and network outputs (n, m) to fields (n, m)."""


class Ansatz(nn.Module):
    """A network whose outputs are transformed: ``u(x) = transform(x, N(x))``.

    Args:
        network: Points (n, d) to (n, m), also on jets.
        transform: Function of points and outputs, built from operations that have a Taylor rule.

    >>> import torch
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

    >>> import torch
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
        frame = Frame(tuple(coords), tuple(fields))
        frame.check_fields(parts)
        super().__init__(
            network, Dirichlet(frame, {name: boundary(pieces, frame, name) for name, pieces in parts.items()})
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

    >>> import torch
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
        frame = Frame(tuple(coords), tuple(fields))
        rates = velocities or {}
        frame.check_fields(values)
        frame.check_fields(rates)
        for name in rates:
            if name not in values:
                raise ConfigError(f'field "{name}" has a start velocity but no start value; give both')
        if time not in frame.coords:
            raise ConfigError(unknown("time coordinate", time, frame.coords))
        super().__init__(network, Initial(frame, frame.match(values), frame.match(rates), time, float(start)))
