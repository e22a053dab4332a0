"""Decaying vortices on a torus, by velocity and vorticity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from ..constraints import Initial, Periodic
from ..data import Rectangle, Time
from ..data.solvers import PeriodicGrid, PeriodicSolution2D, navier_stokes, velocity_of_vorticity
from ..errors import ConfigError
from ..pde import VorticityTransport2D
from ..problem import Problem
from ..registry import register
from ..typing import Tensor

# (a, k, l, phase): the stream function is a sum of a cos(k x + l y + phase)
_MODES = ((0.5, 1, 1, 0.3), (0.3, 2, 0, 1.7), (0.3, 0, 2, 0.4), (0.15, 2, -1, 2.1))


def _sum(x: Any, y: Any, factor: Callable[[int, int], float], wave: Callable[[Any], Any]) -> Any:
    return sum(a * factor(k, m) * wave(k * x + m * y + phase) for a, k, m, phase in _MODES)


_START: dict[str, Any] = {
    "u": lambda x, y: _sum(x, y, lambda k, m: -m, torch.sin),
    "v": lambda x, y: _sum(x, y, lambda k, m: k, torch.sin),
    "w": lambda x, y: _sum(x, y, lambda k, m: k**2 + m**2, torch.cos),
}


@register("problem", "navier_stokes_torus")
@dataclass(frozen=True)
class NavierStokesTorusProblem:
    """``w_t + u w_x + v w_y = lap(w) / Re, w = v_x - u_y, u_x + v_y = 0`` on a period [0, 2 pi]^2 and [0, end].

    The start is a sum of four modes of different lengths, which stir each other.

    Reference: Fourier pseudo-spectral, fourth-order exponential Runge-Kutta in time. Ref: Wang, Sankaran, Perdikaris,
    *Respecting causality for training physics-informed neural networks*, 2024; the start is our own.
    """

    reynolds: float = 100.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not (self.reynolds > 0 and self.end > 0):
            raise ConfigError(f"problem.reynolds and problem.end must be positive; got {self.reynolds}, {self.end}")

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="navier_stokes_torus",
            equation=VorticityTransport2D(reynolds=self.reynolds),
            domain=Rectangle(x=(0.0, 2 * math.pi), y=(0.0, 2 * math.pi)) * Time(0.0, self.end),
            conditions=[Initial(**_START), Periodic("x"), Periodic("y")],
            reference=self._reference(),
            network={"width": 24, "depth": 3},
            points=1200,
            boundary_points=250,
            condition_weight=100.0,
            seconds=300.0,
        )

    def _reference(self) -> Callable[[Tensor, Tensor, Tensor], dict[str, Any]]:
        @cache
        def solve() -> dict[str, PeriodicSolution2D]:
            x, y = torch.meshgrid(*PeriodicGrid((64, 64), (2 * math.pi,) * 2).points(), indexing="ij")
            t = torch.linspace(0.0, self.end, 51, dtype=torch.float64)
            w = navier_stokes(_START["w"](x, y), 1 / self.reynolds, t, length=2 * math.pi, dt=1e-2)
            fields = dict(zip("uvw", (*velocity_of_vorticity(w, length=2 * math.pi), w), strict=True))
            return {name: PeriodicSolution2D(f, t, 0.0, 2 * math.pi) for name, f in fields.items()}

        return lambda x, y, t: {name: field(x, y, t) for name, field in solve().items()}
