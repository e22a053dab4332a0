"""The wave equation."""

from __future__ import annotations

from .calculus import dt, lap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["Wave"]


class Wave(Equation):
    """``u_tt = c^2 lap(u) + f``: sound, strings and membranes.

    Args:
        coords: Spatial coordinates, any number of them, and ``t``.
        speed: c, in length / time; a number, or a function of the coordinates.
        source: Forcing f, in units of u / time^2.

    Ref: Evans, *Partial Differential Equations*, 2nd ed., 2010, section 2.4.

    >>> print(Wave(coords=("x", "y", "t")).record().describe())
    residual: u_tt - speed^2 (u_xx + u_yy) - source = 0
    2 derivatives from 6 channels, order 2
    order 1: 3 kept
    order 2: 0 kept, 2 sums over 3 directions
    directions: (1, 0, 0), (0, 1, 0), (0, 0, 1)
    """

    fields = ("u",)
    coords: tuple[str, ...] = ("x", "t")
    speed: Coefficient = 1.0
    source: Coefficient = 0.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_tt - c^2 lap(u) - f``."""
        return dt(dt(u)) - p.speed**2 * lap(u) - p.source
