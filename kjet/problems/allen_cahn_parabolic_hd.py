"""The parabolic Allen-Cahn equation on the ball of any dimension."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ..pde import AllenCahn
from ..problem import Problem
from ..registry import register
from ._parabolic import ParabolicOptions, parabolic


@register("problem", "allen_cahn_parabolic_hd")
@dataclass(frozen=True)
class AllenCahnParabolicHDProblem(ParabolicOptions):
    """``u_t = lap(u) + u - u^3 + f`` on the unit ball, with initial values, and u = 0 on the sphere.

    Reference: ``exp(-t) (1 - |x|^2) g(x)`` with g after ``interaction``, see :func:`kjet.pde.ball_solution`; the source
    f is its own, by Taylor arithmetic on g and the product rule.
    """

    def build(self) -> Problem:
        """Make the problem."""
        equation = partial(AllenCahn, diffusion=1.0, reaction=1.0)
        return parabolic(self, "allen_cahn_parabolic_hd", equation, lambda u: u - u**3)
