"""The two-dimensional Korteweg-de Vries equation: one kink, or two that cross."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..constraints import Dirichlet, Initial
from ..data import Rectangle, Time
from ..errors import ConfigError
from ..pde import HirotaSolitons, KdV2D
from ..problem import Problem
from ..registry import register
from ._edges import slope_of

_WAVES = ((1.0, 1.2), (0.7, 0.5))  # (k, l): wave vectors


@register("problem", "kdv2d")
@dataclass(frozen=True)
class KdV2DProblem:
    """``u_ty + u_xxxy + 3 (u_x u_y)_x - u_xx + 2 u_yy = 0`` on [-6, 6]^2 x [0, 1].

    Values of the reference are given at the start and on the boundary, and its slope at both ends in x.

    Reference: ``2 (log f)_x``, ``f = 1 + e^a + e^b + A e^(a + b)``, ``a = k x + l y + w t``,
    ``l w + k^3 l - k^2 + 2 l^2 = 0``, from the bilinear form of the equation; one kink is ``k (1 + tanh(a / 2))``.

    Ref: Shi, Hu, Lin, Kawaguchi, *Stochastic Taylor derivative estimator: efficient amortization for arbitrary
    differential operators*, 2024, for the equation; Hirota, *The Direct Method in Soliton Theory*, 2004, for the
    method.

    Attributes:
        solitons: 1 or 2.
    """

    solitons: int = 2

    def __post_init__(self) -> None:
        if self.solitons not in (1, 2):
            raise ConfigError(f"problem.solitons must be 1 or 2; got {self.solitons}")

    def build(self) -> Problem:
        """Make the problem."""
        vectors = [(k, m, -(k**3 * m - k**2 + 2 * m**2) / m) for k, m in _WAVES[: self.solitons]]
        waves = HirotaSolitons(
            lambda k, m, w: m * w + k**3 * m - k**2 + 2 * m**2, vectors, [0.0] * self.solitons
        )  # fmt: skip

        def exact(x: Any, y: Any, t: Any) -> Any:
            return waves.slope(x, y, t)

        slopes = [slope_of(part, "x", exact) for part in ("left", "right")]
        return Problem(
            name="kdv2d",
            equation=KdV2D(),
            domain=Rectangle(x=(-6.0, 6.0), y=(-6.0, 6.0)) * Time(0.0, 1.0),
            conditions=[Initial(u=exact), Dirichlet(u=exact), *slopes],
            reference=exact,
            condition_weight=10.0,
            seconds=300.0,
        )
