"""A disk of another conductivity in a uniform field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..constraints import Dirichlet
from ..data import Disk, Rectangle
from ..decomposition import coupled
from ..errors import ConfigError
from ..pde import Poisson
from ..problem import Problem
from ..registry import register


@register("problem", "interface_circle")
@dataclass(frozen=True)
class InterfaceCircleProblem:
    """``div(k grad u) = 0`` on (-1, 1)^2, with k = ``contrast`` in the disk of radius 1/2 and k = 1 outside of it.

    u and ``k du/dn`` are continuous at the circle; the boundary has the values of the reference. Reference, with
    ``q = (1 - contrast) / (1 + contrast)``: ``u = (1 + q) x`` in the disk and ``u = x (1 + q / (4 (x^2 + y^2)))``
    outside of it, a field that is uniform far away.

    Ref: Jackson, *Classical Electrodynamics*, 3rd ed., 1999, for the sphere.
    """

    contrast: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.contrast < math.inf:
            raise ConfigError(f"problem.contrast must be positive; got {self.contrast}")

    def build(self) -> Problem:
        """Make the problem."""
        return coupled(
            Rectangle(x=(-1.0, 1.0), y=(-1.0, 1.0)),
            {
                "inner": (Disk((0.0, 0.0), 0.5), Poisson(coefficient=self.contrast)),
                "outer": (None, Poisson(coefficient=1.0)),
            },
            [Dirichlet("boundary", u=self._outer)],
            name="interface_circle",
            scales={"inner": self.contrast},
            reference={"inner": self._inner, "outer": self._outer},
            network={"width": 20, "depth": 3},
            points=800,
            boundary_points=160,
            seconds=30.0,
        )

    @property
    def _dipole(self) -> float:
        return (1.0 - self.contrast) / (1.0 + self.contrast)

    def _inner(self, x: Any, y: Any) -> Any:
        return (1.0 + self._dipole) * x + 0.0 * y

    def _outer(self, x: Any, y: Any) -> Any:
        return x * (1.0 + 0.25 * self._dipole / (x * x + y * y))
