"""Poisson's equation on a cube of any dimension."""

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


@register("problem", "poisson5d")
@dataclass(frozen=True)
class Poisson5DProblem:
    """``-lap(u) = pi^2 sum_i cos(pi x_i)`` on the unit cube, with the boundary values of the reference.

    Reference: ``u = sum_i cos(pi x_i)``.

    Ref: Mueller, Zeinhofer, *Achieving high accuracy with PINNs via energy natural gradient descent*, 2023,
    section 4.3.
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
            return sum(torch.cos(math.pi * names[coord]) for coord in coords)

        return Problem(
            name="poisson5d",
            equation=Poisson(coords=coords, source=lambda **names: math.pi**2 * solution(**names)),
            domain=Box([(0.0, 1.0)] * self.dim, coords=coords),
            conditions=[Dirichlet("boundary", u=solution)],
            reference=solution,
            network={"hidden": [64, 64, 48, 48]},
            points=1000,
            boundary_points=200,
            seconds=180.0,
        )
