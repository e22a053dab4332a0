"""Allen-Cahn equation with sharp moving interfaces."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

from ..constraints import Initial, Periodic
from ..data import Interval, Time
from ..data.solvers import PeriodicSolution, allen_cahn
from ..errors import ConfigError
from ..pde import AllenCahn
from ..problem import Problem
from ..registry import register
from ..typing import Tensor


@register("problem", "allen_cahn")
@dataclass(frozen=True)
class AllenCahnProblem:
    """``u_t = D u_xx + c (u - u^3)`` on [-1, 1] x [0, 1], periodic in x, from ``u = x^2 cos(pi x)``.

    Reference: Fourier pseudo-spectral in space, fourth-order exponential Runge-Kutta in time.

    Ref: Raissi, Perdikaris, Karniadakis, *Physics-informed neural networks*, 2019, section 3.2.1.
    """

    diffusion: float = 1e-4
    reaction: float = 5.0

    def __post_init__(self) -> None:
        if not self.diffusion > 0:
            raise ConfigError(f"problem.diffusion must be positive; got {self.diffusion}")

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="allen_cahn",
            equation=AllenCahn(diffusion=self.diffusion, reaction=self.reaction),
            domain=Interval(-1.0, 1.0) * Time(0.0, 1.0),
            conditions=[Initial(u=lambda x: x**2 * torch.cos(math.pi * x)), Periodic("x")],
            reference=self._reference(),
            network={"width": 24, "depth": 3},
            points=2000,
            boundary_points=200,
            condition_weight=100.0,
            seconds=180.0,
        )

    def _reference(self) -> Callable[[Tensor, Tensor], Tensor]:
        @cache
        def solve() -> PeriodicSolution:
            x = torch.arange(2048, dtype=torch.float64) / 1024 - 1
            t = torch.linspace(0.0, 1.0, 101, dtype=torch.float64)
            start = x**2 * torch.cos(math.pi * x)
            return PeriodicSolution(allen_cahn(start, t, self.diffusion, self.reaction, dt=1e-3), t, -1.0, 2.0)

        return lambda x, t: solve()(x, t)
