"""Helmholtz equation with a source of two scales."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet
from ..data import Rectangle
from ..pde import Helmholtz
from ..problem import Problem
from ..registry import register


@register("problem", "helmholtz")
@dataclass(frozen=True)
class HelmholtzProblem:
    """``lap(u) + k^2 u = f`` on [-1, 1]^2, u = 0 on the boundary.

    Reference: ``u = sin(a1 pi x) sin(a2 pi y)``, of which f is made.

    Ref: Wang, Teng, Perdikaris, *Understanding and mitigating gradient flow pathologies in physics-informed neural
    networks*, 2021, section 4.1.
    """

    wavenumber: float = 1.0
    a1: int = 1
    a2: int = 4

    def build(self) -> Problem:
        """Make the problem."""
        factor = self.wavenumber**2 - (self.a1**2 + self.a2**2) * math.pi**2
        return Problem(
            name="helmholtz",
            equation=Helmholtz(wavenumber=self.wavenumber, source=lambda x, y: factor * self._solution(x, y)),
            domain=Rectangle(x=(-1.0, 1.0), y=(-1.0, 1.0)),
            conditions=[Dirichlet("boundary", u=0.0)],
            reference=self._solution,
            network={"width": 32, "depth": 3},
            points=900,
            boundary_points=200,
            condition_weight=30.0,
            seconds=120.0,
        )

    def _solution(self, x: Any, y: Any) -> Any:
        return torch.sin(self.a1 * math.pi * x) * torch.sin(self.a2 * math.pi * y)
