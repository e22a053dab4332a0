"""Rules of the methods in place, such as ``add_`` and ``sigmoid_``, from those of the methods that return a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from .._registry import find, rule
from ..jet import Jet
from . import (  # noqa: F401  (whose rules are taken)
    activations,
    arithmetic,
    elementwise,
    pieces,
    piecewise,
    power,
    products,
    scatter,
    shapes,
    special,
    structure,
)
from ._inplace import overwrite


def _register(name: str) -> None:
    """Give ``name_`` the rule of ``name``."""
    spaces = (torch.Tensor, torch, F)
    pure = next(r for space in spaces if (r := find(getattr(space, name, None))) is not None)

    def handler(x: Any, *args: Any, _pure: Callable[..., Any] = pure, **kwargs: Any) -> Jet:
        return overwrite(x, _pure(x, *args, **kwargs) if isinstance(x, Jet) else None)

    for space in spaces:
        operation = getattr(space, name + "_", None)
        if callable(operation):
            rule(operation)(handler)


_NAMES = (
    "abs", "absolute", "acos", "acosh", "add", "addbmm", "addcdiv", "addcmul", "addmm", "addmv", "addr",
    "alpha_dropout", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "asin", "asinh",
    "atan", "atan2", "atanh", "baddbmm", "ceil", "celu", "clamp", "clamp_max", "clamp_min", "clip", "conj_physical",
    "cos", "cosh", "cumprod", "cumsum", "deg2rad", "digamma", "div", "divide", "dropout", "elu", "erf", "erfc",
    "erfinv", "exp", "exp2", "expm1", "fix", "float_power", "floor", "floor_divide", "fmod", "frac", "hardtanh",
    "heaviside", "hypot", "index_add", "index_copy", "index_fill", "index_put", "leaky_relu", "lerp", "lgamma",
    "log", "log10", "log1p", "log2", "logit", "masked_fill", "mul", "multiply", "nan_to_num", "neg", "negative",
    "polygamma", "pow", "rad2deg", "reciprocal", "relu", "remainder", "round", "rrelu", "rsqrt", "scatter",
    "scatter_add", "scatter_reduce", "selu", "sgn", "sigmoid", "sign", "sin", "sinc", "sinh", "sqrt", "square",
    "sub", "subtract", "tan", "tanh", "threshold", "tril", "triu", "true_divide", "trunc", "xlogy",
)  # fmt: skip

for _name in _NAMES:
    _register(_name)
