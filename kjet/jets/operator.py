"""Linear differential operators with constant or variable coefficients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

import torch

from ..errors import ConfigError
from ..typing import MultiIndex, Tensor

__all__ = ["Biharmonic", "Laplacian", "LinearOperator", "Operator", "axis_index", "check_index"]


def check_index(index: MultiIndex, d: int) -> MultiIndex:
    """Return a multi-index as a tuple of ints after checking it against ``d`` coordinates.

    Raises:
        ConfigError: If its length is not d or an entry is negative.
    """
    entries = tuple(int(entry) for entry in index)
    if len(entries) != d or min(entries) < 0:
        raise ConfigError(f"multi-index {tuple(index)} needs {d} non-negative entries, one for each coordinate of x")
    return entries


def check_axes(axes: tuple[int, ...] | None, d: int) -> None:
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
    """A linear differential operator whose dimension is taken from the points."""

    def terms(self, d: int) -> dict[MultiIndex, float | Tensor]:
        """Coefficients by multi-index in ``d`` coordinates."""
        ...


@dataclass(frozen=True)
class Operator:
    """``sum_alpha c_alpha d^alpha``, each coefficient a number or a tensor of one value for each point (n,).

    Raises:
        ConfigError: If it is empty, a coefficient is not finite, or multi-indices differ in length.

    >>> Operator({(1, 0): 1.0, (0, 2): -0.5}).terms(2)
    {(1, 0): 1.0, (0, 2): -0.5}
    """

    coefficients: Mapping[MultiIndex, float | Tensor]

    def __post_init__(self) -> None:
        if not self.coefficients:
            raise ConfigError("an operator needs at least one term, such as {(2, 0): 1.0}")
        for index, value in self.coefficients.items():
            finite = bool(torch.isfinite(value).all()) if isinstance(value, Tensor) else math.isfinite(value)
            if not finite:
                raise ConfigError(f"coefficient of {index} is not finite; got {value}")

    def terms(self, d: int) -> dict[MultiIndex, float | Tensor]:
        """Coefficients by multi-index."""
        return {check_index(index, d): value for index, value in self.coefficients.items()}


@dataclass(frozen=True)
class Laplacian:
    """``sum_i u_ii`` over ``axes`` (all by default), or ``sum_ij W_ij u_ij`` with a weight.

    Args:
        weight: Matrix (d, d), symmetrised; None for the identity.
        axes: Coordinates to sum over, such as the spatial ones.
    """

    weight: Tensor | None = None
    axes: tuple[int, ...] | None = None

    def check(self, d: int) -> None:
        """Compare the weight and the axes with the number of coordinates.

        Raises:
            ConfigError: If they do not fit.
        """
        if self.weight is not None and self.weight.shape != (d, d):
            raise ConfigError(f"weight of the Laplacian is {tuple(self.weight.shape)}; expected ({d}, {d})")
        check_axes(self.axes, d)

    def terms(self, d: int) -> dict[MultiIndex, float | Tensor]:
        """Coefficients by multi-index."""
        self.check(d)
        if self.weight is None:
            return {axis_index(i, 2, d): 1.0 for i in (range(d) if self.axes is None else self.axes)}
        result: dict[MultiIndex, float | Tensor] = {}
        rows = self.weight.tolist()
        for i in range(d):
            for j in range(i, d):
                value = rows[i][j] if i == j else rows[i][j] + rows[j][i]
                if value:
                    result[tuple((k == i) + (k == j) for k in range(d))] = value
        return result or {axis_index(0, 2, d): 0.0}


@dataclass(frozen=True)
class Biharmonic:
    """``Laplacian of the Laplacian``: ``sum_ij u_iijj`` over ``axes`` (all by default)."""

    axes: tuple[int, ...] | None = None

    def terms(self, d: int) -> dict[MultiIndex, float | Tensor]:
        """Coefficients by multi-index."""
        check_axes(self.axes, d)
        axes = range(d) if self.axes is None else self.axes
        result: dict[MultiIndex, float | Tensor] = {}
        for i in axes:
            for j in axes:
                index = tuple(2 * (k == i) + 2 * (k == j) for k in range(d))
                result[index] = result.get(index, 0.0) + 1.0
        return result


def symbol_power(index: MultiIndex) -> Fraction:
    """``alpha! / |alpha|!``: weight of a multi-index in the directional derivative of its order."""
    numerator = math.prod(math.factorial(entry) for entry in index)
    return Fraction(numerator, math.factorial(sum(index)))
