"""The Black-Scholes-Barenblatt equation with a quadratic payoff."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ..constraints import Dirichlet
from ..data import Box, Time
from ..errors import ConfigError
from ..pde import BlackScholesBarenblatt, PointFunction, trivial_predictors
from ..problem import Problem
from ..registry import register


@register("problem", "black_scholes_barenblatt")
@dataclass(frozen=True)
class BlackScholesBarenblattProblem:
    """``v_t + sigma^2 / 2 sum_i x_i^2 v_ii + r (x . grad v - v) = 0`` for prices in [0.5, 1.5] and t in [0, 1].

    Terminal values are the mean of ``x_i^2``, those at the faces are the reference's.

    Reference: ``exp((r + sigma^2) (1 - t)) |x|^2 / dim``.

    Ref: Raissi, *Forward-backward stochastic neural networks: deep learning of high-dimensional partial differential
    equations*, 2018, where the payoff is ``|x|^2``.

    Attributes:
        dim: Number of assets.
        rate: Interest r.
        sigma: Volatility.
    """

    dim: int = 100
    rate: float = 0.05
    sigma: float = 0.4

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ConfigError(f"problem.dim must be at least 1; got {self.dim}")

    def build(self) -> Problem:
        """Make the problem."""
        space = tuple(f"x{i + 1}" for i in range(self.dim))
        coords = (*space, "t")
        exact = PointFunction(self._solution, coords, name="v")
        return Problem(
            name="black_scholes_barenblatt",
            equation=BlackScholesBarenblatt(coords=coords, rate=self.rate, sigma=self.sigma),
            domain=Box([(0.5, 1.5)] * self.dim, coords=space) * Time(0.0, 1.0),
            conditions=[Dirichlet("final", v=exact), Dirichlet(v=exact)],
            reference=exact,
            network={"width": 64, "depth": 3},
            points=500,
            boundary_points=200,
            seconds=300.0,
            steps=10_000,
            dtype="float32",
            trivial=partial(trivial_predictors, self._solution, time=True, ball=False),
        )

    def _solution(self, z: Any) -> Any:
        growth = torch.exp((self.rate + self.sigma**2) * (1.0 - z[..., self.dim]))
        x = z[..., : self.dim]
        return growth * torch.sum(x * x, dim=-1) / self.dim
