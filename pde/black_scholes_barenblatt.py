"""The Black-Scholes-Barenblatt equation: options on many assets of uncertain volatility."""

from __future__ import annotations

from ._sums import balanced
from .calculus import d, dt
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["BlackScholesBarenblatt"]


class BlackScholesBarenblatt(Equation):
    """``v_t + sigma^2 / 2 sum_i x_i^2 v_ii + r (sum_i x_i v_i - v) = 0``, with terminal values.

    The equation of convex payoffs, for which the largest volatility is the worst. The coefficients ``x_i^2`` vary, so
    that the sum is taken term by term: O(d) expressions, and one second derivative for each coordinate.

    Args:
        coords: Prices, any number of them, and ``t``.
        rate: Riskless interest r, in 1 / time.
        sigma: Volatility, in 1 / sqrt(time).

    Ref: Raissi, *Forward-backward stochastic neural networks: deep learning of high-dimensional partial differential
    equations*, 2018; Avellaneda, Levy, Paras, *Pricing and hedging derivative securities in markets with
    uncertain volatilities*, 1995.

    >>> print(BlackScholesBarenblatt(coords=("x", "t")).record().describe().splitlines()[0])
    residual: v_t + 0.5 sigma^2 x^2 v_xx + rate (x v_x - v) = 0
    """

    fields = ("v",)
    coords: tuple[str, ...] = ("x", "y", "t")
    rate: Coefficient = 0.05
    sigma: Coefficient = 0.4

    def residual(self, v: Expression, p: Parameters) -> Expression:
        """``v_t + sigma^2 / 2 sum_i x_i^2 v_ii + r (sum_i x_i v_i - v)``."""
        space = v._frame.space
        spread = balanced([getattr(p, name) ** 2 * d(v, name, name) for name in space])
        growth = balanced([getattr(p, name) * d(v, name) for name in space])
        return dt(v) + 0.5 * p.sigma**2 * spread + p.rate * (growth - v)
