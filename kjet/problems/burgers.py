"""Viscous Burgers equation that steepens into a shock."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..constraints import Dirichlet, Initial
from ..data import Interval, Time
from ..data.solvers import burgers_cole_hopf
from ..errors import ConfigError
from ..pde import Burgers
from ..problem import Problem
from ..registry import register


@register("problem", "burgers")
@dataclass(frozen=True)
class BurgersProblem:
    """``u_t + u u_x = nu u_xx`` on [-1, 1] x [0, 1] from ``u = -sin(pi x)``, with u = 0 at both ends.

    Reference: Cole-Hopf transformation by quadrature.

    Ref: Basdevant et al., *Spectral and finite difference solutions of the Burgers equation*, 1986.
    """

    nu: float = 0.01 / math.pi

    def __post_init__(self) -> None:
        if not self.nu > 0:
            raise ConfigError(f"problem.nu must be positive; got {self.nu}")

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="burgers",
            equation=Burgers(nu=self.nu),
            domain=Interval(-1.0, 1.0) * Time(0.0, 1.0),
            conditions=[
                Initial(u=lambda x: -torch.sin(math.pi * x)),
                Dirichlet("left", u=0.0),
                Dirichlet("right", u=0.0),
            ],
            reference=lambda x, t: burgers_cole_hopf(x, t, self.nu),
            network={"width": 24, "depth": 3},
            points=2000,
            boundary_points=100,
            seconds=120.0,
        )
