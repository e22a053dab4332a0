"""Kadomtsev-Petviashvili equation: one line soliton, or two that cross."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..constraints import Dirichlet, Initial
from ..data import Rectangle, Time
from ..errors import ConfigError
from ..pde import HirotaSolitons, KadomtsevPetviashvili
from ..problem import Problem
from ..registry import register
from ._edges import slope_of

_WAVES = ((1.5, 0.3), (0.7, -0.2))  # (k, l): wave vectors


@register("problem", "kp")
@dataclass(frozen=True)
class KPProblem:
    """``(u_t + 6 u u_x + u_xxx)_x + 3 u_yy = 0`` on [-6, 6]^2 x [0, 1].

    Values of the reference are given at the start and on the boundary, and its slope at both ends in x.

    Reference: ``2 (log f)_xx``, ``f = 1 + e^a + e^b + A e^(a + b)``, ``a = k x + l y + w t``,
    ``k w + k^4 + 3 l^2 = 0``; one line soliton is ``k^2 / 2 sech^2(a / 2)``.

    Ref: Satsuma, *N-soliton solution of the two-dimensional Korteweg-deVries equation*, 1976.

    Attributes:
        solitons: 1 or 2.
    """

    solitons: int = 2

    def __post_init__(self) -> None:
        if self.solitons not in (1, 2):
            raise ConfigError(f"problem.solitons must be 1 or 2; got {self.solitons}")

    def build(self) -> Problem:
        """Make the problem."""
        vectors = [(k, m, -(k**4 + 3 * m**2) / k) for k, m in _WAVES[: self.solitons]]
        waves = HirotaSolitons(lambda k, m, w: k * w + k**4 + 3 * m**2, vectors, [0.0] * self.solitons)

        def exact(x: Any, y: Any, t: Any) -> Any:
            return waves.wave(x, y, t)

        slopes = [slope_of(part, "x", exact) for part in ("left", "right")]
        return Problem(
            name="kp",
            equation=KadomtsevPetviashvili(),
            domain=Rectangle(x=(-6.0, 6.0), y=(-6.0, 6.0)) * Time(0.0, 1.0),
            conditions=[Initial(u=exact), Dirichlet(u=exact), *slopes],
            reference=exact,
            condition_weight=10.0,
            seconds=300.0,
        )
