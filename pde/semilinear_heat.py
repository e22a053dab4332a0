"""The semilinear heat equation of high-dimensional benchmarks."""

from __future__ import annotations

from .calculus import dt, lap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["SemilinearHeat"]


class SemilinearHeat(Equation):
    """``u_t = lap(u) + (1 - u^2) / (1 + u^2) + f``.

    Args:
        coords: Spatial coordinates, any number of them, and ``t``.
        source: f, in units of u / time.

    Ref: Shi, Hu, Lin, Kawaguchi, *Stochastic Taylor derivative estimator: efficient amortization for arbitrary
    differential operators*, 2024.

    >>> print(SemilinearHeat().record().describe().splitlines()[0])
    residual: u_t - u_xx - (1 - u^2) / (1 + u^2) - source = 0
    """

    fields = ("u",)
    coords: tuple[str, ...] = ("x", "t")
    source: Coefficient = 0.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t - lap(u) - (1 - u^2) / (1 + u^2) - f``."""
        return dt(u) - lap(u) - (1 - u**2) / (1 + u**2) - p.source
