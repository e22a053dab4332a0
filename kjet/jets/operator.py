"""Linear differential operators with constant or variable coefficients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from ..errors import ConfigError
from ..typing import MultiIndex, Tensor
from .derivative import Derivative, Quantity, SparseIndex, Trace, as_derivative, dense, quantity, sparse

__all__ = [
    "Biharmonic",
    "Laplacian",
    "LinearOperator",
    "Operator",
    "Trace",
    "axis_index",
    "check_index",
    "split",
]


def check_index(index: Sequence[Any], d: int) -> MultiIndex:
    """Return a multi-index, dense or sparse, as a tuple of ``d`` ints.

    Raises:
        ConfigError: If its length is not d or an entry is negative.
    """
    return dense(sparse(index, d), d)


def check_axes(axes: Sequence[int] | None, d: int) -> None:
    """Check that axes are different columns of ``d`` coordinates.

    Raises:
        ConfigError: If they are not.
    """
    if axes is not None and (not axes or len(set(axes)) < len(axes) or not all(0 <= axis < d for axis in axes)):
        raise ConfigError(f"axes {tuple(axes)} must be different columns of x, from 0 to {d - 1}")


def axis_index(axis: int, order: int, d: int) -> MultiIndex:
    """Multi-index of ``d^order / dx_axis^order``."""
    return tuple(order if i == axis else 0 for i in range(d))


@runtime_checkable
class LinearOperator(Protocol):
    """A linear differential operator whose dimension is taken from the points.

    One that also has ``quantity(d)`` is planned from that, without a multi-index for each coordinate.
    """

    def terms(self, d: int) -> dict[MultiIndex, float | Tensor]:
        """Coefficients by multi-index in ``d`` coordinates."""
        ...


def split(operator: LinearOperator, d: int) -> tuple[Quantity, dict[Derivative, Tensor]]:
    """Part with constant coefficients, and derivatives with one coefficient for each point."""
    whole = getattr(operator, "quantity", None)
    if whole is not None:
        return whole(d), {}
    terms = operator.derivatives(d) if isinstance(operator, Operator) else operator.terms(d)
    fixed = {index: c for index, c in terms.items() if not isinstance(c, Tensor)}
    varying = {as_derivative(index, d): c for index, c in terms.items() if isinstance(c, Tensor)}
    return quantity(fixed), varying


@dataclass(frozen=True)
class Operator:
    """``sum_alpha c_alpha d^alpha``, each coefficient a number or a tensor of one value for each point (n,).

    Args:
        coefficients: By multi-index, dense with an order for each coordinate, or sparse: ``{((3, 2),): 1.0}`` is
            d^2/dx_3^2; or by :class:`Trace`, a power of the Laplacian over some axes.

    Raises:
        ConfigError: If it is empty, a coefficient is not finite, or multi-indices differ in length.

    >>> Operator({(1, 0): 1.0, (0, 2): -0.5}).terms(2)
    {(1, 0): 1.0, (0, 2): -0.5}
    """

    coefficients: Mapping[Any, float | Tensor]

    def __post_init__(self) -> None:
        if not self.coefficients:
            raise ConfigError("an operator needs at least one term, such as {(2, 0): 1.0}")
        for index, value in self.coefficients.items():
            finite = bool(torch.isfinite(value).all()) if isinstance(value, Tensor) else math.isfinite(value)
            if not finite:
                raise ConfigError(f"coefficient of {index} is not finite; got {value}")

    def derivatives(self, d: int) -> dict[Derivative, float | Tensor]:
        """Coefficients by derivative, none of which has the length of d."""
        found: dict[Derivative, float | Tensor] = {}
        for key, value in self.coefficients.items():
            derivative = as_derivative(key, d)
            found[derivative] = found[derivative] + value if derivative in found else value
        return found

    def terms(self, d: int) -> dict[MultiIndex, float | Tensor]:
        """Coefficients by multi-index."""
        total: dict[MultiIndex, float | Tensor] = {}
        for derivative, value in self.derivatives(d).items():
            for index, multiple in derivative.expanded().items():
                key, term = dense(index, d), value if multiple == 1 else multiple * value
                total[key] = total[key] + term if key in total else term
        return total


@dataclass(frozen=True)
class Laplacian:
    """``sum_i u_ii`` over ``axes`` (all by default), or ``sum_ij W_ij u_ij`` with a weight.

    Args:
        weight: Matrix (d, d), symmetrised; None for the identity.
        axes: Coordinates to sum over, such as the spatial ones.
    """

    weight: Tensor | None = None
    axes: Sequence[int] | None = None

    def check(self, d: int) -> None:
        """Compare the weight and the axes with the number of coordinates.

        Raises:
            ConfigError: If they do not fit.
        """
        if self.weight is not None and self.weight.shape != (d, d):
            raise ConfigError(f"weight of the Laplacian is {tuple(self.weight.shape)}; expected ({d}, {d})")
        check_axes(self.axes, d)

    def quantity(self, d: int) -> Quantity:
        """The sum, by name where there is no weight."""
        self.check(d)
        if self.weight is None:
            return quantity({Trace(_all(self.axes, d)): 1.0})
        return quantity(self._weighted())

    def terms(self, d: int) -> dict[MultiIndex, float | Tensor]:
        """Coefficients by multi-index."""
        self.check(d)
        if self.weight is None:
            return {axis_index(i, 2, d): 1.0 for i in _all(self.axes, d)}
        found: dict[MultiIndex, float | Tensor] = {dense(index, d): c for index, c in self._weighted().items()}
        return found or {axis_index(0, 2, d): 0.0}

    def _weighted(self) -> dict[SparseIndex, float]:
        assert self.weight is not None  # asked for only then
        rows = self.weight.tolist()
        result: dict[SparseIndex, float] = {}
        for i, row in enumerate(rows):
            for j in range(i, len(rows)):
                value = row[i] if i == j else row[j] + rows[j][i]
                if value:
                    result[((i, 2),) if i == j else ((i, 1), (j, 1))] = value
        return result


@dataclass(frozen=True)
class Biharmonic:
    """``Laplacian of the Laplacian``: ``sum_ij u_iijj`` over ``axes`` (all by default)."""

    axes: Sequence[int] | None = None

    def quantity(self, d: int) -> Quantity:
        """The sum, by name."""
        check_axes(self.axes, d)
        return quantity({Trace(_all(self.axes, d), 2): 1.0})

    def terms(self, d: int) -> dict[MultiIndex, float | Tensor]:
        """Coefficients by multi-index."""
        return {**self.quantity(d).dense(d)}


def _all(axes: Sequence[int] | None, d: int) -> range | tuple[int, ...]:
    return range(d) if axes is None else axes if isinstance(axes, range) else tuple(axes)
