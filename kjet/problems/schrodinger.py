"""Nonlinear Schrödinger equation: two solitons in one place that breathe."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from ..constraints import Initial, Periodic
from ..data import Interval, Time
from ..data.solvers import PeriodicSolution, schrodinger
from ..errors import ConfigError
from ..pde import Schrodinger
from ..problem import Problem
from ..registry import register
from ..typing import Tensor

_END = math.pi / 2


@register("problem", "schrodinger")
@dataclass(frozen=True)
class SchrodingerProblem:
    """``i h_t + h_xx / 2 + |h|^2 h = 0`` for ``h = u + i v`` on [-L, L] x [0, pi / 2], periodic in x, from 2 sech(x).

    Reference: split steps of fourth order in time, Fourier in space; to 1e-5, as the start has a kink at the ends.

    Ref: Raissi, Perdikaris, Karniadakis, *Physics-informed neural networks*, 2019.

    Attributes:
        half_length: L.
    """

    half_length: float = 5.0

    def __post_init__(self) -> None:
        if not self.half_length > 0:
            raise ConfigError(f"problem.half_length must be positive; got {self.half_length}")

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="schrodinger",
            equation=Schrodinger(),
            domain=Interval(-self.half_length, self.half_length) * Time(0.0, _END),
            conditions=[Initial(u=lambda x: 2 / torch.cosh(x), v=0.0), Periodic("x")],
            reference=self._reference(),
            condition_weight=100.0,
            seconds=180.0,
        )

    def _reference(self) -> Callable[[Tensor, Tensor], dict[str, Any]]:
        length = 2 * self.half_length

        @cache
        def solve() -> tuple[PeriodicSolution, PeriodicSolution]:
            x = length / 512 * torch.arange(512, dtype=torch.float64) - self.half_length
            t = torch.linspace(0.0, _END, 401, dtype=torch.float64)
            u, v = schrodinger(2 / torch.cosh(x), 0 * x, t, length=length, dt=2e-4)
            return tuple(PeriodicSolution(w, t, -self.half_length, length) for w in (u, v))  # type: ignore[return-value]

        return lambda x, t: {name: w(x, t) for name, w in zip("uv", solve(), strict=True)}
