"""Find viscosity and strength of advection from noisy velocities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..constraints import Observations
from ..data import Rectangle, Time
from ..data.solvers import taylor_green
from ..pde import Coefficient, Equation, Expression, Parameters, Unknown, lap
from ..problem import Problem
from ..registry import register
from ._measurements import MeasurementOptions

_DRIFT = (0.6, 0.3)


class _Flow(Equation):
    """``w_t + advection (w . grad) w + grad p = viscosity lap(w), div w = 0``."""

    fields, coords = ("u", "v", "p"), ("x", "y", "t")
    advection: Coefficient = 1.0
    viscosity: Coefficient = 0.02

    def residual(self, u: Expression, v: Expression, pressure: Expression, p: Parameters) -> dict[str, Expression]:
        """Two components of momentum, and continuity."""
        return {
            "momentum_x": u.t + p.advection * (u * u.x + v * u.y) + pressure.x - p.viscosity * lap(u),
            "momentum_y": v.t + p.advection * (u * v.x + v * v.y) + pressure.y - p.viscosity * lap(v),
            "continuity": u.x + v.y,
        }


@register("problem", "navier_stokes_inverse")
@dataclass(frozen=True)
class NavierStokesInverseProblem(MeasurementOptions):
    """Two unknown factors of the Navier-Stokes equations in [0, 1]^2 x [0, 1], from velocities at random points.

    Neither start nor boundary is given, and nothing of the pressure, which the reference leaves out: it is known up to
    a function of time.

    Reference: decaying vortices of Taylor and Green that drift. Without the drift the pressure would balance advection
    of any strength, and velocities would not tell it.

    Ref: Raissi, Perdikaris, Karniadakis, *Physics-informed neural networks*, 2019, for the question.

    Attributes:
        viscosity: The value to be found.
        guess: First guess of the viscosity; that of the strength of advection, which is 1, is 0.5.
    """

    sensors: int = 500
    viscosity: float = 0.02
    guess: float = 0.1

    def build(self) -> Problem:
        """Make the problem."""
        self.check_positive("viscosity", "guess")
        places = self.places(x=(0.0, 1.0), y=(0.0, 1.0), t=(0.0, 1.0))
        return Problem(
            name="navier_stokes_inverse",
            equation=_Flow(advection=Unknown(0.5, low=0.0, high=5.0), viscosity=Unknown(self.guess, low=0.0, high=1.0)),
            domain=Rectangle(x=(0.0, 1.0), y=(0.0, 1.0)) * Time(0.0, 1.0),
            conditions=[Observations(places, **self.measured(self._velocity(**places)))],
            reference=self._velocity,
            network={"width": 32, "depth": 3},
            points=1000,
            condition_weight=10.0,
            seconds=120.0,
        )

    def _velocity(self, x: Any, y: Any, t: Any) -> dict[str, Any]:
        (a, b), k = _DRIFT, math.pi
        u, v, _ = taylor_green(k * (x - a * t), k * (y - b * t), k**2 * t, self.viscosity)
        return {"u": a + u, "v": b + v}
