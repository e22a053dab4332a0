"""Taylor rules of elementwise functions of one argument."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ..typing import Tensor
from ._ode import Pair, Riccati
from ._push import push
from ._series import Coefficient, compose_with_slope, linear, plus
from .jet import Jet, rule

# --- functions that satisfy a differential equation -----------------------------------------------------------------

_TANH = Riccati(torch.tanh, linear=False, square=-1.0)
_TAN = Riccati(torch.tan, linear=False, square=1.0)
_SIGMOID = Riccati(torch.sigmoid, linear=True, square=-1.0)
_EXP = Riccati(torch.exp, linear=True, square=0.0)
_SIN = Pair(torch.sin, torch.cos, -1.0)
_COS = Pair(torch.cos, lambda u: -torch.sin(u), -1.0)
_SINH = Pair(torch.sinh, torch.cosh, 1.0)
_COSH = Pair(torch.cosh, torch.sinh, 1.0)


@rule(torch.tanh, F.tanh)
def tanh(x: Jet) -> Jet:
    """``y' = (1 - y^2) x'``."""
    return push(x, _TANH)


@rule(torch.tan)
def tan(x: Jet) -> Jet:
    """``y' = (1 + y^2) x'``."""
    return push(x, _TAN)


@rule(torch.sigmoid, F.sigmoid, torch.special.expit)
def sigmoid(x: Jet) -> Jet:
    """``y' = (y - y^2) x'``."""
    return push(x, _SIGMOID)


@rule(torch.exp)
def exp(x: Jet) -> Jet:
    """``y' = y x'``."""
    return push(x, _EXP)


@rule(torch.sin)
def sin(x: Jet) -> Jet:
    """Sine and cosine run together."""
    return push(x, _SIN)


@rule(torch.cos)
def cos(x: Jet) -> Jet:
    """Cosine, with minus sine as its slope."""
    return push(x, _COS)


@rule(torch.sinh)
def sinh(x: Jet) -> Jet:
    """Hyperbolic sine."""
    return push(x, _SINH)


@rule(torch.cosh)
def cosh(x: Jet) -> Jet:
    """Hyperbolic cosine."""
    return push(x, _COSH)


# --- functions whose derivative is a function with rules ------------------------------------------------------------


@rule(torch.log)
def log(x: Jet) -> Jet:
    """``y' = x' / x``."""
    return compose_with_slope(x, torch.log(x.primal), torch.reciprocal)


@rule(torch.log1p)
def log1p(x: Jet) -> Jet:
    """``y' = x' / (1 + x)``."""
    return compose_with_slope(x, torch.log1p(x.primal), lambda t: torch.reciprocal(1 + t))


@rule(torch.expm1)
def expm1(x: Jet) -> Jet:
    """``y' = exp(x) x'``."""
    return compose_with_slope(x, torch.expm1(x.primal), torch.exp)


@rule(torch.erf, torch.special.erf)
def erf(x: Jet) -> Jet:
    """``y' = 2/sqrt(pi) exp(-x^2) x'``."""
    return compose_with_slope(x, torch.erf(x.primal), lambda t: (2 / math.sqrt(math.pi)) * torch.exp(-(t * t)))


@rule(torch.atan, torch.arctan)
def atan(x: Jet) -> Jet:
    """``y' = x' / (1 + x^2)``."""
    return compose_with_slope(x, torch.atan(x.primal), lambda t: torch.reciprocal(1 + t * t))


@rule(torch.asin, torch.arcsin)
def asin(x: Jet) -> Jet:
    """``y' = x' / sqrt(1 - x^2)``."""
    return compose_with_slope(x, torch.asin(x.primal), lambda t: torch.rsqrt(1 - t * t))


@rule(torch.acos, torch.arccos)
def acos(x: Jet) -> Jet:
    """``y' = -x' / sqrt(1 - x^2)``."""
    return compose_with_slope(x, torch.acos(x.primal), lambda t: -torch.rsqrt(1 - t * t))


@rule(torch.asinh, torch.arcsinh)
def asinh(x: Jet) -> Jet:
    """``y' = x' / sqrt(1 + x^2)``."""
    return compose_with_slope(x, torch.asinh(x.primal), lambda t: torch.rsqrt(1 + t * t))


@rule(F.softplus)
def softplus(x: Jet, beta: float = 1.0, threshold: float = 20.0) -> Jet:
    """``y' = sigmoid(beta x) x'``; the identity where ``beta x`` exceeds the threshold, as in torch."""
    linear_part = beta * x.primal > threshold

    def slope(t: Any) -> Any:
        return torch.where(linear_part, torch.ones_like(x.primal), torch.sigmoid(beta * t))

    return compose_with_slope(x, F.softplus(x.primal, beta, threshold), slope)


# --- algebraic ------------------------------------------------------------------------------------------------------


@rule(torch.sqrt)
def sqrt(x: Jet) -> Jet:
    """``y^2 = x``."""
    layout, value = x.layout, torch.sqrt(x.primal)
    half = 0.5 / value
    y: list[Coefficient] = [value]
    for k in range(1, layout.order + 1):
        rest = _middle(y, y, k, layout.active(k))
        rest = None if rest is None else -layout.reduce(k, rest)
        total = plus(x.coefficients[k], rest)
        y.append(None if total is None else half * total)
    return Jet(y, layout)


def _middle(a: list[Coefficient], b: list[Coefficient], k: int, rows: int) -> Coefficient:
    """``sum_{0<j<k} a_j b_{k-j}``."""
    total: Coefficient = None
    for j in range(1, k):
        left, right = a[j], b[k - j]
        if left is not None and right is not None:
            total = plus(total, left[:rows] * right[:rows])
    return total


@rule(torch.rsqrt)
def rsqrt(x: Jet) -> Jet:
    """``1 / sqrt(x)``."""
    return real_power(x, -0.5)


@rule(torch.reciprocal)
def reciprocal(x: Jet) -> Jet:
    """``x y = 1``."""
    layout, value = x.layout, torch.reciprocal(x.primal)
    y: list[Coefficient] = [value]
    for k in range(1, layout.order + 1):
        rest = _middle(x.coefficients, y, k, layout.active(k))
        rest = None if rest is None else layout.reduce(k, rest)
        top = x.coefficients[k]
        total = plus(None if top is None else top * value, rest)
        y.append(None if total is None else -value * total)
    return Jet(y, layout)


@rule(torch.square)
def square(x: Jet) -> Jet:
    """``x * x``."""
    return x * x


def real_power(x: Jet, exponent: float) -> Jet:
    """``k x_0 y_k = sum_{j=1..k} (c j - (k - j)) x_j y_{k-j}`` for a real exponent c; singular at x = 0."""
    layout, value = x.layout, x.primal**exponent
    inverse = torch.reciprocal(x.primal)
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


def integer_power(x: Jet, exponent: int) -> Jet:
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


@rule(torch.pow, torch.Tensor.__pow__, torch.Tensor.__rpow__, torch.float_power)
def power(base: Any, exponent: Any) -> Jet:
    """Integer powers by products, real ones by recurrence, others as ``exp(b log a)``."""
    if not isinstance(exponent, Jet) and isinstance(base, Jet):
        if not isinstance(exponent, Tensor):
            number = float(exponent)
            if number.is_integer() and abs(number) <= 64:
                whole = integer_power(base, abs(int(number)))
                return whole if number >= 0 else torch.reciprocal(whole)  # type: ignore[arg-type,return-value]
            return torch.sqrt(base) if number == 0.5 else real_power(base, number)  # type: ignore[arg-type,return-value]
        return torch.exp(exponent * torch.log(base))  # type: ignore[arg-type,return-value]
    logarithm = torch.log(base) if isinstance(base, Tensor | Jet) else math.log(base)  # type: ignore[arg-type]
    return torch.exp(exponent * logarithm)  # type: ignore[return-value]


# --- composites -----------------------------------------------------------------------------------------------------


@rule(F.silu)
def silu(x: Jet, inplace: bool = False) -> Jet:
    """``x sigmoid(x)``."""
    return x * torch.sigmoid(x)  # type: ignore[arg-type,return-value]


@rule(F.mish)
def mish(x: Jet, inplace: bool = False) -> Jet:
    """``x tanh(softplus(x))``."""
    return x * torch.tanh(F.softplus(x))  # type: ignore[arg-type,return-value]


@rule(F.logsigmoid)
def logsigmoid(x: Jet) -> Jet:
    """``-softplus(-x)``."""
    return -F.softplus(-x)  # type: ignore[arg-type,return-value]


@rule(F.gelu)
def gelu(x: Jet, approximate: str = "none") -> Jet:
    """``x Phi(x)``, or its tanh approximation."""
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return 0.5 * x * (1 + torch.tanh(inner))  # type: ignore[arg-type,return-value]
    return 0.5 * x * (1 + torch.erf(x * math.sqrt(0.5)))  # type: ignore[arg-type,return-value]


# --- piecewise: a constant mask times the branch that the primal selects -------------------------------------------


def masked(x: Jet, mask: Tensor, value: Tensor) -> Jet:
    """Keep the coefficients where ``mask`` holds, zero elsewhere."""
    return Jet([value, *(None if c is None else torch.where(mask, c, 0.0) for c in x.coefficients[1:])], x.layout)


@rule(torch.relu, F.relu)
def relu(x: Jet, inplace: bool = False) -> Jet:
    """``max(x, 0)``.

    Piecewise linear: its derivatives above the first are zero wherever they exist, so a ReLU network carries no
    curvature and cannot fit an equation of second order. At the kink itself the left branch (zero) is taken, as
    torch's autograd does.
    """
    return masked(x, x.primal > 0, torch.relu(x.primal))


@rule(F.leaky_relu)
def leaky_relu(x: Jet, negative_slope: float = 0.01, inplace: bool = False) -> Jet:
    """Slope 1 right of zero, ``negative_slope`` left of it."""
    factor = torch.where(x.primal > 0, torch.ones_like(x.primal), negative_slope)
    return linear(x, lambda c: factor * c, lambda c: factor * c)


@rule(F.elu)
def elu(x: Jet, alpha: float = 1.0, inplace: bool = False) -> Jet:
    """``x`` right of zero, ``alpha (exp(x) - 1)`` left of it; the exponential is kept from overflowing."""
    positive = x.primal > 0
    return torch.where(positive, x, alpha * torch.expm1(masked(x, ~positive, x.primal.clamp(max=0))))  # type: ignore


@rule(torch.abs, torch.absolute, torch.Tensor.__abs__)
def absolute(x: Jet) -> Jet:
    """``sign(x) x``, with zero slope at zero."""
    sign = torch.sign(x.primal)
    return linear(x, torch.abs, lambda c: sign * c)


@rule(torch.clamp, torch.clip)
def clamp(x: Jet, min: Any = None, max: Any = None) -> Jet:
    """Constant outside the bounds: every derivative is zero there."""
    value = torch.clamp(x.primal, min, max)
    return masked(x, value == x.primal, value)


@rule(torch.neg, torch.negative, torch.Tensor.__neg__)
def neg(x: Jet) -> Jet:
    """Flip every sign."""
    return linear(x, torch.neg, torch.neg)
