"""Poisson's equation on the ball of any dimension."""

from __future__ import annotations

from dataclasses import dataclass

from ..pde import Poisson
from ..problem import Problem
from ..registry import register
from ._ball import BallOptions
from ._steady import steady


@register("problem", "poisson_hd")
@dataclass(frozen=True)
class PoissonHDProblem(BallOptions):
    """``-lap(u) = f`` on the unit ball of ``dim`` dimensions, u = 0 on the sphere.

    Reference: ``(1 - |x|^2) g(x)`` with g after ``interaction``, see :func:`kjet.pde.ball_solution`; the source f is
    its own, by Taylor arithmetic on g and the product rule.

    Ref: Shi, Hu, Lin, Kawaguchi, *Stochastic Taylor derivative estimator: efficient amortization for arbitrary
    differential operators*, 2024, for the two- and three-body solutions.
    """

    def build(self) -> Problem:
        """Make the problem."""
        return steady(self, "poisson_hd", Poisson, lambda u: 0.0)
