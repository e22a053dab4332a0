"""Flow in a square cavity whose lid moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..constraints import Dirichlet
from ..data import Rectangle
from ..data.solvers import CavityFlow, lid_driven_cavity
from ..errors import ConfigError
from ..pde import NavierStokes2D
from ..problem import Problem
from ..registry import register
from ..typing import Tensor


@register("problem", "cavity")
@dataclass(frozen=True)
class CavityProblem:
    """Steady Navier-Stokes flow in the unit square, driven by the lid's velocity (1, 0).

    Reference: spectral Galerkin solution with the singular corner flow removed; the pressure is left out, as it is
    known up to a constant only.

    Ref: Ghia, Ghia, Shin, *High-Re solutions for incompressible flow using the Navier-Stokes equations and a multigrid
    method*, 1982.
    """

    reynolds: float = 100.0

    def __post_init__(self) -> None:
        if not self.reynolds > 0:
            raise ConfigError(f"problem.reynolds must be positive; got {self.reynolds}")

    def build(self) -> Problem:
        """Make the problem."""
        still: dict[str, Any] = {"u": 0.0, "v": 0.0}
        return Problem(
            name="cavity",
            equation=NavierStokes2D(reynolds=self.reynolds),
            domain=Rectangle(x=(0.0, 1.0), y=(0.0, 1.0)),
            conditions=[
                Dirichlet("top", u=1.0, v=0.0),
                Dirichlet("bottom", **still),
                Dirichlet("left", **still),
                Dirichlet("right", **still),
            ],
            reference=self._reference(),
            network={"width": 32, "depth": 3},
            points=3000,
            boundary_points=150,
            seconds=300.0,
        )

    def _reference(self) -> Callable[[Tensor, Tensor], dict[str, Any]]:
        @cache
        def solve() -> CavityFlow:
            return lid_driven_cavity(self.reynolds)

        return lambda x, y: dict(zip(("u", "v"), solve()(x, y)[:2], strict=True))
