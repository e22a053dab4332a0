"""Laplace's equation between a square and four circles."""

from __future__ import annotations

from dataclasses import dataclass

from ..constraints import Dirichlet
from ..data import Rectangle
from ..data.solvers import CellMesh, FemField, diffusion_fem
from ..pde import Poisson
from ..problem import Problem
from ..registry import register
from ._computed import solved_once_steady, without_holes

_HOLES = ((-0.3, -0.3, 0.1), (0.3, -0.3, 0.1), (-0.3, 0.3, 0.1), (0.3, 0.3, 0.1))
_CIRCLES = tuple(f"circle{i}" for i in range(4))
_SIDES = ("left", "right", "bottom", "top")


@register("problem", "poisson_holes")
@dataclass(frozen=True)
class PoissonHolesProblem:
    """``lap(u) = 0`` in [-0.5, 0.5]^2 without four disks: u = 1 on the square, u = 0 on the circles.

    Reference: finite elements of degree 4.

    Ref: Hao et al., *PINNacle: a comprehensive benchmark of physics-informed neural networks for solving PDEs*, 2023;
    after the class of Poisson equations with holes there.
    """

    def build(self) -> Problem:
        """Make the problem."""
        inner = {name: Dirichlet(name, u=0.0) for name in _CIRCLES}
        outer = {name: Dirichlet(name, u=1.0) for name in _SIDES}
        return Problem(
            name="poisson_holes",
            equation=Poisson(),
            domain=without_holes(Rectangle(x=(-0.5, 0.5), y=(-0.5, 0.5)), _HOLES),
            conditions=[*outer.values(), *inner.values()],
            reference=solved_once_steady(_solve),
            network={"width": 32, "depth": 3},
            points=1200,
            boundary_points=60,
            condition_weight=10.0,
            seconds=120.0,
        )


def _solve() -> FemField:
    mesh = CellMesh((-0.5, 0.0, 0.5), (-0.5, 0.0, 0.5), holes=_HOLES, n=16)
    return diffusion_fem(mesh, dirichlet={"outside": 1.0, **dict.fromkeys(_CIRCLES, 0.0)}, degree=4)
