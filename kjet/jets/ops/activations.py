"""Taylor rules of the smooth activations, and of those whose slope has a kink, each by a form that is stable."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from .._registry import rule
from .._series import compose_with_slope
from ..jet import Jet
from ._inplace import given_back
from ._kinks import kinked, masked

_torch: Any = torch  # its annotations do not know that its functions take jets


@rule(F.softplus)
def softplus(x: Jet, beta: float = 1.0, threshold: float = 20.0) -> Jet:
    """``y' = sigmoid(beta x) x'``; the identity where ``beta x`` exceeds the threshold, as in torch."""
    linear_part = beta * x.primal > threshold

    def slope(t: Any) -> Any:
        return torch.where(linear_part, 1.0, torch.sigmoid(beta * t))

    return compose_with_slope(x, F.softplus(x.primal, beta, threshold), slope)


@rule(F.logsigmoid)
def logsigmoid(x: Jet) -> Jet:
    """``y' = sigmoid(-x) x'``."""
    return compose_with_slope(x, F.logsigmoid(x.primal), lambda t: torch.sigmoid(-t))


@rule(F.silu)
def silu(x: Jet, inplace: bool = False) -> Jet:
    """``x sigmoid(x)``."""
    return given_back(x, x * _torch.sigmoid(x), inplace)


@rule(F.mish)
def mish(x: Jet, inplace: bool = False) -> Jet:
    """``x tanh(softplus(x))``."""
    return given_back(x, x * torch.tanh(F.softplus(x)), inplace)  # type: ignore[arg-type]


@rule(F.gelu)
def gelu(x: Jet, approximate: str = "none") -> Jet:
    """``x Phi(x)``, or its tanh approximation; Phi from the complementary error function keeps small values exact."""
    if approximate == "tanh":
        inner = (math.sqrt(2 / math.pi) * x) * (1 + 0.044715 * x * x)
        return x * _torch.sigmoid(2 * inner)  # (1 + tanh t) / 2 = sigmoid(2 t)
    return x * _torch.special.ndtr(x)


@rule(F.tanhshrink)
def tanhshrink(x: Jet) -> Jet:
    """``x - tanh(x)``, whose slope is ``tanh(x)^2``."""
    return compose_with_slope(x, F.tanhshrink(x.primal), lambda t: torch.tanh(t) ** 2)


@rule(F.glu)
def glu(x: Jet, dim: int = -1) -> Jet:
    """``a sigmoid(b)`` of the halves along an axis."""
    a, b = x.chunk(2, dim)
    return a * _torch.sigmoid(b)


# --- once or twice differentiable: the branch that the primal selects ------------------------------------------------


@rule(F.softsign)
def softsign(x: Jet) -> Jet:
    """``x / (1 + |x|)``."""
    kinked(x, "softsign", 1)
    return x / (1 + _torch.abs(x))


def _negative_exponential(x: Jet, rate: float) -> Any:
    """``exp(rate x) - 1`` left of zero, zero right of it, kept from overflowing."""
    negative = x.primal <= 0
    return _torch.expm1(rate * masked(x, negative, x.primal.clamp(max=0)))


def _exponential_unit(x: Jet, alpha: float, rate: float) -> Jet:
    return torch.where(x.primal > 0, x, alpha * _negative_exponential(x, rate))  # type: ignore[call-overload]


@rule(F.elu)
def elu(x: Jet, alpha: float = 1.0, inplace: bool = False) -> Jet:
    """``x`` right of zero, ``alpha (exp(x) - 1)`` left of it."""
    kinked(x, "elu", 1 if alpha == 1 else 0)
    return given_back(x, _exponential_unit(x, alpha, 1.0), inplace)


@rule(torch.celu, F.celu)
def celu(x: Jet, alpha: float = 1.0, inplace: bool = False) -> Jet:
    """``x`` right of zero, ``alpha (exp(x / alpha) - 1)`` left of it."""
    kinked(x, "celu", 1)
    return given_back(x, _exponential_unit(x, alpha, 1 / alpha), inplace)


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
# Ref: Klambauer et al., Self-normalizing neural networks, 2017, eq. (14).


@rule(torch.selu, F.selu)
def selu(x: Jet, inplace: bool = False) -> Jet:
    """``scale elu(x, alpha)`` with the constants that keep mean and variance."""
    kinked(x, "selu", 0)
    return given_back(x, _SELU_SCALE * _exponential_unit(x, _SELU_ALPHA, 1.0), inplace)


@rule(F.hardswish)
def hardswish(x: Jet, inplace: bool = False) -> Jet:
    """``x (x + 3) / 6`` between -3 and 3."""
    kinked(x, "hardswish", 0)
    between = (x.primal > -3) & (x.primal < 3)
    curved = torch.where(between, x * (x + 3) / 6, x)  # type: ignore[call-overload]
    return given_back(x, masked(curved, x.primal > -3, F.hardswish(x.primal)), inplace)
