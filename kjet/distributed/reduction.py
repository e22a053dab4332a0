r"""Sums over processes, and what they mean for gradients.

Let P direction ranks hold the same parameters :math:`\theta`. Rank r pushes its own directions, :math:`v_r(\theta)`,
and all of them form the same loss

.. math:: L = \ell(v, \theta), \qquad v = \sum_r v_r(\theta),

where the second argument stands for all that is computed alike on every rank: the value of the network, terms that are
not shared, conditions, parameters of the equation. The gradient is

.. math:: \frac{dL}{d\theta} = \ell_v \sum_r v_r' + \ell_\theta
    = \frac1P \sum_r \bigl( P\,\ell_v\,v_r' + \ell_\theta \bigr).

So :func:`sum_over` multiplies by P on the way back, and the mean over the ranks takes every direction once and what is
replicated once, too. (It is the transpose of the sum over ranks, which adds P gradients; since they are equal, nothing
is sent. What flows back when a gradient is differentiated again is not equal, and is added.) The mean is right for
every derivative of something that all P ranks hold alike: for a gradient, and row by row for a Jacobian. Over data
ranks, whose losses are parts of one mean, gradients are summed. Both are one all-reduce: :meth:`Mesh.reduce`.

For column ranks v is the first layer's value, and the same holds. A weight that only one of them has is the exception:
its gradient comes with the factor P, and there is nothing to take the mean with, so that it is divided by P.
"""

from __future__ import annotations

from typing import Any, overload

import torch
import torch.distributed as dist

from ..jets import Jet
from ..typing import Float, Tensor
from .mesh import Axis

__all__ = ["sum_over"]


@overload
def sum_over(value: Tensor, axis: Axis) -> Tensor: ...


@overload
def sum_over(value: Jet, axis: Axis) -> Jet: ...


@overload
def sum_over(value: Tensor | Jet, axis: Axis) -> Tensor | Jet: ...


def sum_over(value: Float[Tensor, "*n"] | Jet, axis: Axis) -> Float[Tensor, "*n"] | Jet:
    """Sum over the ranks of an axis, differentiably; every rank gets the sum.

    What is computed from the sum must be computed alike on all ranks of the axis; gradients are then reduced by
    :func:`kjet.distributed.reduce_gradients` or :meth:`Mesh.reduce`. Forward mode (``torch.func.jvp``) sums the
    tangents, and is right on every rank at once, if all of them use it.

    A derivative that autograd takes of something formed from the sum is this rank's, and stands for the whole only in
    the mean over the ranks. So a derivative with respect to the points that is needed in a residual is
    ``sum_over(derivative, axis) / axis.size``; better, jets deliver it. Derivatives of any order can be taken so.

    Args:
        value: This rank's part, of the same shape on all of them; of a jet all coefficients, in the same layout.
        axis: The ranks.

    Cost: one all-reduce of the value; nothing on the way back, and one where a gradient is differentiated again.

    >>> sum_over(torch.ones(2), Axis())
    tensor([1., 1.])
    """
    if axis.group is None or value.numel() == 0:
        return value
    if isinstance(value, Jet):
        return _sum_jet(value, axis)
    function = _Traced if torch.compiler.is_compiling() else _Sum
    return function.apply(value, axis.group, axis.size)


def _sum_jet(value: Jet, axis: Axis) -> Jet:
    """Add all coefficients in one exchange; which of them are zero is the same on all ranks."""
    if value.stack is not None:
        return Jet.stacked(sum_over(value.stack, axis), value.layout)
    present = [c for c in value.coefficients if c is not None]
    flat = sum_over(torch.cat([c.reshape(-1) for c in present]), axis)
    parts = iter(flat.split([c.numel() for c in present]))
    return Jet([None if c is None else next(parts).reshape(c.shape) for c in value.coefficients], value.layout)


def _sum(value: Tensor, group: dist.ProcessGroup) -> Tensor:
    total = value.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=group)
    return total


class _Sum(torch.autograd.Function):
    """The sum over ranks of what differs between them."""

    @staticmethod
    def forward(value: Tensor, group: dist.ProcessGroup, size: int) -> Tensor:
        return _sum(value, group)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.axis = inputs[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _SumOfEqual.apply(gradient, *ctx.axis), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        return _Sum.apply(tangent, *ctx.axis)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], value: Tensor, *axis: Any) -> tuple[Tensor, int | None]:
        return _Sum.apply(value, *axis), in_dims[0]


class _SumOfEqual(torch.autograd.Function):
    """The sum over ranks of what is equal on all of them; what flows back through it need not be."""

    @staticmethod
    def forward(value: Tensor, group: dist.ProcessGroup, size: int) -> Tensor:
        return size * value

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.axis = inputs[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Sum.apply(gradient, *ctx.axis), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        return _SumOfEqual.apply(tangent, *ctx.axis)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], value: Tensor, *axis: Any) -> tuple[Tensor, int | None]:
        return _SumOfEqual.apply(value, *axis), in_dims[0]


class _Traced(torch.autograd.Function):
    """The same for compilers, which take no function with rules for forward mode, and differentiate once."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, group: dist.ProcessGroup, size: int) -> Tensor:
        ctx.size = size
        return _sum(value, group)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.size * gradient, None, None
