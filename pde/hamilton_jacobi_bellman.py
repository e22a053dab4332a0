"""The Hamilton-Jacobi-Bellman equation of linear-quadratic control."""

from __future__ import annotations

from .calculus import dt, grad_squared, lap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["HamiltonJacobiBellman"]


class HamiltonJacobiBellman(Equation):
    """``u_t + lap(u) - mu |grad u|^2 = 0``: least expected cost of steering a random walk, with terminal values.

    ``exp(-mu u)`` solves the backward heat equation (Cole, Hopf): ``u(x, t) = -log E[exp(-mu g(x + W))] / mu`` with W
    normal of variance ``2 (T - t)`` in each coordinate and terminal cost g.

    The residual is one sum over the coordinates: exactly, ``|grad u|^2`` takes the first derivatives that the Laplacian
    carries. Where an estimator replaces the Laplacian by random directions v with weights w,
    ``sum_r w_r E[v_r v_r^T] = 1``, the same directions give the unbiased estimate ``sum_r w_r (v_r . grad u)^2``, so
    that the cost does not grow with the dimension beyond that of the network. As with the Laplacian, the square of the
    residual is then biased by its variance, unless two independent estimates are multiplied (``estimator.unbiased``).

    Args:
        coords: Spatial coordinates, any number of them, and ``t``.
        mu: Weight of the control's cost, in 1 / u.

    Ref: Han, Jentzen, E, *Solving high-dimensional partial differential equations using deep learning*, 2018.

    >>> print(HamiltonJacobiBellman(coords=("x", "y", "t")).record().describe().splitlines()[0])
    residual: u_t + (u_xx + u_yy) - mu |grad u|^2 = 0
    """

    fields = ("u",)
    coords: tuple[str, ...] = ("x", "t")
    mu: Coefficient = 1.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t + lap(u) - mu |grad u|^2``."""
        return dt(u) + lap(u) - p.mu * grad_squared(u)
