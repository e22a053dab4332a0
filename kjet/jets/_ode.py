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
from ._rows import Rows, dot_rows, eager, recording
from ._series import Coefficient
from .jet import Jet
from .layout import Layout

__all__ = ["Curve", "Pair", "Riccati", "push"]

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

    def times_slope(self, u: Coefficient, y: Tensor) -> Times:
        """Multiplication by ``g_0 = f'(u)``."""
        ...

    def times_bend(self, y: Tensor) -> Times:
        """Multiplication that takes ``u_k``, or ``y_k`` if the argument is not kept, to the leading term of ``g_k``."""
        ...

    def extend(self, lead: Tensor, u: Sequence[Coefficient], y: Sequence[Tensor], rows: Rows) -> Tensor:
        """``g_k`` from its leading term and the coefficients below the order k of ``rows``."""
        ...


@dataclass(frozen=True)
class Riccati:
    """``y' = (y or 1) + square y^2``: tanh, sigmoid, exp, tan.

    Attributes:
        function: The function itself.
        linear: Whether the first term is y rather than 1.
        square: Factor of the second term.
    """

    function: Callable[..., Tensor]
    linear: bool
    square: float
    keeps_argument = False

    def times_slope(self, u: Coefficient, y: Tensor) -> Times:
        """Multiplication by ``(y or 1) + square y^2``: for tanh and sigmoid torch has it in one pass over memory."""
        if self.square == -1:
            return _fused(torch.ops.aten.sigmoid_backward if self.linear else torch.ops.aten.tanh_backward, y)
        return _times(
            torch.addcmul(y if self.linear else y.new_ones(()), y, y, value=self.square) if self.square else y
        )

    def times_bend(self, y: Tensor) -> Times:
        """Multiplication by ``2 square y``, and 1 where the equation has y."""
        if not self.square:
            return lambda c: c
        zero = y.new_zeros(())
        return lambda c: torch.addcmul(c if self.linear else zero, y, c, value=2 * self.square)

    def extend(self, lead: Tensor, u: Sequence[Coefficient], y: Sequence[Tensor], rows: Rows) -> Tensor:
        """Add the rest of ``square (y^2)_k``."""
        if not self.square:
            return lead
        for i in range(1, (rows.k + 1) // 2):
            lead = rows.add(lead, y[i], y[rows.k - i], 2 * self.square)
        return rows.add(lead, y[rows.k // 2], y[rows.k // 2], self.square) if rows.k % 2 == 0 else lead


@dataclass(frozen=True)
class Pair:
    """``y' = g u'``, ``g' = sign y u'``: sine and cosine, and their hyperbolic relatives.

    Attributes:
        function: The function itself.
        derivative: Its derivative.
        sign: ``f'' / f``.
    """

    function: Callable[..., Tensor]
    derivative: Callable[[Tensor], Tensor]
    sign: float
    keeps_argument = True

    def times_slope(self, u: Coefficient, y: Tensor) -> Times:
        """Multiplication by ``f'(u)``."""
        return _times(self.derivative(u))  # type: ignore[arg-type]

    def times_bend(self, y: Tensor) -> Times:
        """Multiplication by ``sign y``."""
        return _times(y if self.sign == 1 else self.sign * y)

    def extend(self, lead: Tensor, u: Sequence[Coefficient], y: Sequence[Tensor], rows: Rows) -> Tensor:
        """Integrate ``sign y u'``."""
        return _integrate(lead, u, y, rows, self.sign)


def _times(slope: Tensor) -> Times:
    return lambda c, out=None: torch.mul(slope, c, out=out)


def _fused(backward: Any, y: Tensor) -> Times:
    return lambda c, out=None: backward(c, y) if out is None else backward.grad_input(c, y, grad_input=out)


def push(x: Jet, curve: Curve) -> Jet:
    """Push a jet through a function.

    Cost: O(K^2) elementwise products, and as many in the backward pass. The outputs are kept for it, and the argument
    for a :class:`Pair`.
    """
    layout = x.layout
    if x.stack is not None and eager():
        return Jet.stacked(_Push.apply(curve, layout, x.stack), layout)
    u = x.coefficients
    if all(c is None for c in u[1:]):
        return Jet([curve.function(x.primal), *u[1:]], layout)
    if u[1] is None:
        u = [u[0], x.primal.new_zeros(layout.rows(1), *(1,) * x.ndim), *u[2:]]
    if torch.compiler.is_compiling():  # which differentiates and fuses the recurrence by itself
        return Jet(_solve(curve, layout, u), layout)
    if eager():
        return Jet.stacked(_Push.apply(curve, layout, *u), layout)
    return Jet(_Mapped.apply(curve, layout, *u), layout)


def _integrate(
    lead: Tensor, u: Sequence[Coefficient], g: Sequence[Tensor], rows: Rows, sign: float = 1.0
) -> Tensor:  # fmt: skip
    """``sign (integral g u')_k`` from its leading term ``sign g_0 u_k``."""
    for j in range(1, rows.k):
        factor = u[j]
        if factor is not None:
            lead = rows.add(lead, factor, g[rows.k - j], sign * j / rows.k)
    return lead


def _bend(
    curve: Curve, bend: Times, u: Sequence[Coefficient], y: Sequence[Tensor], rows: Rows
) -> Tensor:  # fmt: skip
    """``g_k``."""
    top = u[rows.k] if curve.keeps_argument else y[rows.k]
    return curve.extend(rows.zeros(y[0]) if top is None else bend(rows.cut(top)), u, y, rows)


def _solve(curve: Curve, layout: Layout, u: Sequence[Coefficient]) -> list[Tensor]:
    """Coefficients of ``y``, by operations that can be differentiated."""
    y = [curve.function(u[0])]
    times, bend, g = curve.times_slope(u[0], y[0]), curve.times_bend(y[0]), [y[0]]
    for k in range(1, layout.order + 1):
        rows, top = Rows(layout, k, None, True), u[k]
        y.append(_integrate(rows.zeros(y[0]) if top is None else times(top), u, g, rows))
        if k < layout.order:
            g.append(_bend(curve, bend, u, y, Rows(layout, k, layout.active(k + 1), True)))
    return y


def _solve_into(stack: Tensor, curve: Curve, layout: Layout, u: Sequence[Coefficient], whole: Coefficient) -> None:
    """Write the coefficients of ``y`` into one tensor; ``whole`` is that of u, if there is one."""
    y = layout.split(stack)
    curve.function(u[0], out=y[0])
    times, bend, g = curve.times_slope(u[0], y[0]), curve.times_bend(y[0]), [y[0]]
    if whole is not None:
        times(whole[1:], out=stack[1:])
    for k in range(1, layout.order + 1):
        top = u[k]
        if top is None:
            y[k].zero_()
        elif whole is None:
            times(top, out=y[k])
        _integrate(y[k], u, g, Rows(layout, k, None, False))
        if k < layout.order:
            g.append(_bend(curve, bend, u, y, Rows(layout, k, layout.active(k + 1), False)))


def _slopes(curve: Curve, layout: Layout, u: Any, y: Sequence[Tensor], recorded: bool) -> tuple[Times, list[Tensor]]:
    """Multiplication by ``g_0``, and every other coefficient of ``g``."""
    bend = curve.times_bend(y[0])
    higher = [_bend(curve, bend, u, y, Rows(layout, k, None, recorded)) for k in range(1, layout.order + 1)]
    return curve.times_slope(u[0], y[0]), [y[0], *higher]


def _transpose(
    j: int, lead: Tensor, g: Sequence[Tensor], dy: Sequence[Tensor], layout: Layout, recorded: bool
) -> Tensor:  # fmt: skip
    """``du_j = sum_{k>=j} g_{k-j} dy_k`` from its leading term ``g_0 dy_j``, over the rows as well for the primal."""
    for k in range(j + 1, layout.order + 1):
        if j == 0:
            lead = dot_rows(lead, g[k], dy[k], recorded)
        else:
            lead = Rows(layout, k, None, recorded).spread(lead, g[k - j], dy[k])
    return lead


def _differentiate(
    curve: Curve, layout: Layout, u: Any, y: Sequence[Tensor], dy: Sequence[Tensor], wanted: Sequence[bool]
) -> list[Coefficient]:  # fmt: skip
    """Coefficients of ``du`` that are wanted."""
    recorded = recording(*dy, *y)
    times, g = _slopes(curve, layout, u, y, recorded)
    return [_transpose(j, times(dy[j]), g, dy, layout, recorded) if want else None for j, want in enumerate(wanted)]


def _push_forward(
    curve: Curve, layout: Layout, u: Any, y: Sequence[Tensor], du: Sequence[Coefficient]
) -> list[Tensor]:  # fmt: skip
    """Change of ``y`` with ``u``: the product of series ``g du``."""
    times, g = _slopes(curve, layout, u, y, True)
    dy = []
    for k in range(layout.order + 1):
        top, own = du[k], du[0]
        total = torch.zeros_like(y[k]) if top is None else times(top).expand_as(y[k])
        total = total + g[k] * own if k and own is not None else total
        for j in range(1, k):
            part = du[j]
            total = total if part is None else Rows(layout, k, None, True).add(total, part, g[k - j], 1.0)
        dy.append(total)
    return dy


def _differentiate_stack(
    curve: Curve, layout: Layout, whole_u: Coefficient, whole_y: Tensor, change: Tensor
) -> Tensor:  # fmt: skip
    """All of ``du`` at once, where nothing is recorded."""
    y, dy = layout.split(whole_y), layout.split(change)
    u = [None] * len(y) if whole_u is None else layout.split(whole_u)
    slopes = curve.times_bend(y[0])((whole_y if whole_u is None else whole_u)[1:])
    g = [y[0], *slopes.split(layout.sizes[1:])]
    for k in range(2, layout.order + 1):
        curve.extend(g[k], u, y, Rows(layout, k, None, False))
    result = curve.times_slope(u[0], y[0])(change)
    dot_rows(result[0], slopes, change[1:], False)
    du = layout.split(result)
    for j in range(1, layout.order):
        _transpose(j, du[j], g, dy, layout, False)
    return result


class _Push(torch.autograd.Function):
    """From one stack, or from coefficients, to one stack."""

    @staticmethod
    def forward(ctx: Any, curve: Curve, layout: Layout, *u: Coefficient) -> Tensor:
        whole = u[0] if len(u) == 1 else None
        parts = u if whole is None else layout.split(whole)
        stack = parts[0].new_empty(layout.channels(), *parts[0].shape)  # type: ignore[union-attr]
        _solve_into(stack, curve, layout, parts, whole)
        ctx.curve, ctx.layout = curve, layout
        ctx.shapes = [None if c is None else c.shape for c in u]
        kept = u if curve.keeps_argument else ()
        ctx.save_for_backward(stack, *kept)
        ctx.save_for_forward(stack, *kept)
        return stack

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        curve, layout, shapes, (stack, *kept) = ctx.curve, ctx.layout, ctx.shapes, ctx.saved_tensors
        single = len(shapes) == 1
        if single and not recording(change):
            return None, None, _differentiate_stack(curve, layout, kept[0] if kept else None, stack, change)
        u, y, dy = _argument(ctx, kept), layout.split(stack), layout.split(change)
        if single:
            found = _differentiate(curve, layout, u, y, dy, [True] * len(y))
            return None, None, torch.cat([found[0].unsqueeze(0), *found[1:]])  # type: ignore[union-attr,list-item]
        wanted = [s is not None and ctx.needs_input_grad[2 + j] for j, s in enumerate(shapes)]
        found = _differentiate(curve, layout, u, y, dy, wanted)
        return None, None, *(c if c is None else c.sum_to_size(s) for c, s in zip(found, shapes, strict=True))

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:  # type: ignore[override]
        stack, *kept = ctx.saved_tensors
        du = tangents[2:] if len(tangents) > 3 else ctx.layout.split(tangents[2])
        dy = _push_forward(ctx.curve, ctx.layout, _argument(ctx, kept), ctx.layout.split(stack), du)
        return torch.cat([dy[0].unsqueeze(0), *dy[1:]])


def _argument(ctx: Any, kept: Sequence[Tensor]) -> Sequence[Coefficient]:
    """Coefficients of the argument, or as many times None where it is not kept."""
    if not kept:
        return [None] * (ctx.layout.order + 1)
    return ctx.layout.split(kept[0]) if len(kept) == 1 else kept


class _Mapped(torch.autograd.Function):
    """From coefficients to coefficients, for vmap and the other transforms of torch.func."""

    generate_vmap_rule = True

    @staticmethod
    def forward(curve: Curve, layout: Layout, *u: Coefficient) -> tuple[Tensor, ...]:  # type: ignore[override]
        return tuple(_solve(curve, layout, u))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.curve, ctx.layout, *u = inputs
        ctx.shapes = [None if c is None else c.shape for c in u]
        kept = u if ctx.curve.keeps_argument else [None] * len(u)
        ctx.save_for_backward(*output, *kept)
        ctx.save_for_forward(*output, *kept)

    @staticmethod
    def backward(ctx: Any, *dy: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        count, saved = len(dy), ctx.saved_tensors
        wanted = [s is not None and ctx.needs_input_grad[2 + j] for j, s in enumerate(ctx.shapes)]
        found = _differentiate(ctx.curve, ctx.layout, saved[count:], saved[:count], dy, wanted)
        return None, None, *(c if c is None else c.sum_to_size(s) for c, s in zip(found, ctx.shapes, strict=True))

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, ...]:  # type: ignore[override]
        count, saved = len(tangents) - 2, ctx.saved_tensors
        return tuple(_push_forward(ctx.curve, ctx.layout, saved[count:], saved[:count], tangents[2:]))
