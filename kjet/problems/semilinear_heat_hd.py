"""The semilinear heat equation on the ball of any dimension."""

from __future__ import annotations

from dataclasses import dataclass

from ..pde import SemilinearHeat
from ..problem import Problem
from ..registry import register
from ._parabolic import ParabolicOptions, parabolic


@register("problem", "semilinear_heat_hd")
@dataclass(frozen=True)
class SemilinearHeatHDProblem(ParabolicOptions):
    """``u_t = lap(u) + (1 - u^2) / (1 + u^2) + f`` on the unit ball, with initial values, and u = 0 on the sphere.

    Reference: ``exp(-t) (1 - |x|^2) g(x)`` with g after ``interaction``, see :func:`kjet.pde.ball_solution`; the source
    f is its own, by Taylor arithmetic on g and the product rule.
    """

    def build(self) -> Problem:
        """Make the problem."""
        return parabolic(self, "semilinear_heat_hd", SemilinearHeat, lambda u: (1 - u**2) / (1 + u**2))
