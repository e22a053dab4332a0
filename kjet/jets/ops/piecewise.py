"""Taylor rules of functions made of pieces: the piece that the primal selects, with constant masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ...errors import JetRuleError
from ...typing import Tensor
from .._registry import rule
from .._series import Coefficient, aligned, linear
from ..jet import Jet
from ._inplace import given_back
from ._kinks import kinked, masked
from .elementwise import modulus

# --- activations ----------------------------------------------------------------------------------------------------


def _sloped(x: Jet, name: str, left: Any, inplace: bool) -> Jet:
    """Slope 1 right of zero, ``left`` left of it and at zero, as torch's autograd has it."""
    kinked(x, name, linear=True)
    factor = torch.where(x.primal > 0, torch.ones_like(x.primal), left)
    return given_back(x, linear(x, lambda c: factor * c, lambda c: factor * c), inplace)


@rule(torch.relu, F.relu)
def relu(x: Jet, inplace: bool = False) -> Jet:
    """``max(x, 0)``.

    Piecewise linear: its derivatives above the first are zero wherever they exist, so a ReLU network carries no
    curvature and cannot fit an equation of second order. At the kink itself the left branch (zero) is taken, as
    torch's autograd does.
    """
    kinked(x, "relu", linear=True)
    return given_back(x, masked(x, x.primal > 0, torch.relu(x.primal)), inplace)


@rule(F.leaky_relu)
def leaky_relu(x: Jet, negative_slope: float = 0.01, inplace: bool = False) -> Jet:
    """Slope 1 right of zero, ``negative_slope`` left of it."""
    return _sloped(x, "leaky_relu", negative_slope, inplace)


@rule(torch.prelu, F.prelu)
def prelu(x: Jet, weight: Tensor) -> Jet:
    """Slope 1 right of zero, ``weight`` of the channel left of it."""
    column = weight if weight.numel() == 1 or x.ndim < 2 else weight.reshape(-1, *(1,) * (x.ndim - 2))
    return _sloped(x, "prelu", column, False)


