"""Korteweg-de Vries equation: one soliton, or a fast one that overtakes a slow one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..constraints import Dirichlet, Initial
from ..data import Interval, Time
from ..errors import ConfigError
from ..pde import HirotaSolitons, KdV
from ..problem import Problem
from ..registry import register
from ._edges import slope_of


@register("problem", "kdv_soliton")
@dataclass(frozen=True)
class KdVSolitonProblem:
    """``u_t + 6 u u_x + u_xxx = 0`` on [-10, 10] x [0, 4], with values and one slope of the reference at the ends.

    Reference: ``2 (log f)_xx``, ``f = 1 + e^a + e^b + A e^(a + b)``, ``a = k x - k^3 t + s``; one soliton is
    ``k^2 / 2 sech^2(a / 2)``.

    Ref: Hirota, *Exact solution of the Korteweg-de Vries equation for multiple collisions of solitons*, 1971.

    Attributes:
        solitons: 1 or 2.
        k1: Wave number of the fast one, whose speed is its square; it starts at x = -6.
        k2: Wave number of the slow one, which starts at x = -1.
    """

    solitons: int = 2
    k1: float = 1.6
    k2: float = 1.0

    def __post_init__(self) -> None:
        if self.solitons not in (1, 2):
            raise ConfigError(f"problem.solitons must be 1 or 2; got {self.solitons}")
        if not self.k1 > self.k2 > 0:
            raise ConfigError(f"problem.k1 must exceed problem.k2, and that zero; got {self.k1} and {self.k2}")

    def build(self) -> Problem:
        """Make the problem."""
        # the fast one, behind, is at the left of both phases; the slow one, ahead, where the fast phase is large
        delay = 2 * math.log((self.k1 + self.k2) / (self.k1 - self.k2))
        chosen = ((self.k1, 6.0 * self.k1), (self.k2, self.k2 + delay))[: self.solitons]
        waves = HirotaSolitons(lambda k, w: k * w + k**4, [(k, -(k**3)) for k, _ in chosen], [s for _, s in chosen])

        def exact(x: Any, t: Any) -> Any:
            return waves.wave(x, t)

        return Problem(
            name="kdv_soliton",
            equation=KdV(a=6.0, b=1.0),
            domain=Interval(-10.0, 10.0) * Time(0.0, 4.0),
            conditions=[
                Initial(u=exact),
                Dirichlet("left", u=exact),
                Dirichlet("right", u=exact),
                slope_of("right", "x", exact),
            ],
            reference=exact,
            condition_weight=10.0,
        )
