"""Gray-Scott reaction: a spot of one substance that feeds on another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from ..constraints import Initial, Periodic
from ..data import Rectangle, Time
from ..data.solvers import PeriodicGrid, PeriodicSolution2D, gray_scott
from ..errors import ConfigError
from ..pde import GrayScott
from ..problem import Problem
from ..registry import register
from ..typing import Tensor

_DIFFUSION = (2e-4, 1e-4)


def _u0(x: Any, y: Any) -> Any:
    return 1 - torch.exp(-20 * ((x + 0.05) ** 2 + (y + 0.02) ** 2))


def _v0(x: Any, y: Any) -> Any:
    return torch.exp(-20 * ((x - 0.05) ** 2 + (y - 0.02) ** 2))


@register("problem", "gray_scott")
@dataclass(frozen=True)
class GrayScottProblem:
    """``u_t = D_u lap(u) - u v^2 + F (1 - u)``, ``v_t = D_v lap(v) + u v^2 - (F + k) v`` on [-1, 1]^2 x [0, end].

    Periodic, from two bells that lie side by side and grow into a ring. F = 0.04, k = 0.06, D_u = 2e-4, D_v = 1e-4.

    Reference: Fourier pseudo-spectral in space, fourth-order exponential Runge-Kutta in time.

    Ref: Pearson, *Complex patterns in a simple system*, 1993, with ten times his diffusion: a smaller box.

    Attributes:
        end: Last time.
    """

    end: float = 200.0

    def __post_init__(self) -> None:
        if not self.end > 0:
            raise ConfigError(f"problem.end must be positive; got {self.end}")

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="gray_scott",
            equation=GrayScott(diffusion=_DIFFUSION),
            domain=Rectangle(x=(-1.0, 1.0), y=(-1.0, 1.0)) * Time(0.0, self.end),
            conditions=[Initial(u=_u0, v=_v0), Periodic("x"), Periodic("y")],
            reference=self._reference(),
            network={"width": 24, "depth": 3},
            points=1500,
            boundary_points=300,
            condition_weight=0.01,  # rates, and with them residuals, are hundredths of the fields
            seconds=300.0,
        )

    def _reference(self) -> Callable[[Tensor, Tensor, Tensor], dict[str, Any]]:
        @cache
        def solve() -> dict[str, PeriodicSolution2D]:
            x, y = torch.meshgrid(*PeriodicGrid((192, 192), (2.0, 2.0)).points(-1.0), indexing="ij")
            t = torch.linspace(0.0, self.end, 201, dtype=torch.float64)
            found = gray_scott(_u0(x, y), _v0(x, y), t, diffusion=_DIFFUSION, dt=0.5)
            return {name: PeriodicSolution2D(w, t, -1.0, 2.0) for name, w in zip("uv", found, strict=True)}

        return lambda x, y, t: {name: w(x, y, t) for name, w in solve().items()}