@rule(torch.rrelu, F.rrelu)
def rrelu(
    x: Jet, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Jet:  # fmt: skip
    """Slope 1 right of zero, the mean slope left of it."""
    if training:
        raise JetRuleError("a derivative through the random slopes of rrelu is random; call model.eval() first")
    return _sloped(x, "rrelu", (lower + upper) / 2, inplace)


def _bounded(x: Jet, name: str, low: float, high: float, inplace: bool) -> Jet:
    """Constant outside the bounds and at them, as torch's autograd has it."""
    kinked(x, name, linear=True)
    inside = (x.primal > low) & (x.primal < high)
    return given_back(x, masked(x, inside, x.primal.clamp(low, high)), inplace)


@rule(F.hardtanh)
def hardtanh(x: Jet, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Jet:
    """Constant outside the bounds."""
    return _bounded(x, "hardtanh", min_val, max_val, inplace)


@rule(F.relu6)
def relu6(x: Jet, inplace: bool = False) -> Jet:
    """``min(max(x, 0), 6)``."""
    return _bounded(x, "relu6", 0.0, 6.0, inplace)


@rule(F.hardsigmoid)
def hardsigmoid(x: Jet, inplace: bool = False) -> Jet:
    """``min(max(x / 6 + 1/2, 0), 1)``."""
    return given_back(x, _bounded(x / 6 + 0.5, "hardsigmoid", 0.0, 1.0, False), inplace)


@rule(torch.threshold, F.threshold)
def threshold(x: Jet, threshold: float, value: float, inplace: bool = False) -> Jet:
    """``x`` above the threshold, a constant below it."""
    kinked(x, "threshold", linear=True)
    return given_back(x, masked(x, x.primal > threshold, F.threshold(x.primal, threshold, value)), inplace)


@rule(F.hardshrink)
def hardshrink(x: Jet, lambd: float = 0.5) -> Jet:
    """Zero between the bounds, ``x`` elsewhere."""
    kinked(x, "hardshrink", linear=True)
    return masked(x, x.primal.abs() > lambd, F.hardshrink(x.primal, lambd))


@rule(F.softshrink)
def softshrink(x: Jet, lambd: float = 0.5) -> Jet:
    """Zero between the bounds, ``x`` moved towards zero elsewhere."""
    kinked(x, "softshrink", linear=True)
    return masked(x, x.primal.abs() > lambd, F.softshrink(x.primal, lambd))


# --- bounds and signs -----------------------------------------------------------------------------------------------


@rule(torch.abs, torch.absolute, torch.Tensor.__abs__)
def absolute(x: Jet) -> Jet:
    """``sign(x) x``, with zero slope at zero; the modulus of complex numbers."""
    if x.is_complex():
        return modulus(x)
    sign = torch.sign(x.primal)
    return linear(x, torch.abs, lambda c: sign * c)


@rule(torch.clamp, torch.clip)
def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    """Constant outside the bounds; bounds may be jets."""
    if isinstance(min, Jet) or isinstance(max, Jet):
        x = x if min is None else torch.maximum(x, min)
        return x if max is None else torch.minimum(x, max)
    value = torch.clamp(x.primal, min, max)
    return masked(x, value == x.primal, value)


@rule(torch.clamp_min)
def clamp_min(x: Any, min: Any) -> Any:
    """Constant below a bound."""
    return clamp(x, min=min)


@rule(torch.clamp_max)
def clamp_max(x: Any, max: Any) -> Any:
    """Constant above a bound."""
    return clamp(x, max=max)


@rule(torch.nan_to_num)
def nan_to_num(x: Jet, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Jet:
    """Constant where the primal is not finite."""
    return masked(x, torch.isfinite(x.primal), torch.nan_to_num(x.primal, nan, posinf, neginf))


# --- choices --------------------------------------------------------------------------------------------------------


def _axes(value: Any) -> int:
    return value.ndim if isinstance(value, Tensor | Jet) else 0


@rule(torch.where)
def where(condition: Any, a: Any, b: Any) -> Any:
    """Select coefficients by a mask that is constant in the direction; no derivative of the jump itself."""
    mask = condition.primal if isinstance(condition, Jet) else condition
    jets = [value for value in (a, b) if isinstance(value, Jet)]
    if not jets:
        return torch.where(mask, a, b)
    axes = max(_axes(mask), _axes(a), _axes(b))
    layout = jets[0].layout

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


@rule(torch.Tensor.where)
def where_method(a: Any, condition: Any, b: Any) -> Any:
    """``where(condition, a, b)``."""
    return where(condition, a, b)


@rule(torch.maximum, torch.fmax)
def maximum(a: Any, b: Any) -> Jet:
    """Larger of two; the first where they are equal."""
    return torch.where(a >= b if isinstance(a, Jet) else b <= a, a, b)  # type: ignore[arg-type,return-value]


@rule(torch.minimum, torch.fmin)
def minimum(a: Any, b: Any) -> Jet:
    """Smaller of two; the first where they are equal."""
    return torch.where(a <= b if isinstance(a, Jet) else b >= a, a, b)  # type: ignore[arg-type,return-value]


@rule(torch.masked_fill)
def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """Put a value where the mask holds."""
    return torch.where(mask, value, x)


# --- remainders -----------------------------------------------------------------------------------------------------


def _register_remainder(operation: Callable[..., Any], rounding: str) -> None:
    @rule(operation)
    def remainder(a: Any, b: Any) -> Any:
        turns = torch.div(*(t.primal if isinstance(t, Jet) else t for t in (a, b)), rounding_mode=rounding)
        if isinstance(a, Jet) and not isinstance(b, Jet):
            return linear(a, lambda value: operation(value, b), lambda c: c)
        return a - b * turns


_register_remainder(torch.remainder, "floor")
_register_remainder(torch.fmod, "trunc")


@rule(torch.frac)
def frac(x: Jet) -> Jet:
    """Fractional part: a sawtooth of slope one."""
    return linear(x, torch.frac, lambda c: c)


# --- constant between jumps, or not differentiable at all ------------------------------------------------------------


def _register_constant(*operations: Callable[..., Any]) -> None:
    """Operations that see values alone and return plain tensors, whose derivative is zero wherever it exists."""
    for operation in operations:

        def handler(*args: Any, _operation: Callable[..., Any] = operation, **kwargs: Any) -> Any:
            return _operation(*(a.primal if isinstance(a, Jet) else a for a in args), **kwargs)

        rule(operation)(handler)


_register_constant(
    torch.sign, torch.sgn, torch.signbit, torch.heaviside, torch.floor, torch.ceil, torch.round, torch.trunc, torch.fix,
    torch.floor_divide, torch.Tensor.__floordiv__, torch.Tensor.__rfloordiv__,
    torch.gt, torch.ge, torch.lt, torch.le, torch.eq, torch.ne, torch.greater, torch.greater_equal, torch.less,
    torch.less_equal, torch.not_equal, torch.isclose, torch.allclose, torch.equal,
    torch.isnan, torch.isinf, torch.isfinite, torch.isreal, torch.logical_not, torch.logical_and, torch.logical_or,
    torch.logical_xor, torch.any, torch.all, torch.nonzero, torch.count_nonzero,
    torch.argmax, torch.argmin, torch.argsort, torch.bucketize, torch.searchsorted,
    torch.is_floating_point, torch.is_complex, torch.numel, torch.result_type,
    torch.Tensor.is_contiguous, torch.Tensor.stride, torch.Tensor.nelement, torch.Tensor.element_size,
    torch.Tensor.get_device,
)  # fmt: skip
