"""Taylor rules of operations of two arguments, either or both of them jets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ..errors import JetRuleError
from ..typing import Tensor
from ._rows import eager
from ._series import Coefficient, aligned, convolve, elementwise_pair, linear, plus
from .jet import Jet, rule


def _axes(value: Any) -> int:
    return value.ndim if isinstance(value, Tensor | Jet) else 0


def _aligned_operands(a: Any, b: Any) -> tuple[Any, Any]:
    axes = max(_axes(a), _axes(b))
    left = elementwise_pair(a, axes) if isinstance(a, Jet) else a
    right = elementwise_pair(b, axes) if isinstance(b, Jet) else b
    return left, right


def _sum(a: Any, b: Any, sign: float) -> Jet:
    a, b = _aligned_operands(a, b)
    if isinstance(a, Jet) and isinstance(b, Jet):
        rows = [
            plus(p, None if q is None else sign * q if sign != 1 else q)
            for p, q in zip(a.coefficients[1:], b.coefficients[1:], strict=True)
        ]
        return Jet([torch.add(a.primal, b.primal, alpha=sign), *rows], a.layout)
    if isinstance(a, Jet):
        return Jet([torch.add(a.primal, b, alpha=sign), *a.coefficients[1:]], a.layout)
    rows = [None if c is None else sign * c if sign != 1 else c for c in b.coefficients[1:]]
    return Jet([torch.rsub(b.primal, a) if sign == -1 else a + sign * b.primal, *rows], b.layout)


@rule(torch.add, torch.Tensor.__add__, torch.Tensor.__radd__)
def add(a: Any, b: Any, *, alpha: float = 1) -> Jet:
    """Add coefficients; a constant touches the primal alone."""
    return _sum(a, b, alpha)


@rule(torch.sub, torch.subtract, torch.Tensor.__sub__)
def sub(a: Any, b: Any, *, alpha: float = 1) -> Jet:
    """Subtract coefficients."""
    return _sum(a, b, -alpha)


@rule(torch.rsub, torch.Tensor.__rsub__)
def rsub(a: Any, b: Any, *, alpha: float = 1) -> Jet:
    """``b - a``."""
    return _sum(b, a, -1) if alpha == 1 else _sum(b, alpha * a, -1)


@rule(torch.mul, torch.multiply, torch.Tensor.__mul__, torch.Tensor.__rmul__)
def mul(a: Any, b: Any) -> Jet:
    """Cauchy product."""
    same = a is b
    a, b = _aligned_operands(a, b)
    if isinstance(a, Jet) and isinstance(b, Jet):
        b = a if same else b
        return Jet([a.primal * b.primal, *(convolve(a, b, k, torch.mul) for k in range(1, a.order + 1))], a.layout)
    jet, other = (a, b) if isinstance(a, Jet) else (b, a)
    return linear(jet, lambda c: c * other, lambda c: c * other)


@rule(torch.div, torch.divide, torch.true_divide, torch.Tensor.__truediv__)
def div(a: Any, b: Any, *, rounding_mode: str | None = None) -> Jet:
    """``y b = a``, solved order by order."""
    if rounding_mode is not None:
        raise TypeError(f"division with rounding_mode={rounding_mode!r} has no derivative; leave rounding_mode out")
    if not isinstance(b, Jet):
        a, b = _aligned_operands(a, b)
        return linear(a, lambda c: c / b, lambda c: c / b)
    return a * torch.reciprocal(b)  # type: ignore[arg-type]


@rule(torch.Tensor.__rtruediv__, torch.Tensor.__rdiv__)
def rdiv(a: Jet, b: Any) -> Jet:
    """``b / a``."""
    return b * torch.reciprocal(a)  # type: ignore[arg-type]


def bilinear(a: Any, b: Any, product: Callable[[Tensor, Tensor], Tensor]) -> Jet:
    """Apply a bilinear operation, mapped over the row axes of whichever operand has them."""
    layout = a.layout if isinstance(a, Jet) else b.layout
    maps = {
        (True, True): torch.func.vmap(product),
        (True, False): torch.func.vmap(product, in_dims=(0, None)),
        (False, True): torch.func.vmap(product, in_dims=(None, 0)),
        (False, False): product,
    }

    def full(x: Jet) -> Jet:
        return Jet([x.primal, *(x.row(k) for k in range(1, layout.order + 1))], layout)

    if isinstance(a, Jet) and isinstance(b, Jet):
        a, b = full(a), full(b)

        def chosen(i: int, j: int) -> Callable[[Tensor, Tensor], Tensor]:
            return maps[i > 0, j > 0]

        rows = [convolve(a, b, k, product, chosen) for k in range(1, layout.order + 1)]
        return Jet([product(a.primal, b.primal), *rows], layout)
    if isinstance(a, Jet):
        return linear(full(a), lambda c: product(c, b), lambda c: maps[True, False](c, b))
    return linear(full(b), lambda c: product(a, c), lambda c: maps[False, True](a, c))


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
    if isinstance(weight, Jet):
        product = matmul(x, weight.transpose(-1, -2) if weight.ndim > 1 else weight)
        return product if bias is None else product + bias
    plain = None if isinstance(bias, Jet) else bias
    if x.stack is not None and weight.ndim == 2 and plain is bias and eager():
        return Jet.stacked(_Affine.apply(x.stack, weight, bias), x.layout)
    y = linear(x, lambda c: F.linear(c, weight, plain), lambda c: _linear_rows(c, x, weight))
    return y + bias if isinstance(bias, Jet) else y


def _linear_rows(c: Tensor, x: Jet, weight: Tensor) -> Tensor:
    return F.linear(c if c.shape[-1] == x.shape[-1] else c.expand(*c.shape[:-1], x.shape[-1]), weight)


@rule(torch.matmul, torch.mm, torch.bmm, torch.mv, torch.dot, torch.Tensor.__matmul__)
def matmul(a: Any, b: Any) -> Jet:
    """Matrix product of jets, or of a jet and a tensor."""
    if isinstance(a, Jet) and not isinstance(b, Jet) and b.ndim == 2 and a.ndim >= 2:
        return linear(
            a,
            lambda c: c @ b,
            lambda c: (c if c.shape[-1] == a.shape[-1] else c.expand(*c.shape[:-1], a.shape[-1])) @ b,
        )
    return bilinear(a, b, torch.matmul)


@rule(torch.Tensor.matmul)
def matmul_method(a: Any, b: Any) -> Jet:
    """``a @ b`` of a tensor and a jet; a compiler hands over ``jet @ tensor`` with its operands exchanged."""
    if torch.compiler.is_compiling() and not isinstance(a, Jet):
        raise JetRuleError(
            "torch.compile confuses the operands of `jet @ tensor` and `tensor @ jet`; write torch.matmul(a, b)"
        )
    return matmul(a, b)


@rule(torch.Tensor.__rmatmul__)
def rmatmul(a: Any, b: Any) -> Jet:
    """``b @ a``."""
    return matmul(b, a)


@rule(torch.addmm)
def addmm(c: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Jet:
    """``beta c + alpha a b``."""
    return (beta * c) + (alpha * torch.matmul(a, b))


@rule(torch.baddbmm)
def baddbmm(c: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Jet:
    """``beta c + alpha a b`` in batches."""
    return (beta * c) + (alpha * torch.matmul(a, b))


@rule(torch.outer)
def outer(a: Any, b: Any) -> Jet:
    """Outer product."""
    return bilinear(a, b, torch.outer)


@rule(torch.einsum)
def einsum(equation: str, *operands: Any) -> Any:
    """Einstein sum of any number of operands, two at most of them jets."""
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    places = [i for i, operand in enumerate(operands) if isinstance(operand, Jet)]
    if len(places) > 2:
        raise TypeError(f"einsum over {len(places)} jets: contract them two at a time")

    def of(*tensors: Tensor) -> Tensor:
        filled = list(operands)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        return torch.einsum(equation, *filled)

    if len(places) == 2:
        return bilinear(operands[places[0]], operands[places[1]], of)
    x = operands[places[0]]
    mapped = torch.func.vmap(of)
    rows = [None if x.coefficients[k] is None else mapped(x.row(k)) for k in range(1, x.order + 1)]
    return Jet([of(x.primal), *rows], x.layout)


def _register_convolution(operation: Callable[..., Tensor]) -> None:
    @rule(operation)
    def convolution(x: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any) -> Jet:
        y = bilinear(x, weight, lambda a, b: operation(a, b, None, *args, **kwargs))
        if bias is None:
            return y
        return y + bias.reshape(-1, *(1,) * (weight.ndim - 2))


for _convolution in (
    F.conv1d, F.conv2d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d,
):  # fmt: skip
    _register_convolution(_convolution)


@rule(torch.where)
def where(condition: Any, a: Any, b: Any) -> Jet:
    """Select coefficients by a mask that is constant in the direction; no derivative of the jump itself."""
    mask = condition.primal if isinstance(condition, Jet) else condition
    axes = max(_axes(mask), _axes(a), _axes(b))
    layout = a.layout if isinstance(a, Jet) else b.layout

    def coefficient(value: Any, k: int) -> Any:
        if not isinstance(value, Jet):
            return None
        c = value.coefficients[k]
        return None if c is None else aligned(c, axes)

    rows: list[Coefficient] = []
    for k in range(1, layout.order + 1):
        left, right = coefficient(a, k), coefficient(b, k)
        if left is None and right is None:
            rows.append(None)
        else:
            rows.append(torch.where(mask, 0.0 if left is None else left, 0.0 if right is None else right))
    primal = torch.where(mask, a.primal if isinstance(a, Jet) else a, b.primal if isinstance(b, Jet) else b)
    return Jet([primal, *rows], layout)


@rule(torch.maximum, torch.fmax)
def maximum(a: Any, b: Any) -> Jet:
    """Larger of two; the first where they are equal."""
    return torch.where(a >= b if isinstance(a, Jet) else b <= a, a, b)  # type: ignore[arg-type,return-value]


@rule(torch.minimum, torch.fmin)
def minimum(a: Any, b: Any) -> Jet:
    """Smaller of two; the first where they are equal."""
    return torch.where(a <= b if isinstance(a, Jet) else b >= a, a, b)  # type: ignore[arg-type,return-value]


@rule(torch.lerp)
def lerp(a: Any, b: Any, weight: Any) -> Jet:
    """``a + weight (b - a)``."""
    return a + weight * (b - a)


@rule(torch.addcmul)
def addcmul(x: Any, a: Any, b: Any, *, value: float = 1) -> Jet:
    """``x + value a b``."""
    return x + value * (a * b)


@rule(torch.hypot)
def hypot(a: Any, b: Any) -> Jet:
    """``sqrt(a^2 + b^2)``."""
    squares: Any = a * a + b * b
    return torch.sqrt(squares)  # type: ignore[return-value]


@rule(torch.prod)
def prod(x: Jet, dim: int | None = None, keepdim: bool = False) -> Jet:
    """Product along an axis, or of all elements, by a balanced tree of products."""
    if dim is None:
        x, dim, keepdim = x.reshape(-1), 0, False
    factors = list(torch.unbind(x, dim))  # type: ignore[arg-type]
    while len(factors) > 1:
        pairs = [a * b for a, b in zip(factors[::2], factors[1::2], strict=False)]
        factors = pairs + ([factors[-1]] if len(factors) % 2 else [])
    return factors[0].unsqueeze(dim) if keepdim else factors[0]  # type: ignore[return-value]
