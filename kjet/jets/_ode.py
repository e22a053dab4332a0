"""Elementwise functions that solve ``y' = g u'``, on jets of any order, with the backward pass written out.

Along a direction, ``y(t) = f(u(t))`` and ``g(t) = f'(u(t))`` are power series. Forward,
``y_k = g_0 u_k + sum_{0<j<k} (j/k) u_j g_{k-j}``. A change of u changes y by ``dy = g du``, a product of series, so the
backward pass is its transpose, ``du_j = sum_{k>=j} g_{k-j} dy_k``, and ``g`` follows from ``y``. Autograd through the
recurrence would keep and revisit O(K^2) tensors where this keeps the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ..typing import Tensor
from ._rows import Rows
from ._series import Coefficient
from .layout import Layout

__all__ = ["Curve", "Pair", "Riccati", "differentiate", "push_forward", "solve"]

Times = Callable[..., Tensor]
"""Multiplication by a fixed tensor, ``(c, out=None) -> g c``."""


class Curve(Protocol):
    """An elementwise function ``f`` by the differential equation of its series."""

    @property
    def keeps_argument(self) -> bool:
        """Whether ``g`` needs the argument, and not the value alone."""
        ...

    @property
    def function(self) -> Callable[..., Tensor]:
        """``f``, with an argument `out`."""
        ...

    @property
    def inner(self) -> tuple[float, bool]:
        """Factor of the sum in ``g_k``, and whether its terms are weighted by j/k."""
        ...

    def times_slope(self, u: Coefficient, y: Tensor) -> Times:
        """Multiplication by ``g_0 = f'(u)``."""
        ...

    def times_bend(self, y: Tensor) -> Times:
        """Multiplication that takes ``u_k``, or ``y_k`` if the argument is not kept, to the leading term of ``g_k``."""
        ...


@dataclass(frozen=True)
class Riccati:
    """``y' = (y or 1) + square y^2``: tanh, sigmoid, exp, tan.

    ``g_k = 2 square y_0 y_k + square sum_{0<j<k} y_j y_{k-j}``, and ``y_k`` where the equation has y.

    Attributes:
        function: The function itself.
        linear: Whether the first term is y rather than 1.
        square: Factor of the second term.
    """

    function: Callable[..., Tensor]
    linear: bool
    square: float
    keeps_argument = False

    @property
    def inner(self) -> tuple[float, bool]:
        """Factor of the sum."""
        return self.square, False

    def times_slope(self, u: Coefficient, y: Tensor) -> Times:
        """Multiplication by ``(y or 1) + square y^2``: for tanh and sigmoid torch has it in one pass over memory."""
        if self.square == -1:
            fused = torch.ops.aten.sigmoid_backward if self.linear else torch.ops.aten.tanh_backward
            return lambda c, out=None: fused(c, y) if out is None else fused.grad_input(c, y, grad_input=out)
        if not self.square:
            return _times(y)
        return _times(torch.addcmul(y if self.linear else y.new_ones(()), y, y, value=self.square))

    def times_bend(self, y: Tensor) -> Times:
        """Multiplication by ``2 square y``, and 1 where the equation has y."""
        if not self.square:
            return lambda c: c
        zero = y.new_zeros(())
        return lambda c: torch.addcmul(c if self.linear else zero, y, c, value=2 * self.square)


@dataclass(frozen=True)
class Pair:
    """``y' = g u'``, ``g' = sign y u'``: sine and cosine, and their hyperbolic relatives.

    ``g_k = sign (y_0 u_k + sum_{0<j<k} (j/k) u_j y_{k-j})``.

    Attributes:
        function: The function itself.
        derivative: Its derivative.
        sign: ``f'' / f``.
    """

    function: Callable[..., Tensor]
    derivative: Callable[[Tensor], Tensor]
    sign: float
    keeps_argument = True

    @property
    def inner(self) -> tuple[float, bool]:
        """Factor of the sum."""
        return self.sign, True

    def times_slope(self, u: Coefficient, y: Tensor) -> Times:
        """Multiplication by ``f'(u)``."""
        return _times(self.derivative(u))  # type: ignore[arg-type]

    def times_bend(self, y: Tensor) -> Times:
        """Multiplication by ``sign y``."""
        return _times(y if self.sign == 1 else self.sign * y)


