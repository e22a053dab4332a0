"""The Kuramoto-Sivashinsky equation on a period, on its way into chaos."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Initial, Periodic
from ..data import Interval, Time
from ..errors import ConfigError
from ..pde import KuramotoSivashinsky
from ..problem import Problem
from ..registry import register
from ._flame import periodic_reference

_COEFFICIENTS = (100 / 16, 100 / 16**2, 100 / 16**4)


def _start(x: Any) -> Any:
    return torch.cos(x) * (1 + torch.sin(x))


@register("problem", "kuramoto_sivashinsky_chaotic")
@dataclass(frozen=True)
class KuramotoSivashinskyChaoticProblem:
    """``u_t + alpha u u_x + beta u_xx + gamma u_xxxx = 0`` on [0, 2 pi] x [0, end], from ``cos(x) (1 + sin(x))``.

    Periodic in x, with alpha, beta and gamma 100 / 16, 100 / 16^2 and 100 / 16^4. Errors at the start are some 5 times
    larger at t = 0.1, 40 at 0.2, 300 at 0.3 and 10^4 at 1: shorter times are easier by far.

    Reference: Fourier pseudo-spectral in space, fourth-order exponential Runge-Kutta in time.

    Ref: Wang, Sankaran, Perdikaris, *Respecting causality for training physics-informed neural networks*, 2024.

    Attributes:
        end: Last time.
    """

    end: float = 1.0

    def __post_init__(self) -> None:
        if not self.end > 0:
            raise ConfigError(f"problem.end must be positive; got {self.end}")

    def build(self) -> Problem:
        """Make the problem."""
        alpha, beta, gamma = _COEFFICIENTS
        return Problem(
            name="kuramoto_sivashinsky_chaotic",
            equation=KuramotoSivashinsky(alpha=alpha, beta=beta, gamma=gamma),
            domain=Interval(0.0, 2 * math.pi) * Time(0.0, self.end),
            conditions=[Initial(u=_start), Periodic("x", order=3)],
            reference=periodic_reference(_start, _COEFFICIENTS, 0.0, 2 * math.pi, self.end),
            network={"width": 24, "depth": 3},
            points=1200,
            condition_weight=1000.0,
            windows=20,
            harmonics=8,
            seconds=600.0,
        )
