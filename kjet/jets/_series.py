"""Arithmetic on lists of Taylor coefficients: what the rules are written with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..typing import Tensor
from .jet import Jet

Coefficient = Tensor | None


def plus(a: Coefficient, b: Coefficient) -> Coefficient:
    """Add two coefficients, of which each may be zero (None)."""
    if a is None:
        return b
    return a if b is None else a + b


def aligned(coefficient: Tensor, ndim: int) -> Tensor:
    """Insert axes behind the row axis, so that a coefficient broadcasts against a tensor of ``ndim`` axes."""
    missing = ndim + 1 - coefficient.ndim
    if missing <= 0:
        return coefficient
    return coefficient.reshape(coefficient.shape[0], *(1,) * missing, *coefficient.shape[1:])


def elementwise_pair(x: Jet, ndim: int) -> Jet:
    """View a jet as one of ``ndim`` axes, for broadcasting against another operand."""
    if x.ndim >= ndim:
        return x
    return Jet([x.primal, *(None if c is None else aligned(c, ndim) for c in x.coefficients[1:])], x.layout)


def linear(x: Jet, function: Callable[[Tensor], Tensor], rowwise: Callable[[Tensor], Tensor]) -> Jet:
    """Apply a linear operation: ``function`` to the primal, ``rowwise`` to the coefficients."""
    return Jet([function(x.primal), *(None if c is None else rowwise(c) for c in x.coefficients[1:])], x.layout)


def convolve(
    a: Jet, b: Jet, k: int, product: Callable[[Tensor, Tensor], Tensor], rowed: Callable[[int, int], Any] | None = None
) -> Coefficient:
    """Coefficient ``k`` of a bilinear product: ``sum_i product(a_i, b_{k-i})``.

    ``rowed(i, j)`` may give the product to use for the pair of orders (whether each has a row axis).
    """

    def times(i: int, j: int, left: Coefficient, right: Coefficient) -> Coefficient:
        if left is None or right is None:
            return None
        return (rowed(i, j) if rowed else product)(left, right)

    outer = plus(
        times(0, k, a.coefficients[0], b.coefficients[k]),
        times(k, 0, a.coefficients[k], b.coefficients[0]) if k else None,
    )
    if k < 2:
        return outer
    inner: Coefficient = None
    if a is b and rowed is None:
        for i in range(1, (k + 1) // 2):
            term = times(i, k - i, a.lower(i, k), a.lower(k - i, k))
            inner = plus(inner, None if term is None else 2 * term)
        if k % 2 == 0:
            inner = plus(inner, times(k // 2, k // 2, a.lower(k // 2, k), a.lower(k // 2, k)))
    else:
        for i in range(1, k):
            inner = plus(inner, times(i, k - i, a.lower(i, k), b.lower(k - i, k)))
    return plus(outer, None if inner is None else a.layout.reduce(k, inner))


def compose_with_slope(x: Jet, value: Tensor, slope: Callable[[Any], Any]) -> Jet:
    """Push a jet through ``y = f(x)`` whose derivative is a torch function that has rules itself.

    ``y_k = g_0 x_k + (1/k) sum_{0<j<k} j x_j g_{k-j}``, ``g = f'(x)``, where the second part needs lower orders only
    and is summed into its slots before the first is added. This recurrence keeps float32 digits at high order where
    Stirling-type formulas lose them.

    Args:
        x: Argument.
        value: ``f`` at the primal.
        slope: ``f'``, of the primal or of a jet one order lower.

    Cost: that of the slope, and O(K^2) elementwise products.

    >>> import torch
    >>> from kjet.jets.layout import Layout
    >>> x = Jet([torch.tensor(0.5), torch.ones(1), None], Layout.uniform(1, 2))
    >>> y = compose_with_slope(x, x.primal.log(), torch.reciprocal)
    >>> [round(float(c), 4) for c in y.coefficients]
    [-0.6931, 2.0, -2.0]
    """
    if x.order == 1:
        g: list[Coefficient] = [slope(x.primal)]
    else:
        lower = [x.primal, *(x.lower(k, k + 1) for k in range(1, x.order))]
        g = slope(Jet(lower, x.layout.truncated())).coefficients
    y: list[Coefficient] = [value]
    for k in range(1, x.order + 1):
        top = x.coefficients[k]
        y.append(plus(None if top is None else g[0] * top, _inner(x, g, k)))  # type: ignore[operator]
    return Jet(y, x.layout)


def _inner(x: Jet, g: list[Coefficient], k: int) -> Coefficient:
    total: Coefficient = None
    active = x.layout.active(k)
    for j in range(1, k):
        left, right = x.lower(j, k), g[k - j]
        if left is not None and right is not None:
            total = plus(total, (j / k) * (left * right[:active]))
    return None if total is None else x.layout.reduce(k, total)
