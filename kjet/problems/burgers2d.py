"""Burgers' equations in the plane: a front between two velocities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet, Initial
from ..data import Rectangle, Time
from ..errors import ConfigError
from ..pde import Burgers2D
from ..problem import Problem
from ..registry import register


@register("problem", "burgers2d")
@dataclass(frozen=True)
class Burgers2DProblem:
    """``w_t + (w . grad) w = nu lap(w)`` for ``w = (u, v)`` on [0, 1]^2 x [0, 1]; values of the reference are given.

    Reference: ``u = 3/4 - f``, ``v = 3/4 + f``, ``4 f = 1 / (1 + exp((4 y - 4 x - t) / (32 nu)))``, by the Cole-Hopf
    transformation: a front along the diagonal, 32 nu wide.

    Ref: Fletcher, *Generating exact solutions of the two-dimensional Burgers equations*, 1983.

    Attributes:
        nu: Viscosity.
    """

    nu: float = 0.01

    def __post_init__(self) -> None:
        if not self.nu > 0:
            raise ConfigError(f"problem.nu must be positive; got {self.nu}")

    def build(self) -> Problem:
        """Make the problem."""

        def u(x: Any, y: Any, t: Any) -> Any:
            return 0.75 - self._front(x, y, t)

        def v(x: Any, y: Any, t: Any) -> Any:
            return 0.75 + self._front(x, y, t)

        return Problem(
            name="burgers2d",
            equation=Burgers2D(nu=self.nu),
            domain=Rectangle(x=(0.0, 1.0), y=(0.0, 1.0)) * Time(0.0, 1.0),
            conditions=[Initial(u=u, v=v), Dirichlet(u=u, v=v)],
            reference=lambda x, y, t: {"u": u(x, y, t), "v": v(x, y, t)},
            network={"width": 24, "depth": 3},
            boundary_points=300,
        )

    def _front(self, x: Any, y: Any, t: Any) -> Any:
        return 0.25 * torch.sigmoid((4 * x - 4 * y + t) / (32 * self.nu))
