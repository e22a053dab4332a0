"""Eikonal equation with viscosity: the rounded distance to a circle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet
from ..data import Disk
from ..errors import ConfigError
from ..pde import Eikonal
from ..problem import Problem
from ..registry import register


@register("problem", "eikonal")
@dataclass(frozen=True)
class EikonalProblem:
    """``|grad u|^2 - eps lap(u) = 1`` in the unit disk, u = 0 on the circle.

    Reference: ``u = -eps log(I_0(r / eps) / I_0(1 / eps))`` with the modified Bessel function, as ``exp(-u / eps)``
    solves ``eps^2 lap(w) = w``. For small eps it is the distance ``1 - r``, up to ``eps / 2 log(1 / r)`` and rounded
    over eps at the centre.

    Ref: Crandall, Lions, *Viscosity solutions of Hamilton-Jacobi equations*, 1983.

    Attributes:
        viscosity: eps.
    """

    viscosity: float = 0.1

    def __post_init__(self) -> None:
        if not self.viscosity > 0:
            raise ConfigError(f"problem.viscosity must be positive; got {self.viscosity}")

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="eikonal",
            equation=Eikonal(viscosity=self.viscosity),
            domain=Disk((0.0, 0.0), 1.0),
            conditions=[Dirichlet(u=0.0)],
            reference=self._distance,
            network={"width": 24, "depth": 3},
            points=1000,
            boundary_points=100,
            seconds=60.0,
        )

    def _distance(self, x: Any, y: Any) -> Any:
        r = torch.sqrt(x**2 + y**2)
        edge = torch.special.i0e(torch.full_like(r, 1 / self.viscosity))
        # with the exponentials taken out, which would overflow
        return 1 - r - self.viscosity * torch.log(torch.special.i0e(r / self.viscosity) / edge)
