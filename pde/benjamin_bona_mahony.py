"""The Benjamin-Bona-Mahony equation."""

from __future__ import annotations

from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["BenjaminBonaMahony"]


class BenjaminBonaMahony(Equation):
    """``u_t + c u_x + a u u_x - b u_xxt = 0``: long waves, with short ones that stay slow; also called RLW equation.

    Args:
        c: Speed of long waves.
        a: Steepening.
        b: Dispersion, in length^2.

    Ref: Benjamin, Bona, Mahony, *Model equations for long waves in nonlinear dispersive systems*, 1972.

    >>> print(BenjaminBonaMahony().record().describe().splitlines()[0])
    residual: u_t + c u_x + a u u_x - b u_xxt = 0
    """

    fields, coords = ("u",), ("x", "t")
    c: Coefficient = 1.0
    a: Coefficient = 1.0
    b: Coefficient = 1.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t + c u_x + a u u_x - b u_xxt``."""
        return u.t + p.c * u.x + p.a * u * u.x - p.b * u.xxt
