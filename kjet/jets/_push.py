"""Jets through elementwise functions: as plain operations, or written into one buffer where nothing records them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..typing import Tensor
from ._laplacian import differentiate_laplacian, push_laplacian, sum_of
from ._ode import Curve, differentiate, push_forward, solve
from ._rows import eager, recording, row_by_row
from ._series import Coefficient
from .jet import Jet
from .layout import Layout

__all__ = ["push"]


def push(x: Jet, curve: Curve) -> Jet:
    """Push a jet through a function.

    Cost: O(K^2) elementwise products, and as many in the backward pass. The outputs are kept for it, and the argument
    where the derivative needs it.
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
        return Jet(solve(curve, layout, u), layout)
    if eager():
        return Jet.stacked(_Push.apply(curve, layout, *u), layout)
    return Jet(_Mapped.apply(curve, layout, *u), layout)


def _gather(parts: Sequence[Any]) -> Tensor:
    return torch.cat([parts[0].unsqueeze(0), *parts[1:]])


def _solve_into(stack: Tensor, curve: Curve, layout: Layout, u: Sequence[Coefficient], whole: Coefficient) -> None:
    """Write the coefficients of ``y`` into one tensor; ``whole`` is that of u, if there is one."""
    y = layout.split(stack)
    curve.function(u[0], out=y[0])
    slope, bend, g = curve.times_slope(u[0], y[0]), curve.times_bend(y[0]), [y[0]]
    if whole is not None:
        slope(whole[1:], out=stack[1:])
    source, (factor, weighted) = u if curve.keeps_argument else y, curve.inner
    for k in range(1, layout.order + 1):
        own, top = y[k], u[k]
        if top is None:
            own.zero_()
        elif whole is None:
            slope(top, out=own)
        for j, out, rows, weight in layout.products[k]:
            left = u[j]
            if left is not None:
                own[out].addcmul_(left[rows], g[k - j][rows], value=weight * j / k)
        if k == layout.order:
            return
        rows, above = slice(0, layout.active(k + 1)), source[k]
        g.append(torch.zeros_like(own[rows]) if above is None else bend(above[rows]))
        for j in range(1, k if factor else 0):
            left = source[j]
            if left is not None:
                g[k].addcmul_(left[rows], y[k - j][rows], value=factor * j / k if weighted else factor)


def _differentiate_whole(curve: Curve, layout: Layout, u: Coefficient, y: Tensor, change: Tensor) -> Tensor:
    """All of ``du`` at once, for stacks."""
    slopes = curve.times_bend(y[0])((y if u is None else u)[1:])
    result = curve.times_slope(None if u is None else u[0], y[0])(change)
    if layout.order > 1:
        g = [y[0], *torch.split_with_sizes(slopes, layout.sizes[1:])]
        parts_y, dy, du = layout.split(y), layout.split(change), layout.split(result)
        source, (factor, weighted) = parts_y if u is None else layout.split(u), curve.inner
        for k in range(2, layout.order + 1):
            for j, out, rows, weight in layout.products[k] if factor else ():
                value = factor * weight * j / k if weighted else factor * weight
                g[k][out].addcmul_(source[j][rows], parts_y[k - j][rows], value=value)
        for k in range(2, layout.order + 1):
            for j, out, rows, weight in layout.products[k]:
                du[j][rows].addcmul_(g[k - j][rows], dy[k][out], value=weight)
    head = result[0]
    for left, right in zip(slopes.unbind(), change[1:].unbind(), strict=True):
        head.addcmul_(left, right)
    return result


