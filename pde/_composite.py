"""Derivatives of torch functions of expressions, by jets along integer directions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from ..jets import Jet, Layout, SparseIndex
from ..jets.directions import Direction, decompose
from ..typing import Tensor
from .expression import Apply, Expression, Number, differentiate

Inputs = list[list[list[Expression]]]


def directional_inputs(call: Apply, index: SparseIndex) -> tuple[list[float], Inputs]:
    """Weights and, for each direction and argument, the directional derivatives of orders 1 to ``|index|``."""
    weights, order = decompose({index: Fraction(1)}), sum(entry for _, entry in index)
    inputs = [[_along(child, v, order) for child in call._children()] for v in weights]
    return [float(w) for w in weights.values()], inputs


def _along(node: Expression, direction: Direction, order: int) -> list[Expression]:
    rows, current = [], node
    for _ in range(order):
        terms = [Number(float(step), node._frame) * differentiate(current, axis) for axis, step in direction]
        current = terms[0]
        for term in terms[1:]:
            current = current + term
        rows.append(current)
    return rows


def evaluate_composite(
    call: Apply, weights: Sequence[float], inputs: Inputs, value: Callable[[Expression], Any]
) -> Tensor:
    """``sum_r w_r K! [t^K] f(a_1(t), a_2(t), ...)`` with the arguments expanded along direction r."""
    order = len(inputs[0][0])
    children = call._children()
    total: Any = 0.0
    layout = Layout.uniform(1, order)
    for weight, direction in zip(weights, inputs, strict=True):
        jets = iter(
            [
                _jet(value(child), [value(n) for n in rows], layout)
                for child, rows in zip(children, direction, strict=True)
            ]
        )
        result = call._function(*_substitute(call._args, jets), **call._kwargs)
        top = result.coefficients[order] if isinstance(result, Jet) else None
        if top is not None:
            total = total + (weight * math.factorial(order)) * top[0]
    return total


def _jet(primal: Any, rows: list[Any], layout: Layout) -> Any:
    if all(not isinstance(row, Tensor) and row == 0 for row in rows):
        return primal
    shape = next(row for row in rows if isinstance(row, Tensor)) if not isinstance(primal, Tensor) else primal
    base = primal if isinstance(primal, Tensor) else shape.new_tensor(primal).expand(shape.shape)
    coefficients: list[Tensor | None] = [base]
    for k, row in enumerate(rows, start=1):
        if not isinstance(row, Tensor):
            coefficients.append(None if row == 0 else base.new_full((1, *base.shape), row / math.factorial(k)))
        else:
            coefficients.append((row / math.factorial(k)).expand(base.shape).unsqueeze(0))
    return Jet(coefficients, layout)


def _substitute(args: Any, values: Any) -> Any:
    replaced = [
        next(values)
        if isinstance(arg, Expression)
        else _substitute(arg, values)
        if isinstance(arg, list | tuple)
        else arg
        for arg in args
    ]
    return tuple(replaced) if isinstance(args, tuple) else replaced


def substitute(args: Any, values: Sequence[Any]) -> Any:
    """Replace the expressions among (nested) arguments by values, in order."""
    return _substitute(args, itertools.chain(values))
