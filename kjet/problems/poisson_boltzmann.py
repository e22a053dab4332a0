"""Screened potential around four round bodies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet
from ..data import Rectangle
from ..data.solvers import CellMesh, FemField, diffusion_fem
from ..pde import Coefficient, Equation, Expression, Parameters, lap
from ..problem import Problem
from ..registry import register
from ._computed import solved_once_steady, without_holes

_HOLES = ((0.5, 0.5, 0.2), (0.4, -0.4, 0.4), (-0.2, -0.7, 0.1), (-0.6, 0.5, 0.3))
_LINES = (-1.0, -0.05, 1.0), (-1.0, 0.1, 1.0)
_CIRCLES = tuple(f"circle{i}" for i in range(4))
_SIDES = ("left", "right", "bottom", "top")


class _Screened(Equation):
    """``-lap(u) + k^2 u = f``."""

    fields, coords = ("u",), ("x", "y")
    k: float = 8.0
    source: Coefficient = 0.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``-lap(u) + k^2 u - f``."""
        return p.k**2 * u - lap(u) - p.source


@register("problem", "poisson_boltzmann")
@dataclass(frozen=True)
class PoissonBoltzmannProblem:
    """``-lap(u) + k^2 u = f`` in [-1, 1]^2 without four disks: u = 0.2 on the square, u = 1 on the circles.

    ``f = 10 (17 + x^2 + y^2) sin(pi x) sin(4 pi y)``. Reference: finite elements of degree 4.

    Ref: Hao et al., *PINNacle: a comprehensive benchmark of physics-informed neural networks for solving PDEs*, 2023;
    after the class of Poisson-Boltzmann equations on an irregular geometry there.

    Attributes:
        k: Inverse of the length over which charges are screened.
    """

    k: float = 8.0

    def build(self) -> Problem:
        """Make the problem."""
        inner, outer = ([Dirichlet(name, u=u) for name in names] for names, u in ((_CIRCLES, 1.0), (_SIDES, 0.2)))
        return Problem(
            name="poisson_boltzmann",
            equation=_Screened(k=self.k, source=_source),
            domain=without_holes(Rectangle(x=(-1.0, 1.0), y=(-1.0, 1.0)), _HOLES),
            conditions=[*outer, *inner],
            reference=solved_once_steady(self._solve),
            network={"width": 32, "depth": 3, "input_scale": 2.0},
            points=1500,
            boundary_points=80,
            condition_weight=300.0,
            seconds=120.0,
        )

    def _solve(self) -> FemField:
        mesh, given = CellMesh(*_LINES, holes=_HOLES, n=20), {"outside": 0.2, **dict.fromkeys(_CIRCLES, 1.0)}
        return diffusion_fem(mesh, reaction=self.k**2, source=_source, dirichlet=given, degree=4)


def _source(x: Any, y: Any) -> Any:
    return 10.0 * (17.0 + x**2 + y**2) * torch.sin(math.pi * x) * torch.sin(4 * math.pi * y)
