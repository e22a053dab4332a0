"""Taylor rules of special functions: the error, gamma and sine-integral families."""

from __future__ import annotations

import math
from typing import Any

import torch

from ...typing import Tensor
from .._registry import rule
from .._series import compose, compose_with_slope
from ..jet import Jet

_torch: Any = torch  # its annotations do not know that its functions take jets

# --- error function -------------------------------------------------------------------------------------------------


def _bell(t: Any, factor: float) -> Any:
    """``factor exp(-t^2)``."""
    return factor * torch.exp(-(t * t))


@rule(torch.erf, torch.special.erf)
def erf(x: Jet) -> Jet:
    """``y' = 2/sqrt(pi) exp(-x^2) x'``."""
    return compose_with_slope(x, torch.erf(x.primal), lambda t: _bell(t, 2 / math.sqrt(math.pi)))


@rule(torch.erfc, torch.special.erfc)
def erfc(x: Jet) -> Jet:
    """``y' = -2/sqrt(pi) exp(-x^2) x'``; not ``1 - erf(x)``, which loses the digits of small values."""
    return compose_with_slope(x, torch.erfc(x.primal), lambda t: _bell(t, -2 / math.sqrt(math.pi)))


@rule(torch.special.ndtr)
def ndtr(x: Jet) -> Jet:
    """Cumulative distribution of the normal law, ``erfc(-x / sqrt 2) / 2``."""
    return 0.5 * _torch.erfc(-math.sqrt(0.5) * x)


@rule(torch.erfinv, torch.special.erfinv)
def erfinv(x: Jet) -> Jet:
    """``y' = sqrt(pi)/2 exp(y^2) x'``, solved once at the primal for a curve of unit speed."""
    y = [torch.erfinv(x.primal)]
    squares, bell = [y[0] ** 2], [torch.exp(y[0] ** 2)]
    for k in range(1, x.order + 1):
        y.append((math.sqrt(math.pi) / (2 * k)) * bell[k - 1])
        squares.append(_coefficient(y, y, k))
        terms = [(j / k) * squares[j] * bell[k - j] for j in range(1, k + 1)]
        bell.append(torch.stack(terms).sum(0))
    return compose(x, [math.factorial(k) * c for k, c in enumerate(y)])


def _coefficient(a: list[Tensor], b: list[Tensor], k: int) -> Tensor:
    return torch.stack([a[j] * b[k - j] for j in range(k + 1)]).sum(0)


# --- gamma function -------------------------------------------------------------------------------------------------


def _polygamma(n: int, x: Tensor) -> Tensor:
    """``(-1)^(n+1) n! zeta(n + 1, x)``; torch's own function has nine digits at n = 1."""
    if n == 0:
        return torch.digamma(x)
    return (math.factorial(n) * (-1.0) ** (n + 1)) * torch.special.zeta(float(n + 1), x)


@rule(torch.lgamma, torch.special.gammaln)
def lgamma(x: Jet) -> Jet:
    """Logarithm of the gamma function; its derivatives are the polygamma functions."""
    return compose(x, [torch.lgamma(x.primal), *(_polygamma(k, x.primal) for k in range(x.order))])


@rule(torch.digamma, torch.special.digamma, torch.special.psi)
def digamma(x: Jet) -> Jet:
    """Derivative of the logarithm of the gamma function."""
    return compose(x, [_polygamma(k, x.primal) for k in range(x.order + 1)])


@rule(torch.polygamma, torch.special.polygamma)
def polygamma(n: int, x: Jet) -> Jet:
    """Derivative n of the digamma function."""
    return compose(x, [_polygamma(n + k, x.primal) for k in range(x.order + 1)])


@rule(torch.Tensor.polygamma)
def polygamma_method(x: Jet, n: int) -> Jet:
    """Derivative n of the digamma function."""
    return polygamma(n, x)


# --- logarithms and quotients that are regular where their factors are not --------------------------------------------


@rule(torch.logit, torch.special.logit)
def logit(x: Jet, eps: float | None = None) -> Jet:
    """``log(x / (1 - x))``, of x kept ``eps`` away from 0 and 1."""
    x = x if eps is None else x.clamp(eps, 1 - eps)
    return compose_with_slope(x, torch.logit(x.primal), lambda t: torch.reciprocal(t) + torch.reciprocal(1 - t))


@rule(torch.xlogy, torch.special.xlogy)
def xlogy(a: Any, b: Any) -> Jet:
    """``a log b``, and zero where a is a constant zero."""
    if not isinstance(b, Jet):
        return a * torch.log(b)
    if isinstance(a, Jet):
        return a * _torch.log(b)
    nothing = torch.as_tensor(a, device=b.device) == 0
    return _torch.where(nothing, 0.0, a * _torch.log(_torch.where(nothing, 1.0, b)))


_NEAR = 5.0  # at order 8 neither branch of the derivatives of sin(u)/u loses more than two digits there


@rule(torch.sinc, torch.special.sinc)
def sinc(x: Jet) -> Jet:
    """``sin(pi x) / (pi x)``.

    Its derivatives at ``u = pi x`` come from ``u s^(k) + k s^(k-1) = sin^(k)(u)`` far from zero, where dividing by u
    does not enlarge errors, and from the power series near it.
    """
    u = math.pi * x.primal
    near = u.abs() < _NEAR
    far = torch.where(near, _NEAR, u)
    derivatives, s = [], torch.zeros_like(u)
    for k in range(x.order + 1):
        s = (torch.sin(far + 0.5 * math.pi * k) - k * s) / far
        series = _sinc_series(torch.where(near, u, 0.0), k)
        derivatives.append(math.pi**k * torch.where(near, series, s))
    return compose(x, derivatives)


def _sinc_series(u: Tensor, k: int) -> Tensor:
    """``d^k/du^k sum_m (-1)^m u^(2m) / (2m + 1)!``, by Horner's scheme in ``u^2``."""
    first = k + k % 2  # lowest even power that survives k derivatives
    powers = range(first, first + 44, 2)  # until u^(2m) / (2m)! is below rounding at the border
    square, total = u * u, torch.zeros_like(u)
    for n in reversed(powers):
        sign = -1.0 if n // 2 % 2 else 1.0
        total = total * square + sign / ((n + 1) * math.factorial(n - k))
    return total * u if k % 2 else total
