"""Parabolic problems on the unit ball of any dimension."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ..constraints import Dirichlet, Initial
from ..data import Time
from ..pde import Equation, PointFunction, trivial_predictors
from ..problem import Problem
from ..typing import Tensor
from ._ball import BallOptions


@dataclass(frozen=True)
class ParabolicOptions(BallOptions):
    """Options of a parabolic problem.

    Attributes:
        end: Last time.
    """

    end: float = 0.3


def parabolic(
    options: ParabolicOptions, name: str, equation: Callable[..., Equation], reaction: Callable[[Tensor], Any]
) -> Problem:
    """Make ``u_t = lap(u) + reaction(u) + f`` with ``u = exp(-t) u_0(x)``, and ``u_0`` the solution on the ball."""
    solution, d = options.solution(), options.dim
    coords = (*options.coords, "t")

    def reference(z: Any) -> Any:
        return torch.exp(-z[..., d]) * solution.value(z[..., :d])

    def source(z: Tensor) -> Tensor:
        decay = torch.exp(-z[..., d])
        u, laplacian = (decay * value for value in solution.laplacians(z[..., :d]))
        return -(u + laplacian + reaction(u))

    return Problem(
        equation=equation(coords=coords, source=PointFunction(source, coords, name="f", taylor=False)),
        domain=options.ball() * Time(0.0, options.end),
        conditions=[Initial(u=PointFunction(solution.value, options.coords, name="u0")), Dirichlet(u=0.0)],
        reference=PointFunction(reference, coords, name="u"),
        condition_weight=20.0,
        trivial=partial(trivial_predictors, reference, time=True),
        **options.sizes(name, output_scale=options.size_of(solution.value)),
    )
