"""A potential in two dielectrics, around four balls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet, On
from ..data import Cuboid, Domain, Sphere
from ..errors import ConfigError
from ..pde import Poisson, grad, manufactured
from ..problem import Problem
from ..registry import register

_BALLS = ((0.4, 0.3, 0.6, 0.2), (0.6, 0.7, 0.6, 0.2), (0.2, 0.8, 0.7, 0.1), (0.6, 0.2, 0.3, 0.1))
_WIDTH = 0.1


@register("problem", "poisson3d_composite")
@dataclass(frozen=True)
class Poisson3DCompositeProblem:
    """``-div(a grad u) = f`` in the unit cube without four balls; a falls from 1 to ``1 / ratio`` about z = 1/2.

    ``1 / a = (1 + ratio + (ratio - 1) tanh((z - 1/2) / 0.1)) / 2``: the smooth wall lets a closed form be exact. Values
    of the reference are given on the cube, its flux on the balls.

    Reference: ``u = w(z) + sin(pi x) sin(pi y) cos(pi z) / 2``, of which f is made; w has the flux ``a w' = 1``.

    Ref: Hao et al., *PINNacle: a comprehensive benchmark of physics-informed neural networks for solving PDEs*, 2023;
    after the class of Poisson equations in three dimensions there, with parameters of our own.

    Attributes:
        ratio: Larger coefficient over the smaller.
    """

    ratio: float = 4.0

    def __post_init__(self) -> None:
        if not self.ratio > 0:
            raise ConfigError(f"problem.ratio must be positive; got {self.ratio}")

    def build(self) -> Problem:
        """Make the problem."""
        domain: Domain = Cuboid(x=(0.0, 1.0), y=(0.0, 1.0), z=(0.0, 1.0))
        for i, (*middle, radius) in enumerate(_BALLS):
            domain = domain - Sphere(middle, radius, coords=("x", "y", "z"), part=f"ball{i}")
        equation = Poisson(coords=("x", "y", "z"), coefficient=self._coefficient)
        source = manufactured(equation, {"u": self._solution})["residual"]
        sides = ("left", "right", "front", "back", "bottom", "top")

        def flux(u: Any, p: Any, normal: Any) -> Any:
            return normal @ grad(u - self._solution(p.x, p.y, p.z))

        return Problem(
            name="poisson3d_composite",
            equation=Poisson(coords=("x", "y", "z"), coefficient=self._coefficient, source=source),
            domain=domain,
            conditions=[
                *(Dirichlet(name, u=self._solution) for name in sides if name in domain.parts),
                *(On(f"ball{i}", flux) for i in range(len(_BALLS))),
            ],
            reference=self._solution,
            network={"width": 32, "depth": 3},
            points=1500,
            boundary_points=80,
            condition_weight=30.0,
            seconds=120.0,
        )

    def _coefficient(self, z: Any) -> Any:
        return 2 / (1 + self.ratio + (self.ratio - 1) * torch.tanh((z - 0.5) / _WIDTH))

    def _solution(self, x: Any, y: Any, z: Any) -> Any:
        s, mean, half = z - 0.5, (1 + self.ratio) / 2, (self.ratio - 1) / 2
        w = mean * s + half * _WIDTH * torch.log(torch.cosh(s / _WIDTH))
        return w + torch.sin(math.pi * x) * torch.sin(math.pi * y) * torch.cos(math.pi * z) / 2
