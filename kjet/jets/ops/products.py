"""Taylor rules of contractions: linear layers, matrix products, einsum, convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ...errors import JetRuleError
from ...typing import Tensor
from .._linear import batched, bilinear, multilinear, rowwise
from .._registry import rule
from .._rows import eager
from .._series import Coefficient, linear
from ..jet import Jet


class _Affine(torch.autograd.Function):
    """All channels by one product; the bias goes to the primal alone."""

    @staticmethod
    def forward(ctx: Any, stack: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(stack, weight)
        ctx.save_for_forward(stack, weight)
        y = F.linear(stack, weight)
        if bias is not None:
            y[0].add_(bias)
        return y

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> tuple[Coefficient, ...]:  # type: ignore[override]
        stack, weight = ctx.saved_tensors
        rows = change.reshape(-1, change.shape[-1])
        to_stack, to_weight, to_bias = ctx.needs_input_grad
        return (
            change @ weight if to_stack else None,
            rows.t() @ stack.reshape(-1, stack.shape[-1]) if to_weight else None,
            change[0].reshape(-1, change.shape[-1]).sum(0) if to_bias else None,
        )

    @staticmethod
    def jvp(ctx: Any, d_stack: Coefficient, d_weight: Coefficient, d_bias: Coefficient) -> Tensor:  # type: ignore[override]
        stack, weight = ctx.saved_tensors
        total = torch.zeros_like(F.linear(stack, weight)) if d_stack is None else F.linear(d_stack, weight)
        total = total if d_weight is None else total + F.linear(stack, d_weight)
        return total if d_bias is None else torch.cat([total[:1] + d_bias, total[1:]])


@rule(torch.nn.functional.linear)
def linear_layer(x: Any, weight: Any, bias: Any = None) -> Jet:
    """``x W^T + b``: one product for each order."""
    if isinstance(weight, Jet) or not isinstance(x, Jet):
        product: Any = torch.matmul(x, weight.transpose(-1, -2) if weight.ndim > 1 else weight)
        return product if bias is None else product + bias
    plain = None if isinstance(bias, Jet) else bias
    if x.stack is not None and weight.ndim == 2 and plain is bias and eager() and not x.is_complex():
        return Jet.stacked(_Affine.apply(x.stack, weight, bias), x.layout)
    y = linear(x, lambda c: F.linear(c, weight, plain), lambda c: F.linear(_full_last(c, x), weight))
    return y + bias if isinstance(bias, Jet) else y


def _full_last(c: Tensor, x: Jet) -> Tensor:
    """Expand the axis that is contracted."""
    return c if c.shape[-1] == x.shape[-1] else c.expand(*c.shape[:-1], x.shape[-1])


@rule(torch.matmul, torch.mm, torch.bmm, torch.mv, torch.dot, torch.Tensor.__matmul__)
def matmul(a: Any, b: Any) -> Jet:
    """Matrix product of jets, or of a jet and a tensor."""
    if isinstance(a, Jet) and not isinstance(b, Jet) and b.ndim == 2 and a.ndim >= 2:
        if a.stack is not None:
            return Jet.stacked(a.stack @ b, a.layout)
        return linear(a, lambda c: c @ b, lambda c: _full_last(c, a) @ b)
    return bilinear(a, b, torch.matmul)


@rule(torch.inner)
def inner(a: Any, b: Any) -> Jet:
    """Sum over the last axes of both."""
    return bilinear(a, b, torch.inner)


@rule(torch.Tensor.matmul)
def matmul_method(a: Any, b: Any) -> Jet:
    """``a @ b`` of a tensor and a jet; a compiler hands over ``jet @ tensor`` with its operands exchanged."""
    if torch.compiler.is_compiling() and not isinstance(a, Jet) and _fits(b, a):
        if _fits(a, b):
            raise JetRuleError(
                "torch.compile confuses the operands of `jet @ tensor` and `tensor @ jet`, and their shapes fit both "
                "ways; write torch.matmul(a, b)"
            )
        return matmul(b, a)
    return matmul(a, b)


def _fits(a: Any, b: Any) -> bool:
    """Tell whether ``a @ b`` has a meaning."""
    return a.shape[-1] == b.shape[-2 if b.ndim > 1 else -1]


@rule(torch.Tensor.__rmatmul__)
def rmatmul(a: Any, b: Any) -> Jet:
    """``b @ a``."""
    return matmul(b, a)


@rule(torch.addmm, torch.baddbmm, torch.addmv)
def addmm(c: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Jet:
    """``beta c + alpha a b``, of one or many matrices or a vector."""
    return (beta * c) + (alpha * torch.matmul(a, b))


@rule(torch.addbmm)
def addbmm(c: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Jet:
    """``beta c + alpha sum_i a_i b_i``."""
    return (beta * c) + (alpha * torch.matmul(a, b).sum(0))


@rule(torch.addr)
def addr(c: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Jet:
    """``beta c + alpha a b^T``."""
    return (beta * c) + (alpha * torch.outer(a, b))


@rule(torch.outer, torch.ger)
def outer(a: Any, b: Any) -> Jet:
    """``a b^T``."""
    return a.unsqueeze(1) * b


@rule(torch.kron)
def kron(a: Any, b: Any) -> Jet:
    """Kronecker product, of tensors of any number of axes."""
    axes = max(a.ndim, b.ndim)
    one, two = ((1,) * (axes - t.ndim) + tuple(t.shape) for t in (a, b))
    left = a.reshape([extent for pair in zip(one, (1,) * axes, strict=True) for extent in pair])
    right = b.reshape([extent for pair in zip((1,) * axes, two, strict=True) for extent in pair])
    return (left * right).reshape([m * n for m, n in zip(one, two, strict=True)])


@rule(torch.linalg.vecdot)
def vecdot(a: Any, b: Any, *, dim: int = -1) -> Jet:
    """``sum conj(a) b`` along an axis."""
    return ((a.conj() if a.is_complex() else a) * b).sum(dim)


@rule(torch.linalg.cross)
def linalg_cross(a: Any, b: Any, *, dim: int = -1) -> Jet:
    """Vector product along an axis."""
    a0, a1, a2 = a.unbind(dim)
    b0, b1, b2 = b.unbind(dim)
    parts: Any = [a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0]
    return torch.stack(parts, dim)  # type: ignore[return-value]


@rule(torch.cross)
def cross(a: Any, b: Any, dim: int | None = None) -> Jet:
    """Vector product along an axis: without one, the first that has three entries."""
    axis = next(i for i, extent in enumerate(a.shape) if extent == 3) if dim is None else dim
    return linalg_cross(a, b, dim=axis)


@rule(torch.vdot)
def vdot(a: Any, b: Any) -> Jet:
    """``sum conj(a) b``."""
    return torch.dot(a.conj(), b)  # type: ignore[return-value]


@rule(torch.tensordot)
def tensordot(a: Any, b: Any, dims: Any = 2, out: None = None) -> Jet:
    """Contract axes of one with axes of the other."""
    return bilinear(a, b, lambda left, right: torch.tensordot(left, right, dims))


@rule(torch.linalg.multi_dot, torch.chain_matmul)
def multi_dot(*matrices: Any, out: None = None) -> Jet:
    """Product of many matrices, from the left."""
    first, *others = matrices[0] if isinstance(matrices[0], list | tuple) else matrices
    for other in others:
        first = torch.matmul(first, other)
    return first


@rule(torch.einsum)
def einsum(equation: str, *operands: Any) -> Any:
    """Einstein sum of any number of operands, any of them jets."""
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    places = [i for i, operand in enumerate(operands) if isinstance(operand, Jet)]

    def of(*tensors: Tensor) -> Tensor:
        filled = list(operands)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        return torch.einsum(equation, *filled)

    if len(places) == 1:
        return rowwise(operands[places[0]], of)
    if len(places) == 2:
        return bilinear(operands[places[0]], operands[places[1]], of)
    return multilinear(of, *(operands[place] for place in places))


@rule(F.bilinear)
def bilinear_layer(a: Any, b: Any, weight: Any, bias: Any = None) -> Jet:
    """``a^T W_o b + c_o``."""
    y = torch.einsum("...i,oij,...j->...o", a, weight, b)
    return y if bias is None else y + bias  # type: ignore[return-value]


def _register_convolution(operation: Callable[..., Tensor]) -> None:
    @rule(operation)
    def convolution(x: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any) -> Jet:
        if isinstance(weight, Jet):
            y = bilinear(x, weight, lambda a, b: operation(a, b, None, *args, **kwargs))
        else:
            y = batched(x, lambda t: operation(t, weight, None, *args, **kwargs), weight.ndim)
        return y if bias is None else y + bias.reshape(-1, *(1,) * (weight.ndim - 2))


for _convolution in (
    F.conv1d, F.conv2d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d,
):  # fmt: skip
    _register_convolution(_convolution)


@rule(F.embedding)
def embedding(index: Any, weight: Jet, padding_idx: Any = None, max_norm: Any = None, *_: Any, **__: Any) -> Jet:
    """Rows of a table that is a jet; those of a constant table are no jets, and need no rule."""
    if isinstance(index, Jet):
        raise JetRuleError("an embedding of jets is not differentiable: its argument must be integers")
    if max_norm is not None:
        raise JetRuleError("an embedding of jets cannot rescale its table in place; leave max_norm out")
    return weight.index_select(0, index.reshape(-1)).reshape(*index.shape, *weight.shape[1:])


@rule(F.cosine_similarity)
def cosine_similarity(a: Any, b: Any, dim: int = 1, eps: float = 1e-8) -> Jet:
    """``a b / (max(|a|, eps) max(|b|, eps))``."""
    lengths = [torch.linalg.vector_norm(t, dim=dim).clamp(min=eps) for t in (a, b)]
    return (a * b).sum(dim) / (lengths[0] * lengths[1])


@rule(F.mse_loss)
def mse_loss(
    a: Any, b: Any, size_average: None = None, reduce: None = None, reduction: str = "mean", weight: Any = None
) -> Jet:
    """Squared difference, averaged, summed or as it is."""
    squared = (a - b) ** 2
    squared = squared if weight is None else weight * squared
    return squared.mean() if reduction == "mean" else squared.sum() if reduction == "sum" else squared
