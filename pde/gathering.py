"""Sums of derivatives with constant coefficients, gathered into one quantity each.

``u_t + u u_x - nu u_xx`` needs u, u_x and the sum ``u_t - nu u_xx``, not its two terms: one channel less through the
network wherever the Taylor pass can sum before it propagates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import torch

from ..jets import Quantity
from ._composite import substitute
from .expression import Apply, Expression, Field, Number, Parameter, Product, Sum

__all__ = ["gathered"]

Term = tuple[float, Expression]


def gathered(outputs: Sequence[Expression], known: Mapping[str, float]) -> list[Expression]:
    """Rewrite expressions so that each sum holds at most one derivative of a field with a constant coefficient.

    Terms that are read elsewhere, too, stay as they are: they have to be computed anyway.

    Args:
        outputs: Expressions that are evaluated together.
        known: Parameters that are fixed numbers; products with others are left alone.
    """
    sums = [list(_terms(node, 1.0, known)) for node in outputs]
    inside = Counter(_name(node) for terms in sums for _, node in terms if isinstance(node, Field))
    others = [node for terms in sums for _, node in terms if not isinstance(node, Field)]
    elsewhere = {_name(node) for node in _reachable(others) if isinstance(node, Field)}
    shared = elsewhere | {name for name, count in inside.items() if count > 1}
    return [_rebuilt(node, terms, shared) for node, terms in zip(outputs, sums, strict=True)]


def _terms(node: Expression, factor: float, known: Mapping[str, float]) -> Iterator[Term]:
    """Take a sum apart: constant factors, and what they multiply."""
    if isinstance(node, Sum):
        yield from _terms(node._left, factor, known)
        yield from _terms(node._right, factor, known)
        return
    if isinstance(node, Product):
        for constant, rest in ((node._left, node._right), (node._right, node._left)):
            value = _constant(constant, known)
            if value is not None:
                yield from _terms(rest, factor * value, known)
                return
    yield factor, node


def _constant(node: Expression, known: Mapping[str, float]) -> float | None:
    match node:
        case Number() if isinstance(node._value, int | float):
            return float(node._value)
        case Parameter():
            return known.get(node._name)
        case Sum() | Product():
            left, right = _constant(node._left, known), _constant(node._right, known)
            if left is None or right is None:
                return None
            return left + right if isinstance(node, Sum) else left * right
        case Apply():
            values = [_constant(child, known) for child in node._children()]
            if any(value is None for value in values):
                return None
            arguments = [torch.tensor(value, dtype=torch.float64) for value in values]
            return float(node._function(*substitute(node._args, arguments), **node._kwargs))
        case _:
            return None


def _name(node: Field) -> tuple[object, ...]:
    return node._name, node._terms


def _reachable(roots: Sequence[Expression]) -> set[Expression]:
    found: set[Expression] = set()
    pending = list(roots)
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += node._children()
    return found


def _rebuilt(whole: Expression, terms: Sequence[Term], shared: set[tuple[object, ...]]) -> Expression:
    """Sum the derivatives of each field into one; keep the expression where there is nothing to sum."""
    totals: dict[str, Quantity] = {}
    rest: list[Term] = []
    merged = 0
    for factor, node in terms:
        if not isinstance(node, Field) or _name(node) in shared:
            rest.append((factor, node))
            continue
        merged += node._name in totals
        term = factor * node._terms
        totals[node._name] = totals[node._name] + term if node._name in totals else term
    if not merged:
        return whole
    frame = whole._frame
    nodes: list[Expression] = [Field(name, total, frame) for name, total in totals.items()]
    nodes += [node if factor == 1 else Product(Number(factor, frame), node) for factor, node in rest]
    result = nodes[0]
    for node in nodes[1:]:
        result = Sum(result, node)
    return result
