"""A travelling front of the Kuramoto-Sivashinsky equation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet, Initial
from ..data import Interval, Time
from ..pde import KuramotoSivashinsky
from ..problem import Problem
from ..registry import register
from ._edges import slope_of


@register("problem", "kuramoto_sivashinsky")
@dataclass(frozen=True)
class KuramotoSivashinskyProblem:
    """``u_t + u u_x + u_xx + u_xxxx = 0`` on [-10, 10] x [0, 4], with values and slopes of the reference at both ends.

    Reference: the travelling front ``c + 15/19 sqrt(11/19) (11 h^3 - 9 h)``, ``h = tanh(k (x - c t))``,
    ``k = sqrt(11/19) / 2``.

    Ref: Kudryashov, *Exact soliton solutions of the generalized evolution equation of wave dynamics*, 1988.

    Attributes:
        speed: c.
    """

    speed: float = 1.0

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="kuramoto_sivashinsky",
            equation=KuramotoSivashinsky(),
            domain=Interval(-10.0, 10.0) * Time(0.0, 4.0),
            conditions=[
                Initial(u=self._front),
                Dirichlet("left", u=self._front),
                Dirichlet("right", u=self._front),
                slope_of("left", "x", self._front),
                slope_of("right", "x", self._front),
            ],
            reference=self._front,
            condition_weight=10.0,
        )

    def _front(self, x: Any, t: Any) -> Any:
        root = math.sqrt(11 / 19)
        h = torch.tanh(0.5 * root * (x - self.speed * t))
        return self.speed + 15 / 19 * root * (11 * h**3 - 9 * h)
