"""The Allen-Cahn equation on the ball of any dimension."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ..pde import AllenCahn
from ..problem import Problem
from ..registry import register
from ._ball import BallOptions
from ._steady import steady


@register("problem", "allen_cahn_hd")
@dataclass(frozen=True)
class AllenCahnHDProblem(BallOptions):
    """``lap(u) + u - u^3 + f = 0`` on the unit ball of ``dim`` dimensions, u = 0 on the sphere.

    Reference: ``(1 - |x|^2) g(x)`` with g after ``interaction``, see :func:`kjet.pde.ball_solution`; the source f is
    its own, by Taylor arithmetic on g and the product rule.

    Ref: Shi, Hu, Lin, Kawaguchi, *Stochastic Taylor derivative estimator: efficient amortization for arbitrary
    differential operators*, 2024, for the two- and three-body solutions.
    """

    def build(self) -> Problem:
        """Make the problem."""
        equation = partial(AllenCahn, diffusion=1.0, reaction=1.0)
        return steady(self, "allen_cahn_hd", equation, lambda u: u - u**3)
