"""Laplace's equation on the L-shape, with the corner's singularity."""

from __future__ import annotations

from dataclasses import dataclass

from ..constraints import Dirichlet
from ..data import Polygon
from ..data.solvers import lshape_singular
from ..pde import Poisson
from ..problem import Problem
from ..registry import register


@register("problem", "poisson_lshape")
@dataclass(frozen=True)
class PoissonLShapeProblem:
    """``lap(u) = 0`` on (-1, 1)^2 without its lower right quarter, with the boundary values of the reference.

    Reference: ``r^(2/3) sin(2 theta / 3)``, whose gradient is infinite at the re-entrant corner.

    Ref: Strang, Fix, *An Analysis of the Finite Element Method*, 1973, chapter 8.
    """

    def build(self) -> Problem:
        """Make the problem."""
        corners = [(-1.0, -1.0), (0.0, -1.0), (0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (-1.0, 1.0)]
        return Problem(
            name="poisson_lshape",
            equation=Poisson(),
            domain=Polygon(corners),
            conditions=[Dirichlet("boundary", u=lambda x, y: lshape_singular(x, y))],
            reference=lshape_singular,
            network={"width": 32, "depth": 3},
            points=900,
            boundary_points=400,
            seconds=60.0,
        )
