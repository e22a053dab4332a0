"""A membrane that vibrates for many periods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet, Initial
from ..data import Rectangle, Time
from ..errors import ConfigError
from ..pde import Wave
from ..problem import Problem
from ..registry import register

_MODES = ((1, 1, 1.0), (2, 1, 0.5))  # waves along x, along y, amplitude


@register("problem", "wave_long_time")
@dataclass(frozen=True)
class WaveLongTimeProblem:
    """``u_tt = lap(u)`` on [0, 1]^2 x [0, end], at rest at the start, with u = 0 on the boundary.

    Reference: ``sin(pi x) sin(pi y) cos(sqrt(2) pi t) + sin(2 pi x) sin(pi y) cos(sqrt(5) pi t) / 2``. The two
    frequencies have no common period, so that the motion never repeats; ten units of time hold seven and eleven of
    their periods.

    Ref: Courant, Hilbert, *Methods of Mathematical Physics*, volume 1, 1953.

    Attributes:
        end: Last time.
    """

    end: float = 10.0

    def __post_init__(self) -> None:
        if not self.end > 0:
            raise ConfigError(f"problem.end must be positive; got {self.end}")

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="wave_long_time",
            equation=Wave(coords=("x", "y", "t")),
            domain=Rectangle(x=(0.0, 1.0), y=(0.0, 1.0)) * Time(0.0, self.end),
            conditions=[Initial(u=lambda x, y: _solution(x, y, 0.0 * x), u_t=0.0), Dirichlet(u=0.0)],
            reference=_solution,
            network={"width": 24, "depth": 3},
            points=1500,
            boundary_points=300,
            condition_weight=100.0,
            seconds=300.0,
        )


def _solution(x: Any, y: Any, t: Any) -> Any:
    pi = math.pi
    modes = [
        size * torch.sin(m * pi * x) * torch.sin(n * pi * y) * torch.cos(math.hypot(m, n) * pi * t)
        for m, n, size in _MODES
    ]
    return modes[0] + modes[1]
