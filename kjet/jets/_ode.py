"""Elementwise functions that solve ``y' = g u'``, on jets of any order, with the backward pass written out.

Along a direction, ``y(t) = f(u(t))`` and ``g(t) = f'(u(t))`` are power series. Forward,
``y_k = g_0 u_k + sum_{0<j<k} (j/k) u_j g_{k-j}``. A change of u changes y by ``dy = g du``, a product of series, so the
backward pass is its transpose, ``du_j = sum_{k>=j} g_{k-j} dy_k``, and ``g`` follows from ``y``. Autograd through the
recurrence would keep and revisit O(K^2) tensors where this keeps the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ..typing import Tensor
from ._rows import Rows, dot_rows, recording
from ._series import Coefficient
from .jet import Jet
from .layout import Layout

__all__ = ["Curve", "Pair", "Riccati", "push"]

Times = Callable[[Tensor], Tensor]


class Curve(Protocol):
    """An elementwise function ``f`` by the differential equation of its series."""

    @property
    def keeps_argument(self) -> bool:
        """Whether ``g`` needs the argument, and not the value alone."""
        ...

    def value(self, u: Tensor) -> Tensor:
        """``f(u)``."""
        ...

    def times_slope(self, u: Coefficient, y: Tensor) -> Times:
        """Multiplication by ``g_0 = f'(u)``."""
        ...

    def extend(self, u: Sequence[Coefficient], y: Sequence[Tensor], rows: Rows) -> Tensor:
        """``g_k`` from the coefficients up to the order k of ``rows``."""
        ...


