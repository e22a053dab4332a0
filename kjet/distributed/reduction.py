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
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist

from ..typing import Float, Tensor
from .mesh import Axis, Mesh

__all__ = ["reduce_gradients", "sum_over"]


def sum_over(value: Float[Tensor, "*n"], axis: Axis) -> Float[Tensor, "*n"]:
    """Sum over the ranks of an axis, differentiably; every rank gets the sum.

    What is computed from the sum must be computed alike on all ranks of the axis; gradients are then reduced by
    :func:`reduce_gradients` or :meth:`Mesh.reduce`. Forward mode (``torch.func.jvp``) sums the tangents, and is right
    on every rank at once, if all of them use it.

    A derivative that autograd takes of something formed from the sum is this rank's, and stands for the whole only in
    the mean over the ranks. So a derivative with respect to the points that is needed in a residual is
    ``sum_over(derivative, axis) / axis.size``; better, jets deliver it. Derivatives of any order can be taken so.

    Args:
        value: This rank's part, of the same shape on all of them.
        axis: The ranks.

    Cost: one all-reduce of the value; nothing on the way back, and one where a gradient is differentiated again.

    >>> sum_over(torch.ones(2), Mesh().direction)
    tensor([1., 1.])
    """
    if axis.group is None or value.numel() == 0:
        return value
    function = _Traced if torch.compiler.is_compiling() else _Sum
    return function.apply(value, axis.group, axis.size)


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


def reduce_gradients(parameters: Iterable[Tensor], mesh: Mesh, *values: Tensor) -> list[Tensor]:
    """Make the gradients of all processes the gradient of the whole loss, in one exchange.

    Call it on all processes after ``loss.backward()``, where the loss is each process's part (:meth:`Share.mean`).
    A parameter without a gradient on some processes has one afterwards if any of them has.

    Args:
        parameters: The same on all processes, in the same order; those that need no gradient are passed over.
        mesh: The processes.
        *values: What else is to be reduced along with them, such as the loss itself.

    Returns:
        The values of the whole: sums over the data ranks, means over the direction ranks.

    >>> w = torch.ones(1, requires_grad=True)
    >>> loss = (3 * w).sum()
    >>> loss.backward()
    >>> reduce_gradients([w], Mesh(), loss), w.grad
    ([tensor(3.)], tensor([3.]))
    """
    trained = [p for p in parameters if p.requires_grad]
    if mesh.world.group is None or not trained:
        return mesh.reduce(*values)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    # Ranks must agree on what travels, so each tells which parameters it used rather than leave some out.
    used = torch.tensor([float(p.grad is not None) for p in trained]).to(gradients[0])
    counts, *reduced = mesh.reduce(used, *gradients, *values)
    for place, (p, total) in enumerate(zip(trained, reduced, strict=False)):
        if p.grad is not None:
            p.grad.copy_(total)
        elif bool(counts[place]):
            p.grad = total.clone()
    return reduced[len(trained) :]
