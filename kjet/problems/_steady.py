"""Steady problems on the unit ball of any dimension."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..constraints import Dirichlet
from ..pde import Equation, PointFunction, trivial_predictors
from ..problem import Problem
from ..typing import Tensor
from ._ball import BallOptions


def steady(
    options: BallOptions, name: str, equation: Callable[..., Equation], reaction: Callable[[Tensor], Any]
) -> Problem:
    """Make ``lap(u) + reaction(u) + f = 0`` with ``u = 0`` on the sphere, which the suggested ansatz has exactly.

    ``lap((1 - |x|^2) c) = -2 d c``: values of the suggested network are in units of the source over 2 d.
    """
    solution, coords = options.solution(), options.coords

    def source(x: Tensor) -> Tensor:
        u, laplacian = solution.laplacians(x)
        return -(laplacian + reaction(u))

    return Problem(
        equation=equation(coords=coords, source=PointFunction(source, coords, name="f", taylor=False)),
        domain=options.ball(),
        conditions=[Dirichlet(u=0.0)],
        reference=PointFunction(solution.value, coords, name="u"),
        constraint="hard",
        trivial=partial(trivial_predictors, solution.value),
        **options.sizes(name, output_scale=options.size_of(source) / (2 * options.dim)),
    )
