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
from ._series import Coefficient
from .jet import Jet
from .layout import Layout

__all__ = ["Curve", "Pair", "Riccati", "push"]


class Curve(Protocol):
    """An elementwise function ``f`` by the differential equation of its series."""

    keeps_argument: bool

    def value(self, u: Tensor) -> Tensor:
        """``f(u)``."""
        ...

    def slope(self, u: Coefficient, y: Tensor) -> Tensor:
        """``g_0 = f'(u)``."""
        ...

    def extend(self, k: int, u: Sequence[Coefficient], y: Sequence[Tensor], rows: _Rows) -> Tensor:
        """``g_k`` from the coefficients up to order k."""
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

    def slope(self, u: Coefficient, y: Tensor) -> Tensor:
        """``(y or 1) + square y^2``."""
        if not self.square:
            return y
        return torch.addcmul(y if self.linear else y.new_ones(()), y, y, value=self.square)

    def extend(self, k: int, u: Sequence[Coefficient], y: Sequence[Tensor], rows: _Rows) -> Tensor:
        """``square (y^2)_k``, and ``y_k`` where the equation has it."""
        top = rows.cut(y[k])
        if not self.square:
            return top
        base = top if self.linear else top.new_zeros(())
        total = torch.addcmul(base, y[0], top, value=2 * self.square)
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

    def slope(self, u: Coefficient, y: Tensor) -> Tensor:
        """``f'(u)``."""
        return self.derivative(u)  # type: ignore[arg-type]

    def extend(self, k: int, u: Sequence[Coefficient], y: Sequence[Tensor], rows: _Rows) -> Tensor:
        """Integrate ``sign y u'``."""
        return rows.integrate(u, y, self.sign)


def push(x: Jet, curve: Curve) -> Jet:
    """Push a jet through a function; its coefficient of order 1 must not be zero (None).

    Cost: O(K^2) elementwise products, and as many in the backward pass; the outputs are kept for it, and the argument
    for a :class:`Pair`.
    """
    return Jet(_Push.apply(curve, x.layout, *x.coefficients), x.layout)


def _recording(*tensors: Coefficient) -> bool:
    """Tell whether results must not be overwritten: a graph is recorded, or a transform wraps them."""
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return torch.is_grad_enabled() or any(t is not None and wrapped(t) for t in tensors)


