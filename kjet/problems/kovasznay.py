"""Kovasznay flow: the wake behind a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..constraints import Dirichlet
from ..data import Rectangle
from ..data.solvers import kovasznay
from ..errors import ConfigError
from ..pde import NavierStokes2D
from ..problem import Problem
from ..registry import register


@register("problem", "kovasznay")
@dataclass(frozen=True)
class KovasznayProblem:
    """Steady Navier-Stokes flow with velocity and pressure of the reference on the boundary.

    Reference: Kovasznay's closed form.

    Ref: Kovasznay, *Laminar flow behind a two-dimensional grid*, 1948.
    """

    reynolds: float = 40.0

    def __post_init__(self) -> None:
        if not self.reynolds > 0:
            raise ConfigError(f"problem.reynolds must be positive; got {self.reynolds}")

    def build(self) -> Problem:
        """Make the problem."""

        def component(index: int) -> Any:
            return lambda x, y: kovasznay(x, y, self.reynolds)[index]

        return Problem(
            name="kovasznay",
            equation=NavierStokes2D(reynolds=self.reynolds),
            domain=Rectangle(x=(-0.5, 1.0), y=(-0.5, 1.5)),
            conditions=[Dirichlet("boundary", u=component(0), v=component(1), p=component(2))],
            reference=lambda x, y: dict(zip("uvp", kovasznay(x, y, self.reynolds), strict=True)),
            network={"width": 32, "depth": 3},
            points=1000,
            boundary_points=300,
            seconds=60.0,
        )
