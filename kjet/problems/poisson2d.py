"""Poisson's equation on the unit square."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet
from ..data import Rectangle
from ..pde import Poisson
from ..problem import Problem
from ..registry import register


@register("problem", "poisson2d")
@dataclass(frozen=True)
class Poisson2DProblem:
    """``-lap(u) = 2 pi^2 sin(pi x) sin(pi y)`` on the unit square, u = 0 on its boundary.

    Reference: ``u = sin(pi x) sin(pi y)``.
    """

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="poisson2d",
            equation=Poisson(source=lambda x, y: 2 * math.pi**2 * _solution(x, y)),
            domain=Rectangle(x=(0.0, 1.0), y=(0.0, 1.0)),
            conditions=[Dirichlet("boundary", u=0.0)],
            reference=_solution,
            network={"width": 32, "depth": 4},
            points=900,
            boundary_points=120,
            seconds=60.0,
        )


def _solution(x: Any, y: Any) -> Any:
    return torch.sin(math.pi * x) * torch.sin(math.pi * y)
