"""Operations that are linear in each of their jets: mapped over rows, one order at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..typing import Tensor
from ._series import Coefficient, convolve, linear, plus
from .jet import Jet

__all__ = ["batched", "bilinear", "jointly", "leading", "multilinear", "pieces", "rowwise"]


def rowwise(x: Jet, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Jet:
    """Apply a linear operation to the primal and, mapped over the row axis, to each coefficient.

    Args:
        x: Argument.
        operation: Called with a tensor of the primal's shape.
        args: What the operation takes behind it.
        kwargs: The same, by name.

    >>> import torch
    >>> from kjet.jets.layout import Layout
    >>> x = Jet([torch.tensor([1.0, 2.0]), torch.ones(1, 2)], Layout.uniform(1, 1))
    >>> [c.tolist() for c in rowwise(x, torch.sum, 0).coefficients]
    [3.0, [2.0]]
    """

    def apply(tensor: Tensor) -> Tensor:
        return operation(tensor, *args, **kwargs)

    mapped = torch.func.vmap(apply)
    if x.stack is not None:
        return Jet.stacked(mapped(x.stack), x.layout)
    rows = [x.row(k) for k in range(1, x.order + 1)]
    return Jet([apply(x.primal), *(None if row is None else mapped(row) for row in rows)], x.layout)


def leading(x: Jet, operation: Callable[[Tensor], Tensor]) -> Jet:
    """Apply a linear operation that leaves axes in front alone, such as one along the last axis.

    Args:
        x: Argument.
        operation: Called with the primal, and with coefficients that have the row axis in front.
    """
    if x.stack is not None:
        return Jet.stacked(operation(x.stack), x.layout)
    rows = [x.row(k) for k in range(1, x.order + 1)]
    return Jet([operation(x.primal), *(None if row is None else operation(row) for row in rows)], x.layout)


def batched(x: Jet, operation: Callable[[Tensor], Tensor], axes: int) -> Jet:
    """Apply a linear operation on batches of ``axes`` axes, or single entries: rows become part of the batch."""
    if x.ndim < axes:
        return leading(x, lambda t: operation(t) if t.ndim == axes else operation(t.unsqueeze(0)).squeeze(0))

    def folded(t: Tensor) -> Tensor:
        if t.ndim == axes:
            return operation(t)
        y = operation(t.flatten(0, 1))
        # Not marked as a view, which could not be overwritten in place: nothing else holds the flat result.
        return torch.ops.aten._unsafe_view(y, [t.shape[0], t.shape[1], *y.shape[1:]])

    return leading(x, folded)


def pieces(x: Jet, operation: Callable[[Tensor], Sequence[Tensor]]) -> Sequence[Jet]:
    """Apply a linear operation that leaves axes in front alone and returns several tensors.

    As a list, since a compiler overlooks jets in tuples.
    """
    if x.stack is not None:
        return [Jet.stacked(part, x.layout) for part in operation(x.stack)]
    parts: list[Any] = [operation(x.primal)]
    count = len(parts[0])
    for k in range(1, x.order + 1):
        row = x.row(k)
        parts.append((None,) * count if row is None else operation(row))
    return [Jet([part[i] for part in parts], x.layout) for i in range(count)]


def jointly(operation: Callable[..., Tensor], *operands: Any, mapped: bool = True) -> Jet:
    """Apply an operation that is linear in all operands together, such as concatenation or a sum of updates.

    Args:
        operation: Takes one tensor for each operand.
        operands: Jets and tensors.
        mapped: Whether to map it over rows; if not, it leaves axes in front alone.
    """
    jets = [x for x in operands if isinstance(x, Jet)]
    layout, on_rows = jets[0].layout, torch.func.vmap(operation) if mapped else operation
    stacks = [x.stack for x in jets if x.stack is not None]
    if len(stacks) == len(operands):
        return Jet.stacked(on_rows(*stacks), layout)
    coefficients: list[Coefficient] = [operation(*(x.primal if isinstance(x, Jet) else x for x in operands))]
    for k in range(1, layout.order + 1):
        rows = [x.row(k) if isinstance(x, Jet) else None for x in operands]
        if all(row is None for row in rows):
            coefficients.append(None)
            continue
        like = next(row for row in rows if row is not None)
        filled = [
            like.new_zeros(layout.rows(k), *x.shape, dtype=x.dtype) if row is None else row
            for row, x in zip(rows, operands, strict=True)
        ]
        coefficients.append(on_rows(*filled))
    return Jet(coefficients, layout)


def _expanded(x: Jet) -> Jet:
    """View coefficients in the full shape of the primal."""
    return Jet([x.primal, *(x.row(k) for k in range(1, x.order + 1))], x.layout)


def bilinear(a: Any, b: Any, product: Callable[[Tensor, Tensor], Tensor]) -> Jet:
    """Apply a bilinear operation, mapped over the row axes of whichever operand has them.

    Args:
        a: Jet or tensor.
        b: Jet or tensor; one of the two is a jet.
        product: Called with tensors of the operands' shapes.

    >>> import torch
    >>> from kjet.jets.layout import Layout
    >>> x = Jet([torch.tensor([1.0, 2.0]), torch.ones(1, 2), None], Layout.uniform(1, 2))
    >>> [c.tolist() for c in bilinear(x, x, torch.dot).coefficients]
    [5.0, [6.0], [2.0]]
    """
    maps = {
        (True, True): torch.func.vmap(product),
        (True, False): torch.func.vmap(product, in_dims=(0, None)),
        (False, True): torch.func.vmap(product, in_dims=(None, 0)),
        (False, False): product,
    }
    if isinstance(a, Jet) and isinstance(b, Jet):
        a, b = _expanded(a), _expanded(b)

        def chosen(i: int, j: int) -> Callable[[Tensor, Tensor], Tensor]:
            return maps[i > 0, j > 0]

        rows = [convolve(a, b, k, product, chosen) for k in range(1, a.order + 1)]
        return Jet([product(a.primal, b.primal), *rows], a.layout)
    jet, left = (a, True) if isinstance(a, Jet) else (b, False)
    mapped = maps[left, not left]

    def rowed(c: Tensor) -> Tensor:
        return mapped(c, b) if left else mapped(a, c)

    if jet.stack is not None:
        return Jet.stacked(rowed(jet.stack), jet.layout)
    return linear(_expanded(jet), lambda c: product(c, b) if left else product(a, c), rowed)


def multilinear(operation: Callable[..., Tensor], *operands: Jet) -> Jet:
    """Apply an operation that is linear in each of any number of jets.

    Coefficient k is the sum over all ways to distribute k over the operands.

    Cost: O(K^(operands - 1)) terms for each order.
    """
    jets = [_expanded(x) for x in operands]
    layout = jets[0].layout
    coefficients: list[Coefficient] = [operation(*(x.primal for x in jets))]
    for k in range(1, layout.order + 1):
        outer: Coefficient = None
        inner: Coefficient = None
        for orders in itertools.product(range(k + 1), repeat=len(jets)):
            if sum(orders) != k:
                continue
            if max(orders) == k:
                outer = plus(
                    outer, _term(operation, orders, [x.coefficients[j] for x, j in zip(jets, orders, strict=True)])
                )
            else:
                inner = plus(
                    inner, _term(operation, orders, [x.lower(j, k) for x, j in zip(jets, orders, strict=True)])
                )
        coefficients.append(plus(outer, None if inner is None else layout.reduce(k, inner)))
    return Jet(coefficients, layout)


def _term(operation: Callable[..., Tensor], orders: Sequence[int], factors: Sequence[Coefficient]) -> Coefficient:
    if any(factor is None for factor in factors):
        return None
    return torch.func.vmap(operation, in_dims=tuple(0 if j else None for j in orders))(*factors)
