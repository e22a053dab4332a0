"""Waves that spread in a medium of varying speed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from ..constraints import Initial, Periodic
from ..data import Rectangle, Time
from ..data.solvers import PeriodicGrid, PeriodicSolution2D, varying_wave
from ..errors import ConfigError
from ..pde import Wave
from ..problem import Problem
from ..registry import register
from ..typing import Tensor


def _start(x: Any, y: Any) -> Any:
    return torch.exp(-20 * ((x + 0.2) ** 2 + y**2))


@register("problem", "wave2d_heterogeneous")
@dataclass(frozen=True)
class Wave2DHeterogeneousProblem:
    """``u_tt = c(x, y)^2 lap(u)`` on [-1, 1]^2 x [0, 1], periodic, from a bell at rest.

    ``c = 1 + a sin(pi x) cos(pi y)``: the ring that runs outward is bent, and meets itself across the period.

    Reference: Fourier pseudo-spectral in space, fourth-order Runge-Kutta in time.

    Ref: Hao et al., *PINNacle: a comprehensive benchmark of physics-informed neural networks for solving PDEs*, 2023;
    after the class of waves in a heterogeneous medium there, with parameters of our own.

    Attributes:
        contrast: a.
    """

    contrast: float = 0.4

    def __post_init__(self) -> None:
        if not 0 <= self.contrast < 1:
            raise ConfigError(f"problem.contrast must be in [0, 1); got {self.contrast}")

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="wave2d_heterogeneous",
            equation=Wave(coords=("x", "y", "t"), speed=self._speed),
            domain=Rectangle(x=(-1.0, 1.0), y=(-1.0, 1.0)) * Time(0.0, 1.0),
            conditions=[Initial(u=_start, u_t=0.0), Periodic("x"), Periodic("y")],
            reference=self._reference(),
            network={"width": 24, "depth": 3},
            points=1500,
            boundary_points=300,
            condition_weight=100.0,
            seconds=300.0,
        )

    def _speed(self, x: Any, y: Any) -> Any:
        return 1 + self.contrast * torch.sin(math.pi * x) * torch.cos(math.pi * y)

    def _reference(self) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        @cache
        def solve() -> PeriodicSolution2D:
            x, y = torch.meshgrid(*PeriodicGrid((96, 96), (2.0, 2.0)).points(-1.0), indexing="ij")
            t = torch.linspace(0.0, 1.0, 101, dtype=torch.float64)
            u = varying_wave(_start(x, y), 0 * x, self._speed(x, y), t, dt=2e-3)
            return PeriodicSolution2D(u, t, -1.0, 2.0)

        return lambda x, y, t: solve()(x, y, t)
