"""A wave that travels many times its length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Initial, Periodic
from ..data import Interval, Time
from ..pde import Advection
from ..problem import Problem
from ..registry import register


@register("problem", "advection")
@dataclass(frozen=True)
class AdvectionProblem:
    """``u_t + c u_x = 0`` on [0, 2 pi] x [0, 1], periodic in x, from ``u = sin(x)``.

    Reference: ``sin(x - c t)``, which passes c / (2 pi) times through the interval.

    Ref: Krishnapriyan et al., *Characterizing possible failure modes in physics-informed neural networks*, 2021.

    Attributes:
        velocity: c.
    """

    velocity: float = 80.0

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="advection",
            equation=Advection(velocity=self.velocity),
            domain=Interval(0.0, 2 * math.pi) * Time(0.0, 1.0),
            conditions=[Initial(u=lambda x: torch.sin(x)), Periodic("x", order=0)],
            reference=self._solution,
            network={"width": 16, "depth": 3},
            points=500,
            condition_weight=1000.0,
            windows=8,
        )

    def _solution(self, x: Any, t: Any) -> Any:
        return torch.sin(x - self.velocity * t)