class _Push(torch.autograd.Function):
    """From one stack, or from coefficients, to one stack."""

    @staticmethod
    def forward(ctx: Any, curve: Curve, layout: Layout, *u: Coefficient) -> Tensor:
        whole = u[0] if len(u) == 1 else None
        parts = u if whole is None else layout.split(whole)
        primal, squares = parts[0], None
        weights = None if whole is None else sum_of(layout)
        if row_by_row(layout, primal):  # type: ignore[arg-type]
            stack = primal.new_empty(layout.channels(), *primal.shape)  # type: ignore[union-attr]
            if whole is None or weights is None:
                _solve_into(stack, curve, layout, parts, whole)
            else:
                squares = push_laplacian(stack, curve, weights, whole)
        else:
            stack = _gather(solve(curve, layout, parts))
        ctx.curve, ctx.layout = curve, layout
        ctx.shapes = [None if c is None else c.shape for c in u]
        kept = u if curve.keeps_argument else ()
        ctx.save_for_backward(stack, squares, *kept)
        ctx.save_for_forward(stack, *kept)
        return stack

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        curve, layout, shapes, (stack, squares, *kept) = ctx.curve, ctx.layout, ctx.shapes, ctx.saved_tensors
        single = len(shapes) == 1
        if len(kept) < 2 and not recording(change) and row_by_row(layout, stack[0]):
            whole = kept[0] if kept else None
            if squares is None:
                du = _differentiate_whole(curve, layout, whole, stack, change)
            else:
                du = differentiate_laplacian(curve, layout.listed[1][0], whole, stack, squares, change)
            if single:
                return None, None, du
            parts = [c if want else None for c, want in zip(layout.split(du), _wanted(ctx), strict=True)]
            return None, None, *_sized(parts, shapes)
        u, y, dy = _argument(layout, kept), layout.split(stack), layout.split(change)
        if single:
            return None, None, _gather(differentiate(curve, layout, u, y, dy, [True] * len(y)))
        return None, None, *_sized(differentiate(curve, layout, u, y, dy, _wanted(ctx)), shapes)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:  # type: ignore[override]
        layout, (stack, *kept) = ctx.layout, ctx.saved_tensors
        du = tangents[2:] if len(tangents) > 3 else layout.split(tangents[2])
        return _gather(push_forward(ctx.curve, layout, _argument(layout, kept), layout.split(stack), du))


def _argument(layout: Layout, kept: Sequence[Tensor]) -> Sequence[Coefficient]:
    """Coefficients of the argument, or as many times None where it is not kept."""
    if not kept:
        return [None] * (layout.order + 1)
    return layout.split(kept[0]) if len(kept) == 1 else kept


def _wanted(ctx: Any) -> list[bool]:
    return [shape is not None and ctx.needs_input_grad[2 + j] for j, shape in enumerate(ctx.shapes)]


def _sized(found: Sequence[Coefficient], shapes: Sequence[Any]) -> list[Coefficient]:
    """Sum over the points where a coefficient was the same for all of them."""
    return [c if c is None else c.sum_to_size(shape) for c, shape in zip(found, shapes, strict=True)]


class _Mapped(torch.autograd.Function):
    """From coefficients to coefficients, for vmap and the other transforms of torch.func."""

    generate_vmap_rule = True

    @staticmethod
    def forward(curve: Curve, layout: Layout, *u: Coefficient) -> tuple[Tensor, ...]:  # type: ignore[override]
        return tuple(solve(curve, layout, u))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.curve, ctx.layout, *u = inputs
        ctx.shapes = [None if c is None else c.shape for c in u]
        kept = u if ctx.curve.keeps_argument else [None] * len(u)
        ctx.save_for_backward(*output, *kept)
        ctx.save_for_forward(*output, *kept)

    @staticmethod
    def backward(ctx: Any, *dy: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        y, u = ctx.saved_tensors[: len(dy)], ctx.saved_tensors[len(dy) :]
        return None, None, *_sized(differentiate(ctx.curve, ctx.layout, u, y, dy, _wanted(ctx)), ctx.shapes)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, ...]:  # type: ignore[override]
        count = len(tangents) - 2
        y, u = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        return tuple(push_forward(ctx.curve, ctx.layout, u, y, tangents[2:]))
