"""Kuramoto-Sivashinsky equation on a period, where it is not chaotic."""

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


def _start(x: Any) -> Any:
    return -torch.sin(math.pi * x)


@register("problem", "kuramoto_sivashinsky_regular")
@dataclass(frozen=True)
class KuramotoSivashinskyRegularProblem:
    """``u_t + alpha u u_x + beta u_xx + gamma u_xxxx = 0`` on [-1, 1] x [0, 1], periodic in x, from ``-sin(pi x)``.

    Reference: Fourier pseudo-spectral in space, fourth-order exponential Runge-Kutta in time.

    Ref: Wang, Sankaran, Perdikaris, *Respecting causality for training physics-informed neural networks*, 2024.

    Attributes:
        alpha: Steepening.
        beta: Anti-diffusion.
        gamma: Hyper-diffusion.
    """

    alpha: float = 5.0
    beta: float = 0.5
    gamma: float = 0.005

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise ConfigError(f"problem.gamma must be positive; got {self.gamma}")

    def build(self) -> Problem:
        """Make the problem."""
        coefficients = (self.alpha, self.beta, self.gamma)
        return Problem(
            name="kuramoto_sivashinsky_regular",
            equation=KuramotoSivashinsky(alpha=self.alpha, beta=self.beta, gamma=self.gamma),
            domain=Interval(-1.0, 1.0) * Time(0.0, 1.0),
            conditions=[Initial(u=_start), Periodic("x", order=3)],
            reference=periodic_reference(_start, coefficients, -1.0, 2.0, 1.0),
            network={"width": 24, "depth": 3},
            points=1000,
            condition_weight=1000.0,
            windows=10,
            harmonics=5,
            seconds=300.0,
        )
