"""Second-order jets through elementwise functions, with the backward pass written out.

Most equations need two orders, and there the chain rule is short:
``y_1 = f' u_1``, ``y_2 = f' u_2 + f''/2 reduce(u_1^2)``. Letting autograd differentiate that would keep and revisit
twice the intermediate tensors, so this is one ``autograd.Function``, differentiable again, mapped by vmap and by
forward mode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..typing import Tensor
from .jet import Jet

Curve = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""``(u, y) -> f', f''/2, f'''/2`` of an elementwise function ``y = f(u)``."""


def second_order(x: Jet, function: Callable[[Tensor], Tensor], curve: Curve) -> Jet:
    """Push a jet of order 2 through ``function``."""
    layout = x.layout
    _, u1, u2 = x.coefficients
    if u1 is None and u2 is None:
        return Jet([function(x.primal), None, None], layout)
    if u1 is None:
        y = function(x.primal)
        return Jet([y, None, curve(x.primal, y)[0] * u2], layout)  # type: ignore[operator]
    weights = layout.weights[1]
    weights = None if weights is None else weights.to(u1)
    y, y1, y2 = _Second.apply(x.primal, u1, u2, weights, layout.kept[1], layout.active(2), function, curve)
    return Jet([y, y1, y2], layout)


def _reduce(terms: Tensor, weights: Tensor | None, kept: int) -> Tensor:
    if weights is None:
        return terms
    tail = terms[kept:]
    summed = (weights @ tail.reshape(tail.shape[0], -1)).reshape(weights.shape[0], *tail.shape[1:])
    return torch.cat([terms[:kept], summed]) if kept else summed


def _expand(rows: Tensor, weights: Tensor | None, kept: int) -> Tensor:
    """Transpose of :func:`_reduce`."""
    if weights is None:
        return rows
    tail = rows[kept:]
    spread = (weights.T @ tail.reshape(tail.shape[0], -1)).reshape(weights.shape[1], *tail.shape[1:])
    return torch.cat([rows[:kept], spread]) if kept else spread


def _shrink(gradient: Tensor, like: Tensor) -> Tensor:
    return gradient if gradient.shape == like.shape else gradient.sum_to_size(like.shape)


def _in_place(*tensors: Tensor) -> bool:
    """Tell whether fresh results may be overwritten: no graph is recorded and no transform wraps them."""
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return not torch.is_grad_enabled() and not any(wrapped(tensor) for tensor in tensors)


class _Second(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(  # type: ignore[override]
        u: Tensor, u1: Tensor, u2: Tensor | None, weights: Tensor | None, kept: int, active: int,
        function: Callable[[Tensor], Tensor], curve: Curve,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        y = function(u)
        slope, half, _ = curve(u, y)
        first = u1[:active]
        bend = _reduce(first * first, weights, kept)
        if u2 is not None and bend.shape == u2.shape and _in_place(u, u1, u2):
            return y, slope * u1, bend.mul_(half).addcmul_(slope, u2)
        bend = half * bend
        return y, slope * u1, bend if u2 is None else torch.addcmul(bend, slope, u2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        u, u1, u2, weights, ctx.kept, ctx.active, _, ctx.curve = inputs
        ctx.save_for_backward(u, u1, u2, weights, output[0])
        ctx.save_for_forward(u, u1, u2, weights, output[0])

    @staticmethod
    def backward(ctx: Any, g: Tensor, g1: Tensor, g2: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        u, u1, u2, weights, y = ctx.saved_tensors
        parts = (u, u1, u2, weights, y, g, g1, g2)
        whole = u2 is not None and u1.shape[1:] == u.shape and u2.shape[1:] == u.shape
        run = _backward_in_place if whole and _in_place(g, g1, g2, u, u1) else _backward
        return *run(parts, ctx.curve, ctx.kept, ctx.active), None, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, t: Tensor, t1: Tensor, t2: Tensor | None, *_: Any) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        u, u1, u2, weights, y = ctx.saved_tensors
        slope, half, jerk = ctx.curve(u, y)
        first = u1[: ctx.active]
        bend = _reduce(first * first, weights, ctx.kept)
        dy2 = torch.zeros_like(bend * slope)
        if t is not None:
            dy2 = dy2 + jerk * t * bend if u2 is None else dy2 + jerk * t * bend + 2 * half * t * u2
        if t1 is not None:
            dy2 = dy2 + 2 * half * _reduce(first * t1[: ctx.active], weights, ctx.kept)
        if t2 is not None:
            dy2 = dy2 + slope * t2
        base = torch.zeros_like(slope * u1)
        dy1 = base if t is None else 2 * half * t * u1
        dy1 = dy1 if t1 is None else dy1 + slope * t1
        return (torch.zeros_like(y) if t is None else slope * t), dy1, dy2


def _backward(parts: tuple[Any, ...], curve: Curve, kept: int, active: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients by operations that can be differentiated again."""
    u, u1, u2, weights, y, g, g1, g2 = parts
    slope, half, jerk = curve(u, y)
    first = u1[:active]
    spread = _expand(g2, weights, kept) * first
    through = (g1 * u1).sum(0) if u2 is None else (g1 * u1).sum(0) + (g2 * u2).sum(0)
    du = slope * g + 2 * half * through + jerk * (spread * first).sum(0)
    du1, extra = slope * g1, 2 * half * spread
    du1 = du1 + extra if active == u1.shape[0] else torch.cat([du1[:active] + extra, du1[active:]])
    return _shrink(du, u), _shrink(du1, u1), None if u2 is None else _shrink(slope * g2, u2)


def _backward_in_place(
    parts: tuple[Any, ...], curve: Curve, kept: int, active: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The same gradients, row by row into fresh buffers: memory traffic is what this costs."""
    u, u1, u2, weights, y, g, g1, g2 = parts
    slope, half, jerk = curve(u, y)
    spread = _expand(g2, weights, kept) * u1[:active]
    through = g1[0] * u1[0]
    for row in range(1, u1.shape[0]):
        through.addcmul_(g1[row], u1[row])
    for row in range(u2.shape[0]):
        through.addcmul_(g2[row], u2[row])
    bend = spread[0] * u1[0]
    for row in range(1, active):
        bend.addcmul_(spread[row], u1[row])
    du = (slope * g).addcmul_(half, through, value=2).addcmul_(jerk, bend)
    du1 = slope * g1
    du1[:active].addcmul_(half, spread, value=2)
    return du, du1, slope * g2
