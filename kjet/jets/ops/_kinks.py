"""Functions made of smooth pieces: what their rules share, and the warning about what they cannot deliver."""

from __future__ import annotations

import warnings

import torch

from ...errors import NonSmoothWarning
from ...typing import Tensor
from ..jet import Jet

__all__ = ["kinked", "masked"]


def masked(x: Jet, mask: Tensor, value: Tensor) -> Jet:
    """Keep the coefficients where ``mask`` holds, zero elsewhere."""
    return Jet([value, *(None if c is None else torch.where(mask, c, 0.0) for c in x.coefficients[1:])], x.layout)


def kinked(x: Jet, name: str, continuous: int = 0, *, linear: bool = False) -> None:
    """Warn if derivatives are asked for that a function has only between its kinks.

    The derivative of order ``continuous + 1`` jumps, so that those above miss what is concentrated at the jump.
    Once for each layout, that is for each call of an operator, and for each plan.

    Args:
        x: Argument.
        name: Of the function.
        continuous: Highest order of derivative that is continuous.
        linear: Whether the pieces are linear.
    """
    if x.order < continuous + 2 or torch.compiler.is_compiling() or "_kinked" in x.layout.__dict__:
        return
    x.layout.__dict__["_kinked"] = name
    if linear:
        reason = f"{name} is piecewise linear: its derivatives of order 2 and above are zero almost everywhere"
    else:
        reason = (
            f"the derivative of {name} of order {continuous + 1} jumps: those above miss what is concentrated there"
        )
    warnings.warn(
        f"{reason}, and order {x.order} is asked for; use a smooth activation, such as tanh, silu, gelu or sin",
        NonSmoothWarning,
        stacklevel=3,
    )
