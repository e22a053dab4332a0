"""Korteweg-de Vries equation: a cosine that breaks up into solitons."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

from ..constraints import Initial, Periodic
from ..data import Interval, Time
from ..data.solvers import PeriodicSolution, kdv
from ..pde import KdV
from ..problem import Problem
from ..registry import register
from ..typing import Tensor


@register("problem", "kdv")
@dataclass(frozen=True)
class KdVProblem:
    """``u_t + a u u_x + b u_xxx = 0`` on [-1, 1] x [0, 1], periodic in x, from ``u = cos(pi x)``.

    Reference: Fourier pseudo-spectral in space, fourth-order exponential Runge-Kutta in time.

    Ref: Raissi, Perdikaris, Karniadakis, *Physics-informed neural networks*, 2019, section 4.2.1.
    """

    a: float = 1.0
    b: float = 0.0025

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="kdv",
            equation=KdV(a=self.a, b=self.b),
            domain=Interval(-1.0, 1.0) * Time(0.0, 1.0),
            conditions=[Initial(u=lambda x: torch.cos(math.pi * x)), Periodic("x", order=2)],
            reference=self._reference(),
            network={"width": 24, "depth": 3},
            points=2000,
            boundary_points=200,
            constraint="hard",
            seconds=180.0,
        )

    def _reference(self) -> Callable[[Tensor, Tensor], Tensor]:
        @cache
        def solve() -> PeriodicSolution:
            x = torch.arange(512, dtype=torch.float64) / 256 - 1
            t = torch.linspace(0.0, 1.0, 201, dtype=torch.float64)
            return PeriodicSolution(kdv(torch.cos(math.pi * x), t, self.a, self.b, dt=2e-4), t, -1.0, 2.0)

        return lambda x, t: solve()(x, t)
