"""Fronts of the Burgers equation for a range of viscosities, in one network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet, Initial
from ..data import Interval, Parameters, Time
from ..errors import ConfigError
from ..pde import Burgers
from ..problem import Problem
from ..registry import register


@register("problem", "burgers_parametric")
@dataclass(frozen=True)
class BurgersParametricProblem:
    """``u_t + u u_x = nu u_xx`` on [-1, 1] x [0, 1] for all viscosities between `low` and `high`.

    The viscosity is a coordinate without derivatives. Reference: ``(1 - tanh((x + 1/4 - t/2) / (4 nu))) / 2``, by the
    Cole-Hopf transformation of two exponentials: a front whose width is proportional to nu.

    Ref: Whitham, *Linear and nonlinear waves*, 1974.

    Attributes:
        low: Smallest viscosity.
        high: Largest viscosity.
    """

    low: float = 0.02
    high: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise ConfigError(f"problem.low and problem.high must satisfy 0 < low < high; got {self.low}, {self.high}")

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="burgers_parametric",
            equation=Burgers(),
            domain=Interval(-1.0, 1.0) * Time(0.0, 1.0) * Parameters(nu=(self.low, self.high)),
            conditions=[
                Initial(u=lambda x, nu: _front(x, 0.0, nu)),
                Dirichlet("left", u=lambda t, nu: _front(-1.0, t, nu)),
                Dirichlet("right", u=lambda t, nu: _front(1.0, t, nu)),
            ],
            reference=_front,
            network={"width": 24, "depth": 3},
            points=2000,
            boundary_points=200,
            seconds=120.0,
        )


def _front(x: Any, t: Any, nu: Any) -> Any:
    """Front from 1 on the left to 0 on the right."""
    return 0.5 * (1.0 - torch.tanh((x + 0.25 - 0.5 * t) / (4.0 * nu)))
