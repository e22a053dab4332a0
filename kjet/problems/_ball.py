"""What the problems on the unit ball of any dimension share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..data import Sphere
from ..errors import ConfigError
from ..pde import BallSolution, ball_solution
from ..typing import Tensor


@dataclass(frozen=True)
class BallOptions:
    """Options of a problem on the unit ball; see :func:`kjet.pde.ball_solution` for the exact solutions.

    Attributes:
        dim: Number of dimensions d.
        interaction: ``two_body``, ``three_body``, ``zero_mean`` or ``low_rank``.
        seed: Seed of the solution's coefficients; not that of training.
        law: Points by ``"radius"``, uniform on [0, 1], as published results have it, or spread evenly in ``"volume"``,
            which puts almost all of them within 1/d of the sphere, where ``1 - |x|^2`` loses digits in float32.
    """

    dim: int = 100
    interaction: str = "two_body"
    seed: int = 0
    law: str = "radius"

    def __post_init__(self) -> None:
        if self.dim < 2:
            raise ConfigError(f"problem.dim must be at least 2; got {self.dim}")

    @property
    def coords(self) -> tuple[str, ...]:
        """Names of the coordinates."""
        return tuple(f"x{i + 1}" for i in range(self.dim))

    def ball(self) -> Sphere:
        """Make the domain."""
        return Sphere([0.0] * self.dim, 1.0, coords=self.coords, law=self.law)

    def solution(self, power: int = 1) -> BallSolution:
        """Draw the exact solution."""
        return ball_solution(self.dim, self.interaction, seed=self.seed, power=power)

    def size_of(self, function: Callable[[Tensor], Any]) -> float:
        """Root mean square of a function of the points, of three digits: what is given says how large u will be."""
        count = max(4, min(256, 10**7 // self.dim))
        x = self.ball().interior(count, sampler="uniform", generator=torch.Generator().manual_seed(0)).x
        return float(f"{float(function(x).square().mean().sqrt()):.3g}") or 1.0

    def sizes(self, name: str, output_scale: float = 1.0) -> dict[str, Any]:
        """Name, and suggestions for training."""
        # coordinates are of size 1 / sqrt(d): some curvature to begin with, but steps of Adam in the d weights of a
        # unit, which go along with sqrt(d) times their rate, must not grow with d
        input_scale = min(self.dim**0.25, (1000 / self.dim) ** 0.5)
        network = {"width": 128, "depth": 3, "input_scale": input_scale, "output_scale": output_scale}
        sizes = {"network": network, "points": 100, "boundary_points": 100}
        return {"name": name, **sizes, "seconds": 300.0, "steps": 10_000, "dtype": "float32"}
