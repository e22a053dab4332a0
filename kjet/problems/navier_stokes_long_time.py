"""Vortices that are carried along and decay, for a long time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..constraints import Dirichlet, Initial, Periodic
from ..data import Rectangle, Time
from ..data.solvers import taylor_green
from ..errors import ConfigError
from ..pde import NavierStokes2DUnsteady
from ..problem import Problem
from ..registry import register


@register("problem", "navier_stokes_long_time")
@dataclass(frozen=True)
class NavierStokesLongTimeProblem:
    """``w_t + (w . grad) w + grad p = lap(w) / Re, div w = 0`` for ``w = (u, v)`` on [0, 2 pi]^2 x [0, end], periodic.

    The pressure, of which the equations know the gradient only, is given on the left side.

    Reference: the vortices of Taylor and Green in a stream of velocity ``(s, 0)``,
    ``u = s + sin(x - s t) cos(y) F``, ``v = -cos(x - s t) sin(y) F``, ``p = (cos(2 x - 2 s t) + cos(2 y)) F^2 / 4``,
    ``F = exp(-2 t / Re)``.

    Ref: Taylor, Green, *Mechanism of the production of small eddies from large ones*, 1937.

    Attributes:
        reynolds: Re.
        stream: s.
        end: Last time.
    """

    reynolds: float = 20.0
    stream: float = 0.5
    end: float = 10.0

    def __post_init__(self) -> None:
        for name in ("reynolds", "end"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"problem.{name} must be positive; got {getattr(self, name)}")

    def build(self) -> Problem:
        """Make the problem."""
        u, v, p = (self._component(i) for i in range(3))
        return Problem(
            name="navier_stokes_long_time",
            equation=NavierStokes2DUnsteady(reynolds=self.reynolds),
            domain=Rectangle(x=(0.0, 2 * math.pi), y=(0.0, 2 * math.pi)) * Time(0.0, self.end),
            conditions=[Initial(u=u, v=v), Dirichlet("left", p=p), Periodic("x"), Periodic("y")],
            reference=lambda x, y, t: {"u": u(x, y, t), "v": v(x, y, t), "p": p(x, y, t)},
            network={"width": 24, "depth": 3},
            points=1200,
            boundary_points=250,
            condition_weight=10.0,
            seconds=300.0,
        )

    def _component(self, index: int) -> Callable[..., Any]:
        def component(x: Any, y: Any, t: Any) -> Any:
            found = taylor_green(x - self.stream * t, y, t, 1 / self.reynolds)[index]
            return found + self.stream if index == 0 else found

        return component