@dataclass(frozen=True)
class Riccati:
    """``y' = (y or 1) + square y^2``: tanh, sigmoid, exp, tan.

    Attributes:
        function: The function itself.
        linear: Whether the first term is y rather than 1.
        square: Factor of the second term.
    """

    function: Callable[[Tensor], Tensor]
    linear: bool
    square: float
    keeps_argument = False

    def value(self, u: Tensor) -> Tensor:
        """``f(u)``."""
        return self.function(u)

    def times_slope(self, u: Coefficient, y: Tensor) -> Times:
        """Multiplication by ``(y or 1) + square y^2``: for tanh and sigmoid torch has it in one pass over memory."""
        if self.square == -1:
            fused = torch.ops.aten.sigmoid_backward if self.linear else torch.ops.aten.tanh_backward
            return lambda c: fused(c, y)
        slope = torch.addcmul(y if self.linear else y.new_ones(()), y, y, value=self.square) if self.square else y
        return lambda c: slope * c

    def extend(self, u: Sequence[Coefficient], y: Sequence[Tensor], rows: Rows) -> Tensor:
        """``square (y^2)_k``, and ``y_k`` where the equation has it."""
        k, top = rows.k, rows.cut(y[rows.k])
        if not self.square:
            return top
        total = torch.addcmul(top if self.linear else top.new_zeros(()), y[0], top, value=2 * self.square)
        for i in range(1, (k + 1) // 2):
            total = rows.add(total, y[i], y[k - i], 2 * self.square)
        return rows.add(total, y[k // 2], y[k // 2], self.square) if k % 2 == 0 else total


@dataclass(frozen=True)
class Pair:
    """``y' = g u'``, ``g' = sign y u'``: sine and cosine, and their hyperbolic relatives.

    Attributes:
        function: The function itself.
        derivative: Its derivative.
        sign: ``f'' / f``.
    """

    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    sign: float
    keeps_argument = True

    def value(self, u: Tensor) -> Tensor:
        """``f(u)``."""
        return self.function(u)

    def times_slope(self, u: Coefficient, y: Tensor) -> Times:
        """Multiplication by ``f'(u)``."""
        slope = self.derivative(u)  # type: ignore[arg-type]
        return lambda c: slope * c

    def extend(self, u: Sequence[Coefficient], y: Sequence[Tensor], rows: Rows) -> Tensor:
        """Integrate ``sign y u'``."""
        return _integrate(u, lambda c: y[0] * c, y, rows, self.sign)


def push(x: Jet, curve: Curve) -> Jet:
    """Push a jet through a function.

    Cost: O(K^2) elementwise products, and as many in the backward pass. The outputs are kept for it, and the argument
    for a :class:`Pair`.
    """
    layout, u = x.layout, x.coefficients
    if all(c is None for c in u[1:]):
        return Jet([curve.value(x.primal), *u[1:]], layout)
    if u[1] is None:
        u = [u[0], x.primal.new_zeros(layout.rows(1), *(1,) * x.ndim), *u[2:]]
    if torch.compiler.is_compiling():  # which differentiates and fuses the recurrence by itself
        return Jet(_solve(curve, layout, u, True), layout)
    function = _Transformed if torch._C._are_functorch_transforms_active() else _Push
    return Jet(function.apply(curve, layout, *u), layout)


def _integrate(
    u: Sequence[Coefficient], times: Times, g: Sequence[Tensor], rows: Rows, sign: float = 1.0
) -> Tensor:  # fmt: skip
    """``sign (integral g u')_k``, with ``g_0`` given as a multiplication."""
    k = rows.k
    top = u[k]
    if top is None:
        total = rows.zeros(g[1][0])
    else:
        total = times(rows.cut(top))
        total = total if sign == 1 else sign * total
    for j in range(1, k):
        factor = u[j]
        if factor is not None:
            total = rows.add(total, factor, g[k - j], sign * j / k)
    return total


def _solve(curve: Curve, layout: Layout, u: Sequence[Coefficient], recorded: bool) -> list[Tensor]:
    """Coefficients of ``y``."""
    y = [curve.value(u[0])]  # type: ignore[arg-type]
    times, g = curve.times_slope(u[0], y[0]), [y[0]]
    for k in range(1, layout.order + 1):
        y.append(_integrate(u, times, g, Rows(layout, k, None, recorded)))
        if k < layout.order:
            g.append(curve.extend(u, y, Rows(layout, k, layout.active(k + 1), recorded)))
    return y


def _keep(ctx: Any, curve: Curve, layout: Layout, u: Sequence[Coefficient], y: Sequence[Tensor]) -> None:
    ctx.curve, ctx.layout = curve, layout
    ctx.shapes = [None if c is None else c.shape for c in u]
    kept = u if curve.keeps_argument else [None] * len(u)
    ctx.save_for_backward(*kept, *y)
    ctx.save_for_forward(*kept, *y)


def _slopes(ctx: Any, saved: Sequence[Tensor], recorded: bool) -> tuple[Times, list[Tensor]]:
    """Multiplication by ``g_0``, and every other coefficient of ``g``."""
    count, curve = ctx.layout.order + 1, ctx.curve
    u, y = saved[:count], saved[count:]
    higher = [curve.extend(u, y, Rows(ctx.layout, k, None, recorded)) for k in range(1, count)]
    return curve.times_slope(u[0], y[0]), [y[0], *higher]


class _Push(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, curve: Curve, layout: Layout, *u: Coefficient) -> tuple[Tensor, ...]:
        y = _solve(curve, layout, u, False)
        _keep(ctx, curve, layout, u, y)
        ctx.set_materialize_grads(False)
        return tuple(y)

    @staticmethod
    def backward(ctx: Any, *dy: Coefficient) -> tuple[Any, ...]:  # type: ignore[override]
        saved = ctx.saved_tensors
        recorded = recording(*dy, *saved)
        times, g = _slopes(ctx, saved, recorded)
        du: list[Coefficient] = []
        for j, shape in enumerate(ctx.shapes):
            needed = shape is not None and ctx.needs_input_grad[2 + j]
            total = _transpose(j, times, g, dy, ctx.layout, recorded) if needed else None
            du.append(total if total is None or total.shape == shape else total.sum_to_size(shape))
        return None, None, *du

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, ...]:  # type: ignore[override]
        du, (times, g) = tangents[2:], _slopes(ctx, ctx.saved_tensors, True)
        dy = [torch.zeros_like(g[0]) if du[0] is None else times(du[0])]
        for k in range(1, ctx.layout.order + 1):
            total = torch.zeros_like(g[k]) if du[k] is None else times(du[k])
            total = total if du[0] is None else total + g[k] * du[0]
            rows = Rows(ctx.layout, k, None, True)
            for j in range(1, k):
                total = total if du[j] is None else rows.add(total, du[j], g[k - j], 1.0)
            dy.append(total)
        return tuple(dy)


class _Transformed(torch.autograd.Function):
    """The same where vmap or forward mode map it; the plain one spares their detour."""

    generate_vmap_rule = True

    @staticmethod
    def forward(curve: Curve, layout: Layout, *u: Coefficient) -> tuple[Tensor, ...]:  # type: ignore[override]
        return tuple(_solve(curve, layout, u, recording(*u)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        curve, layout, *u = inputs
        _keep(ctx, curve, layout, u, output)

    backward, jvp = _Push.backward, _Push.jvp


def _transpose(
    j: int, times: Times, g: Sequence[Tensor], dy: Sequence[Coefficient], layout: Layout, recorded: bool
) -> Coefficient:  # fmt: skip
    """``du_j = sum_{k>=j} g_{k-j} dy_k``, over the rows as well for the primal."""
    own = dy[j]
    total: Coefficient = None if own is None else times(own)
    for k in range(j + 1, layout.order + 1):
        later = dy[k]
        if later is None:
            continue
        if j == 0:
            total = dot_rows(total, g[k], later, recorded)
        else:
            start = Rows(layout, j, None, recorded).zeros(g[0]) if total is None else total
            total = Rows(layout, k, None, recorded).spread(start, g[k - j], later)
    return total
