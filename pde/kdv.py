"""The Korteweg-de Vries equation and its relatives of higher power and dimension."""

from __future__ import annotations

from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["GeneralizedKdV", "KdV", "KdV2D"]


class KdV(Equation):
    """``u_t + a u u_x + b u_xxx = 0``: long waves on shallow water.

    Args:
        a: Steepening.
        b: Dispersion, in length^3 / time.

    Ref: Korteweg, de Vries, *On the change of form of long waves*, 1895; defaults of Raissi, Perdikaris, Karniadakis,
    *Physics-informed neural networks*, 2019, section 4.2.1.

    >>> print(KdV().record().describe())
    residual: u_t + a u u_x + b u_xxx = 0
    4 derivatives from 5 channels, order 3
    order 1: 2 kept
    order 2: 1 kept
    order 3: 1 kept
    directions: (1, 0), (0, 1)
    """

    fields, coords = ("u",), ("x", "t")
    a: Coefficient = 1.0
    b: Coefficient = 0.0025

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t + a u u_x + b u_xxx``."""
        return u.t + p.a * u * u.x + p.b * u.xxx


class GeneralizedKdV(Equation):
    """``u_t + a u^p u_x + b u_xxx = 0``: p = 1 is :class:`KdV`, p = 2 the modified equation.

    Solitons are stable for p < 4.

    Args:
        a: Steepening.
        b: Dispersion, in length^3 / time.
        power: p. With one that is no whole number u must stay positive.

    Ref: Pego, Weinstein, *Eigenvalues, and instabilities of solitary waves*, 1992, section 1.

    >>> print(GeneralizedKdV().record().describe().splitlines()[0])
    residual: u_t + a u^power u_x + b u_xxx = 0
    """

    fields, coords = ("u",), ("x", "t")
    a: Coefficient = 1.0
    b: Coefficient = 1.0
    power: Coefficient = 2.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t + a u^p u_x + b u_xxx``."""
        return u.t + p.a * u**p.power * u.x + p.b * u.xxx


class KdV2D(Equation):
    """``u_ty + u_xxxy + 3 (u_x u_y)_x - u_xx + 2 u_yy = 0``: an extension of :class:`KdV` to two dimensions.

    For the potential: with ``u = 2 (log f)_x`` it is ``(D_y D_t + D_x^3 D_y - D_x^2 + 2 D_y^2) f . f = 0`` in Hirota's
    derivatives.

    Ref: Shi, Hu, Lin, Kawaguchi, *Stochastic Taylor derivative estimator: efficient amortization for arbitrary
    differential operators*, 2024, for the equation.

    >>> print(KdV2D().record().describe().splitlines()[0])
    residual: u_yt + u_xxxy + 3 (u_xx u_y + u_x u_xy) - u_xx + 2 u_yy = 0
    """

    fields, coords = ("u",), ("x", "y", "t")

    def residual(self, u: Expression) -> Expression:
        """``u_ty + u_xxxy + 3 (u_x u_y)_x - u_xx + 2 u_yy``."""
        return u.ty + u.xxxy + 3 * (u.x * u.y).x - u.xx + 2 * u.yy
