"""The biharmonic equation on the ball of any dimension."""

from __future__ import annotations

from dataclasses import dataclass

from ..constraints import Dirichlet, Neumann
from ..pde import Biharmonic, PointFunction
from ..problem import Problem
from ..registry import register
from ..typing import Tensor
from ._ball import BallOptions


@register("problem", "biharmonic")
@dataclass(frozen=True)
class BiharmonicProblem(BallOptions):
    """``lap(lap(u)) = f`` on the unit ball of ``dim`` dimensions, u and its normal derivative zero on the sphere.

    Reference: ``(1 - |x|^2)^2 g(x)`` with g after ``interaction``, see :func:`kjet.pde.ball_solution`; the source f is
    its own, by Taylor arithmetic on g and the product rule.

    Ref: Hu, Shi, Karniadakis, Kawaguchi, *Hutchinson trace estimation for high-dimensional and high-order
    physics-informed neural networks*, 2024, for such problems on an annulus.
    """

    dim: int = 3

    def build(self) -> Problem:
        """Make the problem."""
        solution, coords = self.solution(power=2), self.coords

        def source(x: Tensor) -> Tensor:
            return solution.laplacians(x, order=2)[2]

        sizes = {**self.sizes("biharmonic"), "points": 500, "network": {"width": 32, "depth": 3}}
        return Problem(
            equation=Biharmonic(coords=coords, source=PointFunction(source, coords, name="f", taylor=False)),
            domain=self.ball(),
            conditions=[Dirichlet(u=0.0), Neumann(u=0.0)],
            reference=PointFunction(solution.value, coords, name="u"),
            constraint="hard",
            **sizes,
        )
