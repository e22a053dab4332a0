"""Fokker-Planck equation of the Ornstein-Uhlenbeck process."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet, Initial
from ..data import Interval, Time
from ..errors import ConfigError
from ..pde import FokkerPlanck
from ..problem import Problem
from ..registry import register


@register("problem", "fokker_planck")
@dataclass(frozen=True)
class FokkerPlanckProblem:
    """``u_t = (theta x u)_x + D u_xx`` on [-4, 4] x [0, 2]: a density that is drawn to the origin.

    Values of the reference are given at the start and at both ends.

    Reference: the normal density of mean ``m e^(-theta t)`` and variance
    ``s^2 e^(-2 theta t) + D / theta (1 - e^(-2 theta t))``.

    Ref: Risken, *The Fokker-Planck Equation*, 2nd ed., 1989.

    Attributes:
        rate: theta.
        diffusion: D.
        mean: m, mean at the start.
        deviation: s, standard deviation at the start.
    """

    rate: float = 1.0
    diffusion: float = 0.5
    mean: float = 1.5
    deviation: float = 0.25

    def __post_init__(self) -> None:
        for name in ("rate", "diffusion", "deviation"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"problem.{name} must be positive; got {getattr(self, name)}")

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="fokker_planck",
            equation=FokkerPlanck(drift=lambda x: -self.rate * x, diffusion=self.diffusion),
            domain=Interval(-4.0, 4.0) * Time(0.0, 2.0),
            conditions=[
                Initial(u=self._density),
                Dirichlet("left", u=self._density),
                Dirichlet("right", u=self._density),
            ],
            reference=self._density,
            network={"width": 24, "depth": 3},
            boundary_points=100,
            condition_weight=10.0,
            seconds=60.0,
        )

    def _density(self, x: Any, t: Any) -> Any:
        left = torch.exp(-self.rate * t)
        variance = self.deviation**2 * left**2 + self.diffusion / self.rate * (1 - left**2)
        return torch.exp(-0.5 * (x - self.mean * left) ** 2 / variance) / torch.sqrt(2 * math.pi * variance)
