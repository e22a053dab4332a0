"""Recorded expressions in other coordinates and fields: ``x = X x' + x0``, ``u = U u' + u0``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..jets import Derivative, Quantity, Varying, quantity
from ._composite import substitute
from ._sums import balanced
from .expression import (
    Apply,
    Composite,
    Coordinate,
    Expression,
    Field,
    Frame,
    Number,
    Parameter,
    Product,
    Sum,
    _product,
    _sum,
    differentiate,
)
from .point_function import _Points
from .recording import _topological
from .terms import additive_terms
from .totals import GradientProduct, VaryingSum, written_out

__all__ = ["Affine", "collected", "rescaled"]


@dataclass(frozen=True)
class Affine:
    """Sizes and offsets of coordinates and fields, in the order of a frame.

    Attributes:
        sizes: Unit of each coordinate.
        origins: Value of each coordinate at zero.
        field_sizes: Unit of each field.
        field_origins: Value of each field at zero.
    """

    sizes: tuple[float, ...]
    origins: tuple[float, ...]
    field_sizes: Mapping[str, float]
    field_origins: Mapping[str, float]


@dataclass(frozen=True)
class _Weight:
    """Coefficients of a sum over coordinates, as a function of the new ones; equal ones are equal for plans."""

    weight: Callable[[Any], Any]
    sizes: tuple[float, ...]
    origins: tuple[float, ...]
    order: int

    @property
    def __name__(self) -> str:
        return str(getattr(self.weight, "__name__", "a"))

    def __call__(self, x: Any) -> Any:
        sizes = torch.tensor(self.sizes, dtype=x.dtype, device=x.device)
        origins = torch.tensor(self.origins, dtype=x.dtype, device=x.device)
        return self.weight(x * sizes + origins) * sizes ** (-self.order)


class _Rescaling:
    """Rebuilds expressions node by node; derivatives ``d^k u / dx^k`` take the factor ``U / X^k``."""

    def __init__(self, affine: Affine, given: Mapping[str, Expression], frame: Frame) -> None:
        self.affine, self.given, self.frame = affine, given, frame
        self.known: dict[Expression, Expression] = {}
        self.calls: dict[int, Apply] = {}

    def __call__(self, roots: Sequence[Expression]) -> list[Expression]:
        for node in _topological(roots):
            self.known[node] = self._rebuilt(node)
        return [self.known[root] for root in roots]

    def _rebuilt(self, node: Expression) -> Expression:
        match node:
            case Field():
                return self._field(node)
            case Coordinate():
                return self._coordinate(node)
            case Sum():
                return _sum(self.known[node._left], self.known[node._right])
            case Product():
                return _product(self.known[node._left], self.known[node._right])
            case Composite():
                factor = 1.0
                for axis, order in node._index:
                    factor /= self.affine.sizes[axis] ** order
                return self._times(factor, Composite(self._call(node._call), node._index))
            case Apply():
                return self._call(node)
            case GradientProduct():
                return self._gradients(node)
            case VaryingSum():
                return self._varying(node)
            case _:
                return node

    def _times(self, factor: float, node: Expression) -> Expression:
        return _product(Number(factor, self.frame), node)

    def _coordinate(self, node: Coordinate) -> Expression:
        sizes, origins = self.affine.sizes, self.affine.origins
        if isinstance(node, _Points):
            size = Number(torch.tensor(sizes, dtype=torch.float64), self.frame)
            return Sum(Product(size, node), Number(torch.tensor(origins, dtype=torch.float64), self.frame))
        return _sum(self._times(sizes[node._axis], node), Number(origins[node._axis], self.frame))

    def _call(self, node: Apply) -> Apply:
        if id(node) not in self.calls:
            arguments = [self.known[child] for child in node._children()]
            self.calls[id(node)] = Apply(node._function, substitute(node._args, arguments), node._kwargs, self.frame)
        return self.calls[id(node)]

    def _field(self, node: Field) -> Expression:
        size, origin = self.affine.field_sizes[node._name], self.affine.field_origins[node._name]
        constant = dict(node._terms).get(Derivative(), 0.0)
        scaled = self._derived(self.given[node._name], self._quantity(node._terms, size))
        return _sum(scaled, Number(constant * origin, self.frame))

    def _quantity(self, terms: Quantity, size: float) -> Quantity:
        sizes, total = self.affine.sizes, Quantity(())
        for derivative, c in terms:
            if all(len({sizes[axis] for axis in trace.axes}) == 1 for trace in derivative.traces):
                powers = [(axis, order) for axis, order in derivative.index]
                powers += [(trace.axes[0], trace.order) for trace in derivative.traces]
                total = total + Quantity.of({derivative: c * size / self._power(powers)})
                continue
            written = {Derivative(i): c * m * size / self._power(i) for i, m in derivative.expanded().items()}
            total = total + Quantity.of(written)
        return total

    def _power(self, powers: Sequence[tuple[int, int]]) -> float:
        result = 1.0
        for axis, order in powers:
            result *= self.affine.sizes[axis] ** order
        return result

    def _derived(self, u: Expression, terms: Quantity) -> Expression:
        """Apply an operator to a field, or term by term to any expression."""
        if isinstance(u, Field):
            return u._apply(terms)
        parts = []
        for index, c in terms.expanded().items():
            part = u
            for axis, order in index:
                for _ in range(order):
                    part = differentiate(part, axis)
            parts.append(self._times(c, part))
        return balanced(parts)

    def _gradients(self, node: GradientProduct) -> Expression:
        affine, axes = self.affine, node._wanted.axes
        sizes = [affine.sizes[axis] for axis in axes]
        factor = affine.field_sizes[node._left] * affine.field_sizes[node._right]
        left, right = self.given[node._left], self.given[node._right]
        if len(set(sizes)) == 1 and isinstance(left, Field) and isinstance(right, Field):
            same = GradientProduct(left._name, right._name, self.frame)
            return self._times(factor / sizes[0] ** 2, same)
        terms = [
            self._times(factor / size**2, _product(differentiate(left, axis), differentiate(right, axis)))
            for axis, size in zip(axes, sizes, strict=True)
        ]
        return balanced(terms)

    def _varying(self, node: VaryingSum) -> Expression:
        affine, wanted = self.affine, node._wanted
        sizes = tuple(affine.sizes[axis] for axis in wanted.axes)
        origins = tuple(affine.origins[axis] for axis in wanted.axes)
        changed = Varying(
            wanted.axes, wanted.order, _Weight(wanted.weight, sizes, origins, wanted.order), wanted.positive
        )
        u = self.given[node._name]
        found = VaryingSum(u._name, changed, self.frame) if isinstance(u, Field) else written_out(u, changed)
        return self._times(affine.field_sizes[node._name], found)


def rescaled(
    roots: Sequence[Expression], affine: Affine, given: Mapping[str, Expression], frame: Frame
) -> list[Expression]:
    """Rewrite expressions of physical coordinates and fields in dimensionless ones, with the same values.

    Args:
        roots: Expressions.
        affine: Sizes and origins.
        given: Dimensionless field for each physical one.
        frame: Names in use.
    """
    return _Rescaling(affine, given, frame)(roots)


def collected(node: Expression, known: Mapping[str, float]) -> list[tuple[float, Expression]]:
    """Write an expression as a sum of constant factors times parts; fixed parameters go into the factors.

    >>> from kjet.pde import Burgers
    >>> [(c, str(part)) for c, part in collected(Burgers(nu=0.5).record()._outputs[0], {"nu": 0.5})]
    [(1.0, 'u_t'), (1.0, 'u u_x'), (-0.5, 'u_xx')]
    """
    return [(c, part) for c, part in (_factor(part, known) for part in additive_terms(node)) if c]


def _factor(node: Expression, known: Mapping[str, float]) -> tuple[float, Expression]:
    one = Number(1.0, node._frame)
    match node:
        case Number() if isinstance(node._value, int | float):
            return float(node._value), one
        case Parameter() if node._name in known:
            return known[node._name], one
        case Product():
            (a, left), (b, right) = _factor(node._left, known), _factor(node._right, known)
            return a * b, _product(left, right)
        case Field() if len(node._terms):
            largest = max((c for _, c in node._terms), key=abs)
            return largest, Field(node._name, quantity({k: c / largest for k, c in node._terms}), node._frame)
        case Apply() if _is_power(node):
            base, exponent = node._args
            factor, rest = _factor(base, known)
            if rest is not base and isinstance(rest, Number) and rest._is(1):
                return factor**exponent, rest
            return factor**exponent, Apply(torch.pow, (rest, exponent), {}, node._frame)
        case Apply() if node._function is torch.reciprocal:
            factor, rest = _factor(node._args[0], known)
            return (1 / factor, Apply(torch.reciprocal, (rest,), {}, node._frame)) if factor else (1.0, node)
        case _:
            return 1.0, node


def _is_power(node: Apply) -> bool:
    whole = len(node._args) == 2 and isinstance(node._args[1], int) and node._args[1] > 0
    return whole and getattr(node._function, "__name__", "") == "pow" and isinstance(node._args[0], Expression)
