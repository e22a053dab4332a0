"""Taylor rules of elementary functions of one or two arguments."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from .._ode import Curve, Pair, Riccati, solve
from .._push import push
from .._registry import rule
from .._series import compose_with_slope, compose_with_slopes
from ..jet import Jet

_torch: Any = torch  # its annotations do not know that its functions take jets

# --- functions that satisfy a differential equation -----------------------------------------------------------------

_TANH = Riccati(torch.tanh, linear=False, square=-1.0)
_TAN = Riccati(torch.tan, linear=False, square=1.0)
_SIGMOID = Riccati(torch.sigmoid, linear=True, square=-1.0)
_EXP = Riccati(torch.exp, linear=True, square=0.0)
_SIN = Pair(torch.sin, torch.cos, -1.0)
_COS = Pair(torch.cos, lambda u: -torch.sin(u), -1.0)
_SINH = Pair(torch.sinh, torch.cosh, 1.0)
_COSH = Pair(torch.cosh, torch.sinh, 1.0)


def _along(x: Jet, curve: Curve) -> Jet:
    """Push along a curve: by plain operations if complex, since autograd then wants conjugates in the backward pass."""
    if x.is_complex():
        return Jet(solve(curve, x.layout, x.coefficients), x.layout)
    return push(x, curve)


@rule(torch.tanh, F.tanh)
def tanh(x: Jet) -> Jet:
    """``y' = (1 - y^2) x'``."""
    if x.is_complex():
        return compose_with_slope(x, torch.tanh(x.primal), lambda t: 1 - torch.tanh(t) ** 2)
    return push(x, _TANH)


@rule(torch.sigmoid, F.sigmoid, torch.special.expit)
def sigmoid(x: Jet) -> Jet:
    """``y' = (y - y^2) x'``."""
    if x.is_complex():
        return compose_with_slope(x, torch.sigmoid(x.primal), lambda t: torch.sigmoid(t) * torch.sigmoid(-t))
    return push(x, _SIGMOID)


@rule(torch.tan)
def tan(x: Jet) -> Jet:
    """``y' = (1 + y^2) x'``."""
    return _along(x, _TAN)


@rule(torch.exp)
def exp(x: Jet) -> Jet:
    """``y' = y x'``."""
    return _along(x, _EXP)


@rule(torch.exp2, torch.special.exp2)
def exp2(x: Jet) -> Jet:
    """``exp(x log 2)``."""
    return _torch.exp(x * math.log(2))


@rule(torch.sin)
def sin(x: Jet) -> Jet:
    """Sine and cosine run together."""
    return _along(x, _SIN)


@rule(torch.cos)
def cos(x: Jet) -> Jet:
    """Cosine, with minus sine as its slope."""
    return _along(x, _COS)


@rule(torch.sinh)
def sinh(x: Jet) -> Jet:
    """Hyperbolic sine."""
    return _along(x, _SINH)


@rule(torch.cosh)
def cosh(x: Jet) -> Jet:
    """Hyperbolic cosine."""
    return _along(x, _COSH)


# --- functions whose derivative is a function with rules ------------------------------------------------------------


@rule(torch.log)
def log(x: Jet) -> Jet:
    """``y' = x' / x``."""
    return compose_with_slope(x, torch.log(x.primal), torch.reciprocal)


@rule(torch.log2)
def log2(x: Jet) -> Jet:
    """``log(x) / log(2)``."""
    return compose_with_slope(x, torch.log2(x.primal), lambda t: torch.reciprocal(math.log(2) * t))


@rule(torch.log10)
def log10(x: Jet) -> Jet:
    """``log(x) / log(10)``."""
    return compose_with_slope(x, torch.log10(x.primal), lambda t: torch.reciprocal(math.log(10) * t))


@rule(torch.log1p, torch.special.log1p)
def log1p(x: Jet) -> Jet:
    """``y' = x' / (1 + x)``."""
    return compose_with_slope(x, torch.log1p(x.primal), lambda t: torch.reciprocal(1 + t))


@rule(torch.expm1, torch.special.expm1)
def expm1(x: Jet) -> Jet:
    """``y' = exp(x) x'``."""
    return compose_with_slope(x, torch.expm1(x.primal), torch.exp)


@rule(torch.atan, torch.arctan)
def atan(x: Jet) -> Jet:
    """``y' = x' / (1 + x^2)``."""
    return compose_with_slope(x, torch.atan(x.primal), lambda t: torch.reciprocal(1 + t * t))


@rule(torch.atan2, torch.arctan2)
def atan2(y: Any, x: Any) -> Jet:
    """Angle of the point (x, y): ``(x y' - y x') / (x^2 + y^2)``."""
    value = torch.atan2(*(t.primal if isinstance(t, Jet) else t for t in (y, x)))

    def slopes(b: Any, a: Any) -> tuple[Any, Any]:
        inverse = torch.reciprocal(a * a + b * b)
        return a * inverse, -(b * inverse)

    return compose_with_slopes((y, x), value, slopes)


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


@rule(torch.acosh, torch.arccosh)
def acosh(x: Jet) -> Jet:
    """``y' = x' / sqrt(x^2 - 1)``."""
    return compose_with_slope(x, torch.acosh(x.primal), lambda t: torch.rsqrt(t - 1) * torch.rsqrt(t + 1))


@rule(torch.atanh, torch.arctanh)
def atanh(x: Jet) -> Jet:
    """``y' = x' / (1 - x^2)``."""
    return compose_with_slope(x, torch.atanh(x.primal), lambda t: torch.reciprocal((1 - t) * (1 + t)))


@rule(torch.logaddexp)
def logaddexp(a: Any, b: Any) -> Jet:
    """``log(exp(a) + exp(b))``: each slope is a sigmoid of the difference."""
    value = torch.logaddexp(*(t.primal if isinstance(t, Jet) else t for t in (a, b)))
    return compose_with_slopes((a, b), value, lambda s, t: (torch.sigmoid(s - t), torch.sigmoid(t - s)))


@rule(torch.logaddexp2)
def logaddexp2(a: Any, b: Any) -> Jet:
    """``log2(2^a + 2^b)``."""
    value = torch.logaddexp2(*(t.primal if isinstance(t, Jet) else t for t in (a, b)))
    two = math.log(2)
    return compose_with_slopes((a, b), value, lambda s, t: (torch.sigmoid(two * (s - t)), torch.sigmoid(two * (t - s))))


# --- complex numbers ------------------------------------------------------------------------------------------------


@rule(torch.polar)
def polar(radius: Any, angle: Any) -> Jet:
    """Complex numbers of absolute value and angle."""
    return _torch.complex(radius * torch.cos(angle), radius * torch.sin(angle))


@rule(torch.angle)
def angle(x: Jet) -> Any:
    """Angle in the complex plane; constant where x is real."""
    return torch.atan2(x.imag, x.real) if x.is_complex() else torch.angle(x.primal)  # type: ignore[arg-type]


def modulus(x: Jet) -> Jet:
    """Absolute value of complex numbers."""
    return torch.hypot(x.real, x.imag)  # type: ignore[arg-type,return-value]
