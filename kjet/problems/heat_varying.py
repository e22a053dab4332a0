"""A heater that swings, in a plate whose conductivity varies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..constraints import Dirichlet, Initial
from ..data import Rectangle, Time
from ..data.solvers import CellMesh, FemField, heat_fem
from ..pde import Heat
from ..problem import Problem
from ..registry import register
from ._computed import solved_once


@register("problem", "heat_varying")
@dataclass(frozen=True)
class HeatVaryingProblem:
    """``u_t = div(a grad u) + f`` on [0, 1]^2 x [0, 2] with u = 0 at the start and on the boundary.

    ``a = exp(contrast (sin(2 pi x) sin(2 pi y) + cos(3 pi x) / 2))``, ``f = 200 sin(pi x) sin(5 pi y) sin(pi t)``.

    Reference: finite elements of degree 4, Runge-Kutta in time.

    Ref: Hao et al., *PINNacle: a comprehensive benchmark of physics-informed neural networks for solving PDEs*, 2023;
    after the class of heat equations with varying coefficients there, with parameters of our own.

    Attributes:
        contrast: Logarithm of the largest conductivity over the typical one, about.
    """

    contrast: float = 1.0

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="heat_varying",
            equation=Heat(
                coords=("x", "y", "t"),
                diffusivity=self._diffusivity,
                source=lambda x, y, t: _heater(x, y) * torch.sin(math.pi * t),
            ),
            domain=Rectangle(x=(0.0, 1.0), y=(0.0, 1.0)) * Time(0.0, 2.0),
            conditions=[Initial(u=0.0), Dirichlet("boundary", u=0.0)],
            reference=solved_once(self._solve),
            network={"width": 32, "depth": 3, "input_scale": 2.0},
            points=1500,
            boundary_points=300,
            constraint="hard",
            seconds=120.0,
        )

    def _diffusivity(self, x: Any, y: Any) -> Any:
        wave = torch.sin(2 * math.pi * x) * torch.sin(2 * math.pi * y)
        return torch.exp(self.contrast * (wave + torch.cos(3 * math.pi * x) / 2))

    def _solve(self) -> FemField:
        return heat_fem(
            CellMesh((0.0, 1.0), (0.0, 1.0), n=20),
            np.linspace(0.0, 2.0, 161),
            coefficient=self._diffusivity,
            source=_heater,
            pulse=lambda t: math.sin(math.pi * t),
            dirichlet={"outside": 0.0},
            degree=4,
        )


def _heater(x: Any, y: Any) -> Any:
    return 200.0 * torch.sin(math.pi * x) * torch.sin(5 * math.pi * y)
