"""A nonlinear source that swings, over many periods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet, Initial
from ..data import Rectangle, Time
from ..data.solvers import heat_in_odd_square
from ..errors import ConfigError
from ..pde import Equation, Expression, Parameters, lap
from ..problem import Problem
from ..registry import register
from ._computed import solved_once

_DIFFUSIVITY, _STRENGTH = 0.02, 4.0


class _Heated(Equation):
    """``u_t = diffusivity lap(u) + q(u, x, y, t)``."""

    fields, coords = ("u",), ("x", "y", "t")
    diffusivity: float = _DIFFUSIVITY

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t - diffusivity lap(u) - q``."""
        return u.t - p.diffusivity * lap(u) - _source(u, p.x, p.y, p.t)


@register("problem", "heat_long_time")
@dataclass(frozen=True)
class HeatLongTimeProblem:
    """``u_t = 0.02 lap(u) + 4 sin(u^2) (1 + sin(pi t / 4) / 2) sin(2 pi x) sin(pi y)`` on [0, 1]^2 x [0, end].

    From ``u = sin(2 pi x) sin(pi y)``, with u = 0 on the boundary.

    Reference: Fourier pseudo-spectral, of the continuation that is odd in x and y, and exponential Runge-Kutta in time.

    Ref: Hao et al., *PINNacle: a comprehensive benchmark of physics-informed neural networks for solving PDEs*, 2023;
    after the class of heat equations over a long time there, with parameters of our own.

    Attributes:
        end: Last time; the source repeats after 8.
    """

    end: float = 24.0

    def __post_init__(self) -> None:
        if not self.end > 0:
            raise ConfigError(f"problem.end must be positive; got {self.end}")

    def build(self) -> Problem:
        """Make the problem."""
        steps: dict[str, Any] = {"n": 64, "snapshots": math.ceil(20 * self.end), "dt": 0.025}
        return Problem(
            name="heat_long_time",
            equation=_Heated(),
            domain=Rectangle(x=(0.0, 1.0), y=(0.0, 1.0)) * Time(0.0, self.end),
            conditions=[Initial(u=_start), Dirichlet("boundary", u=0.0)],
            reference=solved_once(lambda: heat_in_odd_square(_start, _source, _DIFFUSIVITY, self.end, **steps)),
            network={"width": 32, "depth": 3, "input_scale": 2.0},
            points=2000,
            constraint="hard",
            seconds=180.0,
        )


def _start(x: Any, y: Any) -> Any:
    return torch.sin(2 * math.pi * x) * torch.sin(math.pi * y)


def _source(u: Any, x: Any, y: Any, t: Any) -> Any:
    return _STRENGTH * torch.sin(u**2) * (1 + torch.sin(math.pi / 4 * t) / 2) * _start(x, y)