@dataclass(frozen=True)
class _Rows:
    """Rows of order ``k`` of a layout, and sums of products over them.

    Attributes:
        layout: The layout.
        k: Order of the result.
        first: Only so many rows, all of them kept singly; None for all rows, sums included.
        recording: Whether to leave totals as they are and return new ones.
    """

    layout: Layout
    k: int
    first: int | None
    recording: bool

    def cut(self, c: Tensor) -> Tensor:
        """Take the rows of a coefficient of order k."""
        return c if self.first is None or c.shape[0] == self.first else c[: self.first]

    def integrate(self, u: Sequence[Coefficient], g: Sequence[Tensor], sign: float = 1.0) -> Tensor:
        """``sign (integral g u')_k``."""
        k, top = self.k, u[self.k]
        if top is None:
            count = self.layout.rows(k) if self.first is None else self.first
            total = g[0].new_zeros(count, *g[0].shape)
        else:
            total = g[0] * self.cut(top)
            total = total if sign == 1 else sign * total
        for j in range(1, k):
            factor = u[j]
            if factor is not None:
                total = self.add(total, factor, g[k - j], sign * j / k)
        return total

    def add(self, total: Tensor, a: Tensor, b: Tensor, value: float) -> Tensor:
        """Add ``value a b``, row by row of the directions that reach order k, summed where the layout says so."""
        weights = self.layout.weights[self.k - 1]
        if self.first is not None or weights is None:
            count = self.layout.kept[self.k - 1] if self.first is None else self.first
            a, b = a[:count], b[:count]
            return torch.addcmul(total, a, b, value=value) if self.recording else total.addcmul_(a, b, value=value)
        active = self.layout.active(self.k)
        a, b = a[:active], b[:active]
        if self.recording or _batched(b):
            return torch.add(total, self.layout.reduce(self.k, a * b), alpha=value)
        kept = self.layout.kept[self.k - 1]
        if kept:
            total[:kept].addcmul_(a[:kept], b[:kept], value=value)
        for row, column, weight in _entries(weights):
            total[kept + row].addcmul_(a[kept + column], b[kept + column], value=value * weight)
        return total

    def spread(self, total: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Add to the directions that reach order k the products ``a b``, with ``b`` in the rows of order k."""
        active, kept = self.layout.active(self.k), self.layout.kept[self.k - 1]
        weights = self.layout.weights[self.k - 1]
        if self.recording or (weights is not None and _batched(b)):
            return _plus_rows(total, a[:active] * _expand(b, weights, kept), active)
        if kept:
            total[:kept].addcmul_(a[:kept], b[:kept])
        if weights is not None:
            for row, column, weight in _entries(weights):
                total[kept + column].addcmul_(a[kept + column], b[kept + row], value=weight)
        return total


def _entries(weights: Tensor) -> list[tuple[int, int, float]]:
    return [(i, j, w) for i, row in enumerate(weights.tolist()) for j, w in enumerate(row) if w]


def _batched(rows: Tensor) -> bool:
    """Tell whether many small rows, or rows on an accelerator, are better handled together than one by one."""
    return rows.device.type != "cpu" or (rows.shape[0] > 8 and rows[0].numel() < 4096)


def _expand(rows: Tensor, weights: Tensor | None, kept: int) -> Tensor:
    """Transpose of :meth:`Layout.reduce`."""
    if weights is None:
        return rows
    tail = rows[kept:]
    spread = (weights.T.to(rows) @ tail.reshape(tail.shape[0], -1)).reshape(weights.shape[1], *tail.shape[1:])
    return torch.cat([rows[:kept], spread]) if kept else spread


def _plus_rows(total: Tensor, part: Tensor, count: int) -> Tensor:
    if count == total.shape[0]:
        return total + part
    return torch.cat([total[:count] + part, total[count:]])


def _plus_dot(total: Coefficient, a: Tensor, b: Tensor, recording: bool) -> Tensor:
    """Add ``sum_rows a b``."""
    if recording or _batched(b):
        dot = (a * b).sum(0)
        return dot if total is None else total + dot
    total = torch.mul(a[0], b[0]) if total is None else total.addcmul_(a[0], b[0])
    for i in range(1, b.shape[0]):
        total.addcmul_(a[i], b[i])
    return total


class _Push(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(curve: Curve, layout: Layout, *u: Coefficient) -> tuple[Tensor, ...]:  # type: ignore[override]
        recording = _recording(*u)
        y = [curve.value(u[0])]  # type: ignore[arg-type]
        g = [curve.slope(u[0], y[0])]
        for k in range(1, layout.order + 1):
            y.append(_Rows(layout, k, None, recording).integrate(u, g))
            if k < layout.order:
                g.append(curve.extend(k, u, y, _Rows(layout, k, layout.active(k + 1), recording)))
        return tuple(y)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.curve, ctx.layout, *u = inputs
        ctx.shapes = [None if c is None else c.shape for c in u]
        kept = u if ctx.curve.keeps_argument else [None] * len(u)
        ctx.save_for_backward(*kept, *output)
        ctx.save_for_forward(*kept, *output)
        if not _recording(*u):
            ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *dy: Coefficient) -> tuple[Any, ...]:  # type: ignore[override]
        recording = _recording(*dy, *ctx.saved_tensors)
        g = _slopes(ctx, recording)
        du: list[Coefficient] = []
        for j, shape in enumerate(ctx.shapes):
            needed = shape is not None and ctx.needs_input_grad[2 + j]
            total = _transpose(j, g, dy, ctx.layout, recording) if needed else None
            du.append(total if total is None or total.shape == shape else total.sum_to_size(shape))
        return None, None, *du

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, ...]:  # type: ignore[override]
        du, layout, g = tangents[2:], ctx.layout, _slopes(ctx, True)
        dy = [torch.zeros_like(g[0]) if du[0] is None else g[0] * du[0]]
        for k in range(1, layout.order + 1):
            total = torch.zeros_like(g[k]) if du[k] is None else g[0] * du[k]
            total = total if du[0] is None else total + g[k] * du[0]
            rows = _Rows(layout, k, None, True)
            for j in range(1, k):
                total = total if du[j] is None else rows.add(total, du[j], g[k - j], 1.0)
            dy.append(total)
        return tuple(dy)


def _slopes(ctx: Any, recording: bool) -> list[Tensor]:
    """Every coefficient of ``g = f'(u)``."""
    layout, curve = ctx.layout, ctx.curve
    count = layout.order + 1
    u, y = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
    g = [curve.slope(u[0], y[0])]
    return g + [curve.extend(k, u, y, _Rows(layout, k, None, recording)) for k in range(1, count)]


def _transpose(j: int, g: Sequence[Tensor], dy: Sequence[Coefficient], layout: Layout, recording: bool) -> Coefficient:
    """``du_j = sum_{k>=j} g_{k-j} dy_k``, over the rows as well for the primal."""
    own = dy[j]
    total: Coefficient = None if own is None else g[0] * own
    for k in range(j + 1, layout.order + 1):
        later = dy[k]
        if later is None:
            continue
        if j == 0:
            total = _plus_dot(total, g[k], later, recording)
        else:
            start = g[0].new_zeros(layout.rows(j), *g[0].shape) if total is None else total
            total = _Rows(layout, k, None, recording).spread(start, g[k - j], later)
    return total
