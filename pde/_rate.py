"""The left side of evolution equations, which vanishes in their steady form."""

from __future__ import annotations

from typing import Any

from .calculus import dt
from .expression import Expression

__all__ = ["rate"]


def rate(u: Expression) -> Any:
    """Return ``u_t``, or 0 in an equation without a time coordinate."""
    return dt(u) if u._frame.time is not None else 0.0
