"""Soliton of the generalised Korteweg-de Vries equation."""

from __future__ import annotations

from dataclasses import dataclass

from ..constraints import Dirichlet, Initial
from ..data import Interval, Time
from ..pde import GeneralizedKdV, gkdv_soliton
from ..problem import Problem
from ..registry import register
from ._edges import slope_of


@register("problem", "gkdv_soliton")
@dataclass(frozen=True)
class GKdVSolitonProblem:
    """``u_t + u^p u_x + u_xxx = 0`` on [-10, 10] x [0, 3], with values and one slope of the reference at the ends.

    Reference: ``A sech^(2/p)(k (x - c t + 3))``, ``A^p = c (p + 1) (p + 2) / 2``, ``k = (p / 2) sqrt(c)``.

    Ref: Pego, Weinstein, *Eigenvalues, and instabilities of solitary waves*, 1992, section 1.

    Attributes:
        power: p.
        speed: c.
    """

    power: float = 3.0
    speed: float = 1.5

    def build(self) -> Problem:
        """Make the problem."""
        exact = gkdv_soliton(self.speed, 1.0, 1.0, self.power, shift=-3.0)
        return Problem(
            name="gkdv_soliton",
            equation=GeneralizedKdV(a=1.0, b=1.0, power=self.power),
            domain=Interval(-10.0, 10.0) * Time(0.0, 3.0),
            conditions=[
                Initial(u=exact),
                Dirichlet("left", u=exact),
                Dirichlet("right", u=exact),
                slope_of("right", "x", exact),
            ],
            reference=exact,
            condition_weight=10.0,
        )
