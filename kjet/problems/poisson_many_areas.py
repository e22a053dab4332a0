"""A potential in ground of many areas, some of which conduct far better than others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Robin
from ..data import Rectangle
from ..data.solvers import CellMesh, FemField, diffusion_fem
from ..errors import ConfigError
from ..pde import Poisson
from ..problem import Problem
from ..registry import register
from ._computed import solved_once_steady


@register("problem", "poisson_many_areas")
@dataclass(frozen=True)
class PoissonManyAreasProblem:
    """``-div(a grad u) = f`` on the unit square with ``a n . grad u + u = 0`` on its boundary.

    ``a = exp(tanh(3 s) log(contrast) / 2)`` with ``s = sin(areas pi x) sin(areas pi y)``: areas x areas squares, of
    conductivity ``contrast^(1/2)`` and ``contrast^(-1/2)`` in turns, with smooth walls.
    ``f = 50 sin(3 pi x) cos(2 pi y)``.

    Reference: finite elements of degree 4.

    Ref: Hao et al., *PINNacle: a comprehensive benchmark of physics-informed neural networks for solving PDEs*, 2023;
    after the class of Poisson equations with many subdomains there, with parameters of our own.

    Attributes:
        areas: Number of areas along each axis.
        contrast: Largest conductivity over the smallest.
    """

    areas: int = 4
    contrast: float = 5.0

    def __post_init__(self) -> None:
        for name in ("areas", "contrast"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"problem.{name} must be positive; got {getattr(self, name)}")

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="poisson_many_areas",
            equation=Poisson(coefficient=self._conductivity, source=_source),
            domain=Rectangle(x=(0.0, 1.0), y=(0.0, 1.0)),
            conditions=[Robin(part, u=(1.0, self._conductivity, 0.0)) for part in ("left", "right", "bottom", "top")],
            reference=solved_once_steady(self._solve),
            network={"width": 32, "depth": 3, "input_scale": 2.0},
            points=1500,
            boundary_points=100,
            condition_weight=30.0,
            seconds=120.0,
        )

    def _conductivity(self, x: Any, y: Any) -> Any:
        s = torch.sin(self.areas * math.pi * x) * torch.sin(self.areas * math.pi * y)
        return torch.exp(math.log(self.contrast) / 2 * torch.tanh(3.0 * s))

    def _solve(self) -> FemField:
        mesh = CellMesh((0.0, 1.0), (0.0, 1.0), n=12 * self.areas)
        outside = {"outside": (1.0, 0.0)}
        return diffusion_fem(mesh, coefficient=self._conductivity, source=_source, robin=outside, degree=4)


def _source(x: Any, y: Any) -> Any:
    return 50.0 * torch.sin(3 * math.pi * x) * torch.cos(2 * math.pi * y)
