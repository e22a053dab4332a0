"""Find where and how much the conductivity of a plate rises, from noisy temperatures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet, Observations
from ..data import Rectangle
from ..errors import ConfigError
from ..pde import Poisson, Unknown, manufactured
from ..problem import Problem
from ..registry import register
from ._measurements import MeasurementOptions


@register("problem", "poisson_inverse")
@dataclass(frozen=True)
class PoissonInverseProblem(MeasurementOptions):
    """``-div(a grad u) = f`` on the unit square, u = 0 on its boundary, with four unknowns in the coefficient.

    ``a = background + rise exp(-20 |x - c|^2)``; background, rise and the centre c = (center_x, center_y) are to be
    found, all between bounds, from values of u at random points.

    Reference: ``u = sin(pi x) sin(pi y)``, of which f is made.

    Ref: Hao et al., *PINNacle: a comprehensive benchmark of physics-informed neural networks for solving PDEs*, 2023;
    after the class of inverse Poisson problems there, with parameters of our own.

    Attributes:
        background: Conductivity far from the centre.
        rise: How much larger it is in the centre.
        center_x: First coordinate of the centre.
        center_y: Second coordinate of the centre.
    """

    background: float = 0.5
    rise: float = 2.0
    center_x: float = 0.6
    center_y: float = 0.35

    def build(self) -> Problem:
        """Make the problem."""
        self.check_positive("background", "rise")
        for name in ("center_x", "center_y"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"problem.{name} must lie between 0 and 1; got {getattr(self, name)}")
        truth = {name: getattr(self, name) for name in ("background", "rise", "center_x", "center_y")}
        exact = Poisson(coefficient=lambda x, y: _coefficient(x, y, **truth))
        places = self.places(x=(0.0, 1.0), y=(0.0, 1.0))
        positive, between = Unknown(1.0, low=0.0, high=10.0), Unknown(0.5, low=0.0, high=1.0)
        return Problem(
            name="poisson_inverse",
            equation=Poisson(coefficient=_coefficient, source=manufactured(exact, {"u": _solution})["residual"]),
            domain=Rectangle(x=(0.0, 1.0), y=(0.0, 1.0)),
            conditions=[
                Dirichlet("boundary", u=0.0),
                Observations(places, **self.measured({"u": _solution(**places)})),
            ],
            parameters={"background": positive, "rise": positive, "center_x": between, "center_y": between},
            reference=_solution,
            network={"width": 24, "depth": 3},
            points=1000,
            boundary_points=200,
            condition_weight=10.0,
            seconds=60.0,
        )


def _coefficient(x: Any, y: Any, background: Any, rise: Any, center_x: Any, center_y: Any) -> Any:
    return background + rise * torch.exp(-20.0 * ((x - center_x) ** 2 + (y - center_y) ** 2))


def _solution(x: Any, y: Any) -> Any:
    return torch.sin(math.pi * x) * torch.sin(math.pi * y)
