"""A vibrating string with two modes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet, Initial
from ..data import Interval, Time
from ..errors import ConfigError
from ..pde import Wave
from ..problem import Problem
from ..registry import register


@register("problem", "wave1d")
@dataclass(frozen=True)
class Wave1DProblem:
    """``u_tt = c^2 u_xx`` on [0, 1] x [0, 1], at rest at the start, with u = 0 at both ends.

    Reference: ``sin(pi x) cos(c pi t) + sin(m pi x) cos(m c pi t) / 2``.

    Ref: Wang, Yu, Perdikaris, *When and why PINNs fail to train: a neural tangent kernel perspective*, 2022.

    Attributes:
        speed: c.
        mode: m, of the overtone.
    """

    speed: float = 2.0
    mode: int = 4

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ConfigError(f"problem.speed must be positive; got {self.speed}")
        if self.mode < 1:
            raise ConfigError(f"problem.mode must be at least 1; got {self.mode}")

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="wave1d",
            equation=Wave(speed=self.speed),
            domain=Interval(0.0, 1.0) * Time(0.0, 1.0),
            conditions=[
                Initial(u=lambda x: self._solution(x, 0.0 * x), u_t=0.0),
                Dirichlet("left", u=0.0),
                Dirichlet("right", u=0.0),
            ],
            reference=self._solution,
            # four periods in time, which an unscaled network takes long to find; residuals grow with c^2 (m pi)^2
            network={"width": 24, "depth": 3, "input_scale": 3.0},
            points=1000,
            boundary_points=100,
            condition_weight=1000.0,
        )

    def _solution(self, x: Any, t: Any) -> Any:
        first, second = math.pi, self.mode * math.pi
        basic = torch.sin(first * x) * torch.cos(first * self.speed * t)
        return basic + 0.5 * torch.sin(second * x) * torch.cos(second * self.speed * t)
