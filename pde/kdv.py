"""The Korteweg-de Vries equation."""

from __future__ import annotations

from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["KdV"]


class KdV(Equation):
    """``u_t + a u u_x + b u_xxx = 0``: long waves on shallow water.

    Args:
        a: Steepening.
        b: Dispersion, in length^3 / time.

    Ref: Korteweg, de Vries, *On the change of form of long waves*, 1895; defaults of Raissi, Perdikaris, Karniadakis,
    *Physics-informed neural networks*, 2019, section 4.2.1.

    >>> print(KdV().record().describe())
    residual: u_t + a u u_x + b u_xxx = 0
    4 derivatives from 5 channels, order 3
    order 1: 2 kept
    order 2: 1 kept
    order 3: 1 kept
    directions: (1, 0), (0, 1)
    """

    fields, coords = ("u",), ("x", "t")
    a: Coefficient = 1.0
    b: Coefficient = 0.0025

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t + a u u_x + b u_xxx``."""
        return u.t + p.a * u * u.x + p.b * u.xxx
