"""A plate with seventeen holes that warm it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..constraints import Initial, Robin
from ..data import Rectangle, Time
from ..data.solvers import CellMesh, FemField, heat_fem
from ..pde import Heat
from ..problem import Problem
from ..registry import register
from ._computed import solved_once, without_holes

_LARGE = [(x, y, 1.0) for x in (-4.0, 4.0) for y in (-9.0, -3.0, 3.0, 9.0)] + [(0.0, y, 1.0) for y in (-6.0, 0.0, 6.0)]
_SMALL = [(x, y, 0.4) for x in (-3.2, 3.2) for y in (-6.0, 0.0, 6.0)]
_HOLES = (*_LARGE, *_SMALL)
_X, _Y = (-8.0, -2.0, 2.0, 8.0), (-12.0, -7.5, -4.5, -1.5, 1.5, 4.5, 7.5, 12.0)
_SIDES = ("left", "right", "bottom", "top")


@register("problem", "heat_complex")
@dataclass(frozen=True)
class HeatComplexProblem:
    """``u_t = lap(u)`` in [-8, 8] x [-12, 12] without 17 disks, t in [0, 3], from u = 0, with exchange of heat.

    ``n . grad u + u = g`` with g = 5 on the eleven large circles, 1 on the six small ones and 0.1 on the rectangle.

    Reference: finite elements of degree 3, Runge-Kutta in time, whose steps grow from the sudden start.

    Ref: Hao et al., *PINNacle: a comprehensive benchmark of physics-informed neural networks for solving PDEs*, 2023;
    after the class of heat equations on a complex geometry there.
    """

    def build(self) -> Problem:
        """Make the problem."""
        plate = without_holes(Rectangle(x=(-8.0, 8.0), y=(-12.0, 12.0)), _HOLES)
        exchange = {**_given(), **dict.fromkeys(_SIDES, 0.1)}
        return Problem(
            name="heat_complex",
            equation=Heat(coords=("x", "y", "t")),
            domain=plate * Time(0.0, 3.0),
            conditions=[Initial(u=0.0), *(Robin(part, u=(1.0, 1.0, g)) for part, g in exchange.items())],
            reference=solved_once(_solve),
            network={"width": 32, "depth": 3, "input_scale": 4.0},
            points=1500,
            boundary_points=50,
            condition_weight=10.0,
            seconds=180.0,
        )


def _given() -> dict[str, float]:
    return {f"circle{i}": 5.0 if i < len(_LARGE) else 1.0 for i in range(len(_HOLES))}


def _solve() -> FemField:
    growing = 3.0 * np.concatenate([[0.0], *(2.0**k * (1 + np.arange(16) / 16) for k in range(-12, 0)), [1.0]])
    exchange = {part: (1.0, g) for part, g in {**_given(), "outside": 0.1}.items()}
    return heat_fem(CellMesh(_X, _Y, holes=_HOLES, n=6), growing, robin=exchange, degree=3)
