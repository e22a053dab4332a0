"""Slow flow of two streams that collide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..constraints import Dirichlet, Observations
from ..data import Rectangle
from ..errors import ConfigError
from ..pde import Coefficient, Equation, Expression, Parameters, lap
from ..problem import Problem
from ..registry import register


class _Stokes(Equation):
    """``-viscosity lap(w) + grad p = 0, div w = 0`` with velocity ``w = (u, v)`` and pressure p."""

    fields, coords = ("u", "v", "p"), ("x", "y")
    viscosity: Coefficient = 1.0

    def residual(self, u: Expression, v: Expression, pressure: Expression, p: Parameters) -> dict[str, Expression]:
        """Two components of momentum, and continuity."""
        return {
            "momentum_x": pressure.x - p.viscosity * lap(u),
            "momentum_y": pressure.y - p.viscosity * lap(v),
            "continuity": u.x + v.y,
        }


@register("problem", "stokes")
@dataclass(frozen=True)
class StokesProblem:
    """Stokes flow in [-1, 1]^2 with the velocity of the reference on the boundary, and p = 0 in the middle.

    Reference: ``u = x y^3``, ``v = (x^4 - y^4) / 4``, ``p = viscosity (3 x^2 y - y^3)``.

    Ref: Elman, Silvester, Wathen, *Finite Elements and Fast Iterative Solvers*, 2nd ed., 2014.

    Attributes:
        viscosity: Viscosity; it is the unit of the pressure.
    """

    viscosity: float = 1.0

    def __post_init__(self) -> None:
        if not self.viscosity > 0:
            raise ConfigError(f"problem.viscosity must be positive; got {self.viscosity}")

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="stokes",
            equation=_Stokes(viscosity=self.viscosity),
            domain=Rectangle(x=(-1.0, 1.0), y=(-1.0, 1.0)),
            conditions=[
                Dirichlet("boundary", u=lambda x, y: x * y**3, v=lambda x, y: (x**4 - y**4) / 4),
                Observations({"x": [0.0], "y": [0.0]}, p=[0.0], name="gauge"),
            ],
            reference=self._solution,
            network={"width": 32, "depth": 3},
            points=900,
            boundary_points=400,
            condition_weight=10.0,
            seconds=60.0,
        )

    def _solution(self, x: Any, y: Any) -> dict[str, Any]:
        return {"u": x * y**3, "v": (x**4 - y**4) / 4, "p": self.viscosity * (3 * x**2 * y - y**3)}
