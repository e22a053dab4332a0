"""Soliton of the Benjamin-Bona-Mahony equation."""

from __future__ import annotations

from dataclasses import dataclass

from ..constraints import Dirichlet, Initial
from ..data import Interval, Time
from ..pde import BenjaminBonaMahony, bbm_soliton
from ..problem import Problem
from ..registry import register


@register("problem", "bbm_soliton")
@dataclass(frozen=True)
class BBMSolitonProblem:
    """``u_t + u_x + u u_x - u_xxt = 0`` on [-15, 15] x [0, 4], with values of the reference at the ends.

    Reference: ``3 (v - 1) sech^2(k (x - v t + 4))``, ``4 v k^2 = v - 1``.

    Ref: Benjamin, Bona, Mahony, *Model equations for long waves in nonlinear dispersive systems*, 1972.

    Attributes:
        speed: v, above 1.
    """

    speed: float = 2.0

    def build(self) -> Problem:
        """Make the problem."""
        exact = bbm_soliton(self.speed, 1.0, 1.0, 1.0, shift=-4.0)
        return Problem(
            name="bbm_soliton",
            equation=BenjaminBonaMahony(),
            domain=Interval(-15.0, 15.0) * Time(0.0, 4.0),
            conditions=[Initial(u=exact), Dirichlet("left", u=exact), Dirichlet("right", u=exact)],
            reference=exact,
            condition_weight=10.0,
        )
