"""Steady diffusion through two materials."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ..constraints import Dirichlet
from ..data import Rectangle
from ..decomposition import coupled
from ..errors import ConfigError
from ..pde import Poisson
from ..problem import Problem
from ..registry import register


@register("problem", "two_materials")
@dataclass(frozen=True)
class TwoMaterialsProblem:
    """``-div(k grad u) = f`` on (-1, 1) x (0, 1), with k = 1 for x < 0 and k = ``contrast`` for x > 0.

    u and ``k u_x`` are continuous at x = 0, and u = 0 on the boundary. Reference: ``u = sin(pi y) (cos(pi x / 2) +
    sin(pi x) / k)``, of which f is made.
    """

    contrast: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.contrast < math.inf:
            raise ConfigError(f"problem.contrast must be positive; got {self.contrast}")

    def build(self) -> Problem:
        """Make the problem."""
        conductivities = {"left": 1.0, "right": self.contrast}
        shapes = {"left": Rectangle(x=(-1.0, 0.0), y=(0.0, 1.0)), "right": Rectangle(x=(0.0, 1.0), y=(0.0, 1.0))}
        return coupled(
            Rectangle(x=(-1.0, 1.0), y=(0.0, 1.0)),
            {
                name: (shapes[name], Poisson(coefficient=k, source=partial(_source, k)))
                for name, k in conductivities.items()
            },
            [Dirichlet("boundary", u=0.0)],
            name="two_materials",
            scales=conductivities,
            reference={name: partial(_solution, k) for name, k in conductivities.items()},
            network={"width": 20, "depth": 3},
            points=800,
            boundary_points=120,
            seconds=30.0,
        )


def _solution(k: float, x: Any, y: Any) -> Any:
    return torch.sin(math.pi * y) * (torch.cos(0.5 * math.pi * x) + torch.sin(math.pi * x) / k)


def _source(k: float, x: Any, y: Any) -> Any:
    wide = 1.25 * k * torch.cos(0.5 * math.pi * x)
    return math.pi**2 * torch.sin(math.pi * y) * (wide + 2.0 * torch.sin(math.pi * x))
