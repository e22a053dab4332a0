"""Flow over a step that opens the channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..constraints import Dirichlet, On
from ..data import Polygon
from ..data.solvers import CellMesh, FemFlow, flow_fem
from ..errors import ConfigError
from ..pde import NavierStokes2D
from ..problem import Problem
from ..registry import register
from ._computed import solved_once_steady

_LENGTH = 6.0
_CORNERS = [(0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (_LENGTH, 0.0), (_LENGTH, 2.0), (0.0, 2.0)]
# closer to each other at the step's corner (1, 1), where the pressure has no bound
_X = (0.0, 0.4, 0.7, 0.85, 0.95, 0.985, 1.0, 1.015, 1.05, 1.15, 1.3, 1.6, 2.0, 2.5, 3.0, 3.75, 4.5, 5.25, _LENGTH)
_Y = (0.0, 0.35, 0.65, 0.85, 0.95, 0.985, 1.0, 1.015, 1.05, 1.15, 1.35, 1.65, 2.0)


@register("problem", "navier_stokes_backstep")
@dataclass(frozen=True)
class NavierStokesBackstepProblem:
    """Steady Navier-Stokes flow through a channel of height 1 that opens to height 2 at x = 1 and ends at x = 6.

    A parabola of largest speed 1 flows in; walls hold the flow; at the outlet ``dw/dn / Re = p n``.

    Reference: Taylor and Hood's finite elements, on a mesh that is finer at the step.

    Ref: Hao et al., *PINNacle: a comprehensive benchmark of physics-informed neural networks for solving PDEs*, 2023;
    after the class of flows over a backward step there, with parameters of our own.

    Attributes:
        reynolds: Reynolds number, from the largest speed and the height of the inlet.
    """

    reynolds: float = 50.0

    def __post_init__(self) -> None:
        if not self.reynolds > 0:
            raise ConfigError(f"problem.reynolds must be positive; got {self.reynolds}")

    def build(self) -> Problem:
        """Make the problem."""
        walls: dict[str, Any] = {"u": 0.0, "v": 0.0}

        def outlet(u: Any, v: Any, pressure: Any, p: Any) -> dict[str, Any]:
            return {"x": u.x / p.reynolds - pressure, "y": v.x / p.reynolds}

        return Problem(
            name="navier_stokes_backstep",
            equation=NavierStokes2D(reynolds=self.reynolds),
            domain=Polygon(_CORNERS),
            conditions=[
                *(Dirichlet(f"edge{i}", **walls) for i in (0, 1, 2, 4)),
                On("edge3", outlet, name="outlet"),
                Dirichlet("edge5", name="inlet", u=lambda y: 4 * (y - 1) * (2 - y), v=0.0),
            ],
            reference=solved_once_steady(self._solve),
            network={"width": 32, "depth": 3},
            points=1500,
            boundary_points=100,
            condition_weight=10.0,
            seconds=300.0,
        )

    def _solve(self) -> FemFlow:
        missing = [(i, j) for i in range(_X.index(1.0)) for j in range(_Y.index(1.0))]
        inlet = (lambda x, y: torch.where(x < 1e-9, 4 * (y - 1) * (2 - y), 0.0), 0.0)
        mesh, end = CellMesh(_X, _Y, missing=missing, n=3), _LENGTH - 1e-9
        return flow_fem(mesh, {"outside": inlet}, reynolds=self.reynolds, outlet=lambda z: np.asarray(z[0] > end))