def _times(slope: Tensor) -> Times:
    return lambda c, out=None: torch.mul(slope, c, out=out)


def _convolve(
    lead: Tensor, a: Sequence[Coefficient], b: Sequence[Tensor], rows: Rows, factor: float, weighted: bool
) -> Tensor:  # fmt: skip
    """``lead + factor sum_{0<j<k} (j/k or 1) a_j b_{k-j}``."""
    for j in range(1, rows.k if factor else 0):
        left = a[j]
        if left is not None:
            lead = rows.add(lead, left, b[rows.k - j], factor * j / rows.k if weighted else factor)
    return lead


def _bend(curve: Curve, times: Times, u: Sequence[Coefficient], y: Sequence[Tensor], rows: Rows) -> Tensor:
    """``g_k``, of which the leading term is ``times`` the top coefficient."""
    source = u if curve.keeps_argument else y
    top = source[rows.k]
    return _convolve(rows.zeros(y[0]) if top is None else times(rows.cut(top)), source, y, rows, *curve.inner)


def solve(curve: Curve, layout: Layout, u: Sequence[Coefficient]) -> list[Tensor]:
    """Coefficients of ``y``; the second of ``u`` must not be None."""
    y = [curve.function(u[0])]
    slope, bend, g = curve.times_slope(u[0], y[0]), curve.times_bend(y[0]), [y[0]]
    for k in range(1, layout.order + 1):
        rows, top = Rows(layout, k), u[k]
        y.append(_convolve(rows.zeros(y[0]) if top is None else slope(top), u, g, rows, 1.0, True))
        if k < layout.order:
            g.append(_bend(curve, bend, u, y, Rows(layout, k, layout.active(k + 1))))
    return y


def _slopes(curve: Curve, layout: Layout, u: Sequence[Coefficient], y: Sequence[Tensor]) -> tuple[Times, list[Tensor]]:
    """Multiplication by ``g_0``, and every other coefficient of ``g``."""
    bend = curve.times_bend(y[0])
    higher = [_bend(curve, bend, u, y, Rows(layout, k)) for k in range(1, layout.order + 1)]
    return curve.times_slope(u[0], y[0]), [y[0], *higher]


def differentiate(
    curve: Curve, layout: Layout, u: Sequence[Coefficient], y: Sequence[Tensor], dy: Sequence[Tensor],
    wanted: Sequence[bool],
) -> list[Coefficient]:  # fmt: skip
    """Gradients ``du_j = sum_{k>=j} g_{k-j} dy_k`` of those coefficients that are wanted."""
    slope, g = _slopes(curve, layout, u, y)
    du: list[Coefficient] = []
    for j, want in enumerate(wanted):
        total = slope(dy[j]) if want else None
        for k in range(j + 1, layout.order + 1 if want else 0):
            total = total + (g[k] * dy[k]).sum(0) if j == 0 else Rows(layout, k).spread(total, g[k - j], dy[k])  # type: ignore
        du.append(total)
    return du


def push_forward(
    curve: Curve, layout: Layout, u: Sequence[Coefficient], y: Sequence[Tensor], du: Sequence[Coefficient]
) -> list[Tensor]:  # fmt: skip
    """Change of ``y`` with ``u``: the product of series ``g du``."""
    slope, g = _slopes(curve, layout, u, y)
    dy = []
    for k in range(layout.order + 1):
        top, own = du[k], du[0]
        total = torch.zeros_like(y[k]) if top is None else slope(top).expand_as(y[k])
        total = total + g[k] * own if k and own is not None else total
        dy.append(_convolve(total, du, g, Rows(layout, k), 1.0, False) if k else total)
    return dy
