"""Find the diffusivity of a rod from noisy temperatures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet, Initial, Observations
from ..data import Interval, Time
from ..errors import ConfigError
from ..pde import Heat, Unknown
from ..problem import Problem
from ..registry import register


@register("problem", "heat_inverse")
@dataclass(frozen=True)
class HeatInverseProblem:
    """``u_t = a u_xx`` on [0, 1] x [0, 1] with unknown a, from temperatures measured at random points.

    Reference: ``sin(pi x) exp(-a pi^2 t) + sin(2 pi x) exp(-4 a pi^2 t) / 2``.

    Attributes:
        diffusivity: The value to be found.
        guess: First guess.
        noise: Standard deviation of the measurements, relative to that of the temperature.
        sensors: Number of measurements.
        data_seed: Seed of their places and of the noise.
    """

    diffusivity: float = 0.3
    guess: float = 1.0
    noise: float = 0.01
    sensors: int = 200
    data_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("diffusivity", "guess", "sensors"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"problem.{name} must be positive; got {getattr(self, name)}")
        if self.noise < 0:
            raise ConfigError(f"problem.noise must not be negative; got {self.noise}")

    def build(self) -> Problem:
        """Make the problem."""
        generator = torch.Generator().manual_seed(self.data_seed)
        x, t = torch.rand(2, self.sensors, generator=generator, dtype=torch.float64)
        exact = self._solution(x, t)
        noise = torch.randn(self.sensors, generator=generator, dtype=torch.float64)
        measured = exact + self.noise * exact.std() * noise
        return Problem(
            name="heat_inverse",
            equation=Heat(diffusivity=Unknown(self.guess, low=0.0)),
            domain=Interval(0.0, 1.0) * Time(0.0, 1.0),
            conditions=[
                Initial(u=lambda x: torch.sin(math.pi * x) + 0.5 * torch.sin(2 * math.pi * x)),
                Dirichlet("left", u=0.0),
                Dirichlet("right", u=0.0),
                Observations({"x": x, "t": t}, u=measured),
            ],
            reference=self._solution,
            network={"width": 24, "depth": 3},
            points=1000,
            boundary_points=100,
            seconds=60.0,
        )

    def _solution(self, x: Any, t: Any) -> Any:
        decay = self.diffusivity * math.pi**2 * t
        return torch.sin(math.pi * x) * torch.exp(-decay) + 0.5 * torch.sin(2 * math.pi * x) * torch.exp(-4 * decay)
