"""Heat that spreads quickly in one direction and slowly in a wave of the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet, Initial
from ..data import Rectangle, Time
from ..errors import ConfigError
from ..pde import Equation, Expression, Parameters
from ..problem import Problem
from ..registry import register


class _Anisotropic(Equation):
    """``u_t = slow u_xx + fast u_yy``."""

    fields, coords = ("u",), ("x", "y", "t")
    slow: float = 1.0
    fast: float = 1.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t - slow u_xx - fast u_yy``."""
        return u.t - p.slow * u.xx - p.fast * u.yy


@register("problem", "heat_multiscale")
@dataclass(frozen=True)
class HeatMultiscaleProblem:
    """``u_t = u_xx / (500 pi)^2 + u_yy / pi^2`` on [0, 1]^2 x [0, 5], from ``sin(waves pi x) sin(pi y)``.

    u = 0 on the boundary. Reference: the start times ``exp(-(1 + (waves / 500)^2) t)``.

    Ref: Hao et al., *PINNacle: a comprehensive benchmark of physics-informed neural networks for solving PDEs*, 2023;
    after the class of multi-scale heat equations there.

    Attributes:
        waves: Half waves in x.
    """

    waves: int = 20

    def __post_init__(self) -> None:
        if self.waves < 1:
            raise ConfigError(f"problem.waves must be at least 1; got {self.waves}")

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="heat_multiscale",
            equation=_Anisotropic(slow=1 / (500 * math.pi) ** 2, fast=1 / math.pi**2),
            domain=Rectangle(x=(0.0, 1.0), y=(0.0, 1.0)) * Time(0.0, 5.0),
            conditions=[Initial(u=self._start), Dirichlet("boundary", u=0.0)],
            reference=self._solution,
            # tanh of a layer follows a wave where a half of it takes about two units of its input
            network={"width": 32, "depth": 3, "input_scale": max(1.0, self.waves / 4)},
            points=1500,
            boundary_points=400,
            condition_weight=10.0,
            seconds=120.0,
        )

    def _start(self, x: Any, y: Any) -> Any:
        return torch.sin(self.waves * math.pi * x) * torch.sin(math.pi * y)

    def _solution(self, x: Any, y: Any, t: Any) -> Any:
        return self._start(x, y) * torch.exp(-(1 + (self.waves / 500) ** 2) * t)
