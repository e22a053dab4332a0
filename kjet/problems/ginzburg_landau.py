"""Complex Ginzburg-Landau equation: a defect that winds waves around itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from ..constraints import Initial, Periodic
from ..data import Rectangle, Time
from ..data.solvers import PeriodicGrid, PeriodicSolution2D, ginzburg_landau
from ..errors import ConfigError
from ..pde import GinzburgLandau
from ..problem import Problem
from ..registry import register
from ..typing import Tensor


def _bell(x: Any, y: Any) -> Any:
    return 10 * torch.exp(-25 * (x**2 + y**2))


@register("problem", "ginzburg_landau")
@dataclass(frozen=True)
class GinzburgLandauProblem:
    """``A_t = 0.004 lap(A) + 10 A - (10 + 15 i) |A|^2 A`` for ``A = u + i v`` on [-1, 1]^2 x [0, end], periodic.

    From ``10 (y + i x) exp(-25 (x^2 + y^2))``, a single zero around which a spiral grows.

    Reference: Fourier pseudo-spectral in space, fourth-order exponential Runge-Kutta in time.

    Ref: Wang, Li, Chen, Perdikaris, *PirateNets: physics-informed deep learning with residual adaptive networks*, 2024.

    Attributes:
        end: Last time.
    """

    end: float = 1.0

    def __post_init__(self) -> None:
        if not self.end > 0:
            raise ConfigError(f"problem.end must be positive; got {self.end}")

    def build(self) -> Problem:
        """Make the problem."""
        start = Initial(u=lambda x, y: y * _bell(x, y), v=lambda x, y: x * _bell(x, y))
        return Problem(
            name="ginzburg_landau",
            equation=GinzburgLandau(),
            domain=Rectangle(x=(-1.0, 1.0), y=(-1.0, 1.0)) * Time(0.0, self.end),
            conditions=[start, Periodic("x"), Periodic("y")],
            reference=self._reference(),
            network={"width": 24, "depth": 3},
            points=1500,
            boundary_points=300,
            condition_weight=100.0,
            seconds=300.0,
        )

    def _reference(self) -> Callable[[Tensor, Tensor, Tensor], dict[str, Any]]:
        @cache
        def solve() -> dict[str, PeriodicSolution2D]:
            x, y = torch.meshgrid(*PeriodicGrid((192, 192), (2.0, 2.0)).points(-1.0), indexing="ij")
            t = torch.linspace(0.0, self.end, 101, dtype=torch.float64)
            found = ginzburg_landau(y * _bell(x, y), x * _bell(x, y), t, dt=2e-3)
            return {name: PeriodicSolution2D(w, t, -1.0, 2.0) for name, w in zip("uv", found, strict=True)}

        return lambda x, y, t: {name: w(x, y, t) for name, w in solve().items()}
