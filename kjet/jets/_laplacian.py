"""Elementwise functions on the commonest jet of all: one weighted sum of second derivatives, as of a Laplacian.

With rows ``u_r`` of order 1 and the sum ``U`` of order 2, ``y_r = f' u_r`` and ``Y = f' U + f'' S / 2``, where
``S = sum_r w_r u_r^2`` is formed first: the general recurrence multiplies each row by f'' before it sums.
"""

from __future__ import annotations

import torch

from ..typing import Tensor
from ._ode import Curve
from .layout import Layout

__all__ = ["differentiate_laplacian", "push_laplacian", "sum_of"]

_LEAST = 4  # directions from which the fewer passes over memory for each outweigh those for their sum


def sum_of(layout: Layout) -> list[float] | None:
    """Return the weights of the sum, if this is what the jet holds and the sum is of more than a few terms."""
    if layout.order != 2 or layout.weights[0] is not None or layout.weights[1] is None:
        return None
    first, second = layout.kept[0], layout.weights[1]
    worthwhile = first >= _LEAST and layout.kept[1] == 0 and tuple(second.shape) == (1, first)
    return layout.listed[1][0] if worthwhile else None


def push_laplacian(stack: Tensor, curve: Curve, weights: list[float], u: Tensor) -> Tensor:
    """Write the channels of y, from those of u; return S."""
    curve.function(u[0], out=stack[0])
    slope, bend = curve.times_slope(u[0], stack[0]), curve.times_bend(stack[0])
    slope(u[1:], out=stack[1:])
    squares = torch.zeros_like(u[0])
    for row, weight in zip(u[1:-1].unbind(), weights, strict=True):
        squares.addcmul_(row, row, value=weight)
    stack[-1].add_(bend(squares if curve.keeps_argument else slope(squares)), alpha=0.5)
    return squares


def differentiate_laplacian(
    curve: Curve, weights: list[float], u: Tensor | None, y: Tensor, squares: Tensor, change: Tensor
) -> Tensor:
    """Gradient with respect to u from that to y; u is None where the curve does not keep it."""
    slope, bend = curve.times_slope(None if u is None else u[0], y[0]), curve.times_bend(y[0])
    source, top = y if u is None else u, change[-1]
    result = slope(change)
    spread, head = bend(top), torch.zeros_like(top)
    for weight, row, own, out in zip(
        weights, source[1:-1].unbind(), change[1:-1].unbind(), result[1:-1].unbind(), strict=True
    ):
        out.addcmul_(row, spread, value=weight)
        head.addcmul_(row, own)
    factor, weighted = curve.inner
    second = bend(source[-1])
    if factor:
        second = second.add(slope(squares if weighted else slope(squares)), alpha=0.5 * factor if weighted else factor)
    result[0].add_(bend(head)).addcmul_(second, top)
    return result
