"""What an operator is to an estimator: a power of the Laplacian, a sum of squares, or a list of terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from ..derivative import Derivative, SparseIndex, Trace, sparse, total_order
from ..operator import Biharmonic, Laplacian, LinearOperator, Operator, check_axes
from .base import EstimatorError
from .columns import Blocks
from .weighted import Weighted, squares

__all__ = [
    "Scaled",
    "Sum",
    "Target",
    "as_power",
    "by_order",
    "check_trace",
    "lower_and_scaled",
    "second_order",
    "target_of",
    "times",
]

Coefficient = float | Tensor
Terms = dict[SparseIndex, Coefficient]


@dataclass(frozen=True, eq=False)
class Sum:
    """Terms of a general operator.

    Attributes:
        plain: Coefficients of plain derivatives.
        traced: Coefficients of powers of the Laplacian, and of their products with plain derivatives.
    """

    plain: Terms
    traced: dict[Derivative, Coefficient]


Target = Trace | Blocks | Sum


def times(coefficient: Coefficient, value: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Multiply values by a number, or by one for each point.

    Raises:
        ConfigError: If the coefficient has neither one value nor n.
    """
    if not isinstance(coefficient, Tensor):
        return value if coefficient == 1 else coefficient * value
    if coefficient.numel() not in (1, len(value)):
        raise ConfigError(
            f"a coefficient has shape {tuple(coefficient.shape)}; expected one value for each of {len(value)} points"
        )
    return coefficient.reshape(-1, 1) * value


@dataclass(frozen=True, eq=False)
class Scaled:
    """A number, or one value for each point, times a power of the Laplacian or a sum of squares."""

    coefficient: Coefficient
    target: Trace | Blocks

    def times(self, value: Tensor) -> Tensor:
        """Multiply a value (n, m) by the coefficient."""
        return times(self.coefficient, value)


def target_of(operator: Any, d: int) -> Target:
    """Recognise an operator.

    Raises:
        EstimatorError: If it is no linear differential operator.
        ConfigError: If it does not fit d coordinates.
    """
    if isinstance(operator, Trace):
        return operator
    if isinstance(operator, Laplacian):
        operator.check(d)
        return Trace(_all(operator.axes, d)) if operator.weight is None else squares(operator.weight)
    if isinstance(operator, Biharmonic):
        check_axes(operator.axes, d)
        return Trace(_all(operator.axes, d), 2)
    if isinstance(operator, Weighted):
        operator.check(d)
        return operator.blocks()
    if not isinstance(operator, LinearOperator):
        raise EstimatorError(
            f"only a linear differential operator has an unbiased estimate; got {type(operator).__name__}. A nonlinear "
            "function of an estimate is biased: estimate its linear parts, and use Exact() where they enter nonlinearly"
        )
    if not isinstance(operator, Operator):
        return Sum({sparse(index, d): c for index, c in operator.terms(d).items()}, {})
    found = operator.derivatives(d)
    return Sum({a.index: c for a, c in found.items() if not a.traces}, {a: c for a, c in found.items() if a.traces})


def _all(axes: Any, d: int) -> range | tuple[int, ...]:
    return range(d) if axes is None else axes


def check_trace(trace: Trace, d: int) -> None:
    """Compare a trace with the number of coordinates.

    Raises:
        ConfigError: If it has axes beyond them.
    """
    if trace.axes[-1] >= d:
        raise ConfigError(f"axes of {trace} must be different columns of x, from 0 to {d - 1}")


def by_order(terms: Mapping[SparseIndex, Coefficient]) -> dict[int, Terms]:
    """Group terms by the order of their derivatives, rising."""
    groups: dict[int, Terms] = {}
    for index in sorted(terms, key=total_order):
        groups.setdefault(total_order(index), {})[index] = terms[index]
    return groups


def as_power(terms: Mapping[SparseIndex, Coefficient]) -> Scaled | None:
    """Recognise a multiple of a power of the Laplacian over some axes among terms of one order; None if it is not.

    >>> as_power({((0, 4),): 3.0, ((0, 2), (1, 2)): 6.0, ((1, 4),): 3.0})
    Scaled(coefficient=3.0, target=Trace(axes=range(0, 2), power=2))
    """
    order = total_order(next(iter(terms)))
    axes = tuple(index[0][0] for index in terms if len(index) == 1)
    if order == 0 or order % 2 or not axes:
        return None
    trace = Trace(axes, order // 2)
    scale = terms[((axes[0], order),)]
    if isinstance(scale, Tensor):
        # One tensor in all places is a common factor; different ones are not looked into.
        common = trace.power == 1 and len(axes) == len(terms) and all(c is scale for c in terms.values())
        return Scaled(scale, trace) if common else None
    if trace.terms != len(terms) or not scale:
        return None
    for index, multiple in trace.expanded().items():
        c = terms.get(index)
        if c is None or isinstance(c, Tensor) or not math.isclose(c, scale * multiple, rel_tol=1e-12):
            return None
    return Scaled(scale, trace)


def second_order(terms: Mapping[SparseIndex, Coefficient], n: int, d: int) -> Blocks:
    """Write terms of order two as sums of squares, at n points where a coefficient differs between points."""
    varying = [c for c in terms.values() if isinstance(c, Tensor)]
    like = varying[0] if varying else torch.zeros(1, dtype=torch.float64)
    rows: list[list[Tensor]] = [[like.new_zeros(())] * d for _ in range(d)]
    for index, c in terms.items():
        i, j = [axis for axis, order in index for _ in range(order)]
        value = c.reshape(-1) if isinstance(c, Tensor) else like.new_tensor(c)
        if value.numel() not in (1, n):
            raise ConfigError(
                f"coefficient of {index} has shape {tuple(value.shape)}; expected one for each of {n} points"
            )
        rows[i][j] = rows[j][i] = value if i == j else 0.5 * value
    if not varying:
        return squares(torch.tensor([[float(entry) for entry in row] for row in rows], dtype=torch.float64))
    entries = torch.stack([entry.expand(n) for row in rows for entry in row], -1)
    return squares(entries.reshape(n, d, d))


def lower_and_scaled(terms: Mapping[SparseIndex, Coefficient], n: int, d: int) -> tuple[Terms, list[Scaled]]:
    """Split terms into those of order 0 and 1, and multiples of what dense directions estimate without bias.

    Raises:
        EstimatorError: If an order is odd and above 1, or even and above 2 without being a power of the Laplacian.
    """
    lower: Terms = {}
    parts: list[Scaled] = []
    for order, group in by_order(terms).items():
        if order < 2:
            lower.update(group)
            continue
        if order % 2:
            raise EstimatorError(
                f"dense random directions cannot estimate derivatives of odd order {order}: the odd moments of a "
                "symmetric law are zero. Use STDE or Exact()"
            )
        power = as_power(group)
        if power is None and order > 2:
            raise EstimatorError(
                f"terms of order {order} are no multiple of a power of the Laplacian, the only operator of this order "
                "for which dense random directions are unbiased. Use STDE or Exact()"
            )
        parts.append(Scaled(1.0, second_order(group, n, d)) if power is None else power)
    return lower, parts
