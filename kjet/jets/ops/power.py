"""Taylor rules of powers and roots."""

from __future__ import annotations

import math
from typing import Any

import torch

from ...typing import Tensor
from .._registry import rule
from .._series import Coefficient, compose, plus
from ..jet import Jet
from .arithmetic import middle

_torch: Any = torch  # its annotations do not know that its functions take jets


@rule(torch.sqrt)
def sqrt(x: Jet) -> Jet:
    """``y^2 = x``; singular at zero."""
    value = torch.sqrt(x.primal)
    half = 0.5 / value
    y: list[Coefficient] = [value]
    for k in range(1, x.order + 1):
        rest = middle(y, y, k, x)
        total = plus(x.coefficients[k], None if rest is None else -rest)
        y.append(None if total is None else half * total)
    return Jet(y, x.layout)


@rule(torch.rsqrt)
def rsqrt(x: Jet) -> Jet:
    """``1 / sqrt(x)``."""
    return _recurrence(x, -0.5, torch.rsqrt(x.primal))


@rule(torch.square)
def square(x: Jet) -> Jet:
    """``x * x``."""
    return x * x


@rule(torch.hypot)
def hypot(a: Any, b: Any) -> Jet:
    """``sqrt(a^2 + b^2)``, with zero slope at the origin, as in torch's autograd."""
    return root_of_squares(a * a + b * b)


def root_of_squares(total: Any) -> Jet:
    """Square root of what is no less than zero, with every derivative zero where it vanishes."""
    nothing = total.primal == 0
    root: Any = torch.sqrt(torch.where(nothing, 1.0, total))
    return torch.where(nothing, 0.0, root)  # type: ignore[return-value]


def _recurrence(x: Jet, exponent: float, value: Tensor) -> Jet:
    """``k x_0 y_k = sum_{j=1..k} (c j - (k - j)) x_j y_{k-j}`` for a real exponent c; singular at x = 0."""
    layout, inverse = x.layout, torch.reciprocal(x.primal)
    y: list[Coefficient] = [value]
    for k in range(1, layout.order + 1):
        rows, rest = layout.active(k), None
        for j in range(1, k):
            left, right = x.coefficients[j], y[k - j]
            if left is not None and right is not None:
                rest = plus(rest, ((exponent * j - (k - j)) / k) * (left[:rows] * right[:rows]))
        rest = None if rest is None else layout.reduce(k, rest)
        top = x.coefficients[k]
        total = plus(None if top is None else exponent * (top * value), rest)
        y.append(None if total is None else inverse * total)
    return Jet(y, layout)


def _whole_power(x: Jet, exponent: int) -> Jet:
    """``x**n`` by repeated squaring: regular at zero."""
    result, base = None, x
    while exponent:
        if exponent & 1:
            result = base if result is None else result * base
        exponent >>= 1
        if exponent:
            base = base * base
    if result is None:
        return Jet([torch.ones_like(x.primal), *(None,) * x.order], x.layout)
    return result


def _scalar_power(x: Jet, exponent: float) -> Jet:
    if exponent.is_integer() and abs(exponent) <= 64:
        whole = _whole_power(x, abs(int(exponent)))
        return whole if exponent >= 0 else _torch.reciprocal(whole)
    if exponent == 0.5:
        return _torch.sqrt(x)
    if exponent > 1:  # whose first derivatives are finite at zero
        return _by_derivatives(x, x.primal.new_tensor(exponent))
    return _recurrence(x, exponent, x.primal**exponent)


def _by_derivatives(x: Jet, exponent: Tensor) -> Jet:
    """``d^k/dx^k x^p = p (p - 1) ... (p - k + 1) x^(p - k)``, and zero from where a whole exponent is used up."""
    derivatives, factor = [torch.pow(x.primal, exponent)], torch.ones_like(exponent)
    for k in range(1, x.order + 1):
        factor = factor * (exponent - (k - 1))
        base = torch.where(factor == 0, 1.0, x.primal)
        derivatives.append(factor * torch.pow(base, exponent - k))
    return compose(x, derivatives)


@rule(torch.pow, torch.Tensor.__pow__, torch.Tensor.__rpow__)
def power(base: Any, exponent: Any) -> Jet:
    """Powers by constants through their derivatives, whole ones by products, others as ``exp(b log a)``."""
    if isinstance(exponent, Jet):
        logarithm = _torch.log(base) if isinstance(base, Tensor | Jet) else math.log(base)
        return _torch.exp(exponent * logarithm)
    if isinstance(exponent, Tensor):
        return _by_derivatives(*_broadcast(base, exponent))
    return _scalar_power(base, float(exponent))


def _broadcast(x: Jet, exponent: Tensor) -> tuple[Jet, Tensor]:
    """Give the two as many axes, and a floating-point exponent."""
    like = exponent if exponent.is_floating_point() else exponent.to(x.dtype)
    return x + torch.zeros((1,) * like.ndim, dtype=x.dtype, device=x.device) if like.ndim > x.ndim else x, like


@rule(torch.Tensor.__rpow__)
def reflected_power(exponent: Any, base: Any) -> Jet:
    """``base ** exponent``, as Python hands them over."""
    return power(base, exponent)


@rule(torch.float_power)
def float_power(base: Any, exponent: Any) -> Jet:
    """Power in double precision."""
    wide = [t.to(torch.float64) if isinstance(t, Tensor | Jet) else t for t in (base, exponent)]
    return power(*wide)


@rule(torch.linalg.matrix_power, torch.matrix_power)
def matrix_power(x: Jet, n: int) -> Jet:
    """Powers of a matrix by repeated squaring; negative ones of its inverse."""
    base: Any = x if n >= 0 else torch.linalg.inv(x)  # type: ignore[arg-type]
    if n == 0:
        eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device).expand(x.shape)
        return Jet([eye, *(None,) * x.order], x.layout)
    result: Any = None
    n = abs(n)
    while n:
        if n & 1:
            result = base if result is None else torch.matmul(result, base)
        n >>= 1
        if n:
            base = torch.matmul(base, base)
    return result
