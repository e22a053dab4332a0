"""The Black-Scholes-Barenblatt equation: options on many assets of uncertain volatility."""

from __future__ import annotations

import torch

from ..typing import Float, Tensor
from .calculus import advect, dt, lap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["BlackScholesBarenblatt"]


class BlackScholesBarenblatt(Equation):
    """``v_t + sigma^2 / 2 sum_i x_i^2 v_ii + r (sum_i x_i v_i - v) = 0``, with terminal values.

    The equation of convex payoffs, for which the largest volatility is the worst. Recorded in a few expressions,
    whatever the number of assets: the drift is one derivative, along the prices, and the sum of second derivatives goes
    along directions scaled by the prices, all axes or those that an estimator draws.

    Args:
        coords: Prices, any number of them, and ``t``.
        rate: Riskless interest r, in 1 / time.
        sigma: Volatility, in 1 / sqrt(time).

    Ref: Raissi, *Forward-backward stochastic neural networks: deep learning of high-dimensional partial differential
    equations*, 2018; Avellaneda, Levy, Paras, *Pricing and hedging derivative securities in markets with
    uncertain volatilities*, 1995.

    >>> print(BlackScholesBarenblatt(coords=("x", "t")).record().describe().splitlines()[0])
    residual: v_t + 0.5 sigma^2 sum_i square_i v_ii + rate (sum_i prices_i v_i - v) = 0
    """

    fields = ("v",)
    coords: tuple[str, ...] = ("x", "y", "t")
    rate: Coefficient = 0.05
    sigma: Coefficient = 0.4

    def residual(self, v: Expression, p: Parameters) -> Expression:
        """``v_t + sigma^2 / 2 sum_i x_i^2 v_ii + r (sum_i x_i v_i - v)``."""
        spread, growth = lap(v, torch.square, positive=True), advect(prices, v)
        return dt(v) + 0.5 * p.sigma**2 * spread + p.rate * (growth - v)


def prices(x: Float[Tensor, "n p"]) -> Float[Tensor, "n p"]:
    """The coordinates themselves."""
    return x
