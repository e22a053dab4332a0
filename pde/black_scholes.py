"""The Black-Scholes equation."""

from __future__ import annotations

from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["BlackScholes"]


class BlackScholes(Equation):
    """``v_t + sigma^2 s^2 v_ss / 2 + r s v_s - r v = 0``: value v of an option on an asset of price s at time t.

    Args:
        rate: Riskless interest r, in 1 / time.
        sigma: Volatility, in 1 / sqrt(time).

    Ref: Black, Scholes, *The pricing of options and corporate liabilities*, 1973, eq. (7).

    >>> print(BlackScholes().record().describe())
    residual: v_t + 0.5 (sigma s)^2 v_ss + rate s v_s - rate v = 0
    4 derivatives from 4 channels, order 2
    order 1: 2 kept
    order 2: 1 kept
    directions: (1, 0), (0, 1)
    """

    fields, coords = ("v",), ("s", "t")
    rate: Coefficient = 0.05
    sigma: Coefficient = 0.2

    def residual(self, v: Expression, p: Parameters) -> Expression:
        """``v_t + sigma^2 s^2 v_ss / 2 + r s v_s - r v``."""
        return v.t + 0.5 * (p.sigma * p.s) ** 2 * v.ss + p.rate * p.s * v.s - p.rate * v
