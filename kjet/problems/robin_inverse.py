"""Find how a plate exchanges heat with its surroundings, from noisy temperatures inside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet, Neumann, Observations, Robin
from ..data import Rectangle
from ..pde import Poisson, Unknown
from ..problem import Problem
from ..registry import register
from ._measurements import MeasurementOptions


@register("problem", "robin_inverse")
@dataclass(frozen=True)
class RobinInverseProblem(MeasurementOptions):
    """``lap(u) = 0`` on the unit square with ``u_x = transfer (ambient - u)`` at the right; both are to be found.

    ``u = 1 + cos(pi y)`` at the left; bottom and top are insulated. Both unknowns have bounds.

    Reference: ``1 - s x + b(x) cos(pi y)`` with ``s = transfer (1 - ambient) / (1 + transfer)`` and b the combination
    of cosh and sinh of ``pi (1 - x)`` that fits.

    Ref: Beck, Blackwell, St. Clair, *Inverse Heat Conduction*, 1985, for the question.

    Attributes:
        transfer: Coefficient of heat transfer, over the conductivity.
        ambient: Temperature of the surroundings.
    """

    transfer: float = 2.5
    ambient: float = 0.4

    def build(self) -> Problem:
        """Make the problem."""
        self.check_positive("transfer")
        places = self.places(x=(0.0, 1.0), y=(0.0, 1.0))
        return Problem(
            name="robin_inverse",
            equation=Poisson(),
            domain=Rectangle(x=(0.0, 1.0), y=(0.0, 1.0)),
            conditions=[
                Dirichlet("left", u=lambda y: 1 + torch.cos(math.pi * y)),
                Neumann("bottom", u=0.0),
                Neumann("top", u=0.0),
                Robin("right", u=(lambda transfer: transfer, 1.0, lambda transfer, ambient: transfer * ambient)),
                Observations(places, **self.measured({"u": self._solution(**places)})),
            ],
            parameters={"transfer": Unknown(1.0, low=0.0, high=100.0), "ambient": Unknown(0.0, low=-5.0, high=5.0)},
            reference=self._solution,
            network={"width": 24, "depth": 3},
            points=600,
            boundary_points=100,
            condition_weight=10.0,
            seconds=60.0,
        )

    def _solution(self, x: Any, y: Any) -> Any:
        h, rest = self.transfer, math.pi * (1 - x)
        scale = math.pi * math.cosh(math.pi) + h * math.sinh(math.pi)
        wave = (math.pi * torch.cosh(rest) + h * torch.sinh(rest)) / scale
        return 1 - h * (1 - self.ambient) / (1 + h) * x + wave * torch.cos(math.pi * y)
