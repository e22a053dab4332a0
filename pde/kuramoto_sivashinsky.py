"""The Kuramoto-Sivashinsky equation."""

from __future__ import annotations

from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["KuramotoSivashinsky"]


class KuramotoSivashinsky(Equation):
    """``u_t + alpha u u_x + beta u_xx + gamma u_xxxx = 0``: flame fronts; chaotic on long intervals.

    Args:
        alpha: Steepening.
        beta: Anti-diffusion, in length^2 / time: it feeds long waves.
        gamma: Hyper-diffusion, in length^4 / time: it damps short ones.

    Ref: Kuramoto, *Diffusion-induced chaos in reaction systems*, 1978; Sivashinsky, *Nonlinear analysis of hydrodynamic
    instability in laminar flames*, 1977.

    >>> print(KuramotoSivashinsky().record().describe())
    residual: u_t + alpha u u_x + beta u_xx + gamma u_xxxx = 0
    5 derivatives from 6 channels, order 4
    order 1: 2 kept
    order 2: 1 kept
    order 3: 1 kept
    order 4: 1 kept
    directions: (1, 0), (0, 1)
    """

    fields, coords = ("u",), ("x", "t")
    alpha: Coefficient = 1.0
    beta: Coefficient = 1.0
    gamma: Coefficient = 1.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t + alpha u u_x + beta u_xx + gamma u_xxxx``."""
        return u.t + p.alpha * u * u.x + p.beta * u.xx + p.gamma * u.xxxx
