"""The Hamilton-Jacobi-Bellman equation of linear-quadratic control, with terminal cost the least of several."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ..constraints import Dirichlet
from ..data import Sphere, Time
from ..errors import ConfigError
from ..pde import HamiltonJacobiBellman, PointFunction, trivial_predictors
from ..problem import Problem
from ..registry import register

_SLOPES = (0.5, 1.0, 1.5, 2.0)


@register("problem", "hjb")
@dataclass(frozen=True)
class HJBProblem:
    """``u_t + lap(u) - mu |grad u|^2 = 0`` in the ball of radius ``sqrt(dim)``, for t in [0, 1], with values at t = 1.

    Reference: ``-log(sum_j exp(-mu k_j . x + mu^2 |k_j|^2 (1 - t)) / 4) / mu``, a soft minimum of four linear costs, as
    ``exp(-mu u)`` solves the backward heat equation. The directions of ``k_j`` are drawn, their lengths 0.5 to 2.

    Ref: Han, Jentzen, E, *Solving high-dimensional partial differential equations using deep learning*, 2018, for the
    equation and the transformation, which there leaves a mean to be sampled.

    Attributes:
        dim: Number of spatial dimensions.
        mu: Weight of the control's cost.
        seed: Seed of the directions.
    """

    dim: int = 100
    mu: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dim < 2:
            raise ConfigError(f"problem.dim must be at least 2; got {self.dim}")
        if not self.mu > 0:
            raise ConfigError(f"problem.mu must be positive; got {self.mu}")

    def build(self) -> Problem:
        """Make the problem."""
        space = tuple(f"x{i + 1}" for i in range(self.dim))
        exact = PointFunction(self._solution(), (*space, "t"), name="u")
        return Problem(
            name="hjb",
            equation=HamiltonJacobiBellman(coords=(*space, "t"), mu=self.mu),
            domain=Sphere([0.0] * self.dim, math.sqrt(self.dim), coords=space) * Time(0.0, 1.0),
            conditions=[Dirichlet("final", u=exact), Dirichlet(u=exact)],
            reference=exact,
            network={"width": 64, "depth": 3},
            points=500,
            seconds=300.0,
            steps=10_000,
            dtype="float32",
            trivial=partial(trivial_predictors, exact.at, time=True, ball=False),
        )

    def _solution(self) -> Any:
        directions = torch.randn(4, self.dim, generator=torch.Generator().manual_seed(self.seed), dtype=torch.float64)
        slopes = torch.tensor(_SLOPES, dtype=torch.float64)
        k = slopes[:, None] * F.normalize(directions)
        speeds = (self.mu * slopes) ** 2
        rows, shifts = torch.cat([-self.mu * k, -speeds[:, None]], dim=1), speeds - math.log(4)

        def solution(z: Any) -> Any:
            weight, bias = (a.to(z.device, z.dtype) for a in (rows, shifts))
            return -torch.logsumexp(F.linear(z, weight, bias), dim=-1) / self.mu

        return solution
