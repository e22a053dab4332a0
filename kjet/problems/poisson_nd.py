"""Poisson's equation on the unit cube of any dimension, from quarter waves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet
from ..data import Box
from ..errors import ConfigError
from ..pde import Poisson
from ..problem import Problem
from ..registry import register


@register("problem", "poisson_nd")
@dataclass(frozen=True)
class PoissonNDProblem:
    """``-lap(u) = pi^2 / 4 sum_i sin(pi x_i / 2)`` on the unit cube, with the boundary values of the reference.

    Reference: ``u = sum_i sin(pi x_i / 2)``.

    Ref: Hao et al., *PINNacle: a comprehensive benchmark of physics-informed neural networks for solving PDEs*, 2023;
    after the class of Poisson equations in many dimensions there.

    Attributes:
        dim: Number of dimensions.
    """

    dim: int = 5

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ConfigError(f"problem.dim must be at least 1; got {self.dim}")

    def build(self) -> Problem:
        """Make the problem."""
        coords = tuple(f"x{i + 1}" for i in range(self.dim))

        def solution(**names: Any) -> Any:
            # parameters of the equation come by name, too
            return sum(torch.sin(math.pi / 2 * names[coord]) for coord in coords)

        return Problem(
            name="poisson_nd",
            equation=Poisson(coords=coords, source=lambda **names: math.pi**2 / 4 * solution(**names)),
            domain=Box([(0.0, 1.0)] * self.dim, coords=coords),
            conditions=[Dirichlet("boundary", u=solution)],
            reference=solution,
            network={"width": 32, "depth": 3},
            points=1000,
            boundary_points=400,
            condition_weight=10.0,
            seconds=60.0,
        )
