"""Taylor rules of sums, products and quotients, either or both operands of them jets."""

from __future__ import annotations

from typing import Any

import torch

from ...typing import Tensor
from .._registry import rule
from .._series import Coefficient, convolve, elementwise_pair, linear, plus
from ..jet import Jet


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


@rule(torch.neg, torch.negative, torch.Tensor.__neg__)
def neg(x: Jet) -> Jet:
    """Flip every sign."""
    return Jet.stacked(-x.stack, x.layout) if x.stack is not None else linear(x, torch.neg, torch.neg)


def _keeps_shape(x: Jet, factor: Any) -> bool:
    if not isinstance(factor, Tensor) or not factor.ndim:
        return True
    return factor.ndim <= x.ndim and torch.broadcast_shapes(factor.shape, x.shape) == x.shape


@rule(torch.mul, torch.multiply, torch.Tensor.__mul__, torch.Tensor.__rmul__)
def mul(a: Any, b: Any) -> Jet:
    """Cauchy product."""
    same = a is b
    a, b = _aligned_operands(a, b)
    if isinstance(a, Jet) and isinstance(b, Jet):
        b = a if same else b
        return Jet([a.primal * b.primal, *(convolve(a, b, k, torch.mul) for k in range(1, a.order + 1))], a.layout)
    jet, other = (a, b) if isinstance(a, Jet) else (b, a)
    if jet.stack is not None and _keeps_shape(jet, other):
        return Jet.stacked(jet.stack * other, jet.layout)
    return linear(jet, lambda c: c * other, lambda c: c * other)


@rule(torch.div, torch.divide, torch.true_divide, torch.Tensor.__truediv__)
def div(a: Any, b: Any, *, rounding_mode: str | None = None) -> Any:
    """``y b = a``, solved order by order; rounded quotients are constant between jumps."""
    if rounding_mode is not None:
        first, second = (t.primal if isinstance(t, Jet) else t for t in (a, b))
        return torch.div(first, second, rounding_mode=rounding_mode)
    a, b = _aligned_operands(a, b)
    if isinstance(b, Jet):
        return _quotient(a, b)
    if a.stack is not None and _keeps_shape(a, b):
        return Jet.stacked(a.stack / b, a.layout)
    return linear(a, lambda c: c / b, lambda c: c / b)


@rule(torch.Tensor.__rtruediv__, torch.Tensor.__rdiv__)
def rdiv(a: Jet, b: Any) -> Jet:
    """``b / a``."""
    return div(b, a)


@rule(torch.reciprocal)
def reciprocal(x: Jet) -> Jet:
    """``x y = 1``."""
    return _quotient(1.0, x)


def _quotient(a: Any, b: Jet) -> Jet:
    """``b_0 y_k = a_k - b_k y_0 - sum_{0<j<k} b_j y_{k-j}``."""
    layout, inverse = b.layout, torch.reciprocal(b.primal)
    numerator: list[Any] = a.coefficients if isinstance(a, Jet) else [a, *(None,) * layout.order]
    y: list[Any] = [inverse if isinstance(a, int | float) and a == 1 else numerator[0] * inverse]
    for k in range(1, layout.order + 1):
        top = b.coefficients[k]
        rest = plus(None if top is None else top * y[0], middle(b.coefficients, y, k, b))
        total = plus(numerator[k], None if rest is None else -rest)
        y.append(None if total is None else inverse * total)
    return Jet(y, layout)


def middle(a: list[Coefficient], b: list[Coefficient], k: int, like: Jet) -> Coefficient:
    """``sum_{0<j<k} a_j b_{k-j}``, summed into slots."""
    total: Coefficient = None
    rows = like.layout.active(k)
    for j in range(1, k):
        left, right = a[j], b[k - j]
        if left is not None and right is not None:
            total = plus(total, left[:rows] * right[:rows])
    return None if total is None else like.layout.reduce(k, total)


@rule(torch.lerp)
def lerp(a: Any, b: Any, weight: Any) -> Jet:
    """``a + weight (b - a)``."""
    return a + weight * (b - a)


@rule(torch.addcmul)
def addcmul(x: Any, a: Any, b: Any, *, value: float = 1) -> Jet:
    """``x + value a b``."""
    return x + value * (a * b)


@rule(torch.addcdiv)
def addcdiv(x: Any, a: Any, b: Any, *, value: float = 1) -> Jet:
    """``x + value a / b``."""
    return x + value * (a / b)


@rule(torch.prod)
def prod(x: Jet, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Jet:
    """Product along an axis, or of all elements, by a balanced tree of products."""
    x = x if dtype is None else x.to(dtype)
    if dim is None:
        x, dim, keepdim = x.reshape(-1), 0, False
    factors = list(torch.unbind(x, dim))  # type: ignore[arg-type]
    while len(factors) > 1:
        pairs = [a * b for a, b in zip(factors[::2], factors[1::2], strict=False)]
        factors = pairs + ([factors[-1]] if len(factors) % 2 else [])
    return factors[0].unsqueeze(dim) if keepdim else factors[0]  # type: ignore[return-value]


@rule(torch.cumprod)
def cumprod(x: Jet, dim: int, *, dtype: Any = None) -> Jet:
    """Products of the first elements along an axis."""
    factors = torch.unbind(x if dtype is None else x.to(dtype), dim)  # type: ignore[arg-type]
    found = [factors[0]]
    for factor in factors[1:]:
        found.append(found[-1] * factor)
    return torch.stack(found, dim)  # type: ignore[return-value]
