"""The viscous Burgers equation in one and two dimensions."""

from __future__ import annotations

import math

from .calculus import lap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["Burgers", "Burgers2D"]


class Burgers(Equation):
    """``u_t + u u_x = nu u_xx``: steepening against viscosity.

    Args:
        nu: Viscosity, in length^2 / time.

    Ref: Basdevant et al., *Spectral and finite difference solutions of the Burgers equation*, 1986, eq. (2.1), for the
    default viscosity.

    >>> print(Burgers().record().describe())
    residual: u_t + u u_x - nu u_xx = 0
    4 derivatives from 4 channels, order 2
    order 1: 2 kept
    order 2: 1 kept
    directions: (1, 0), (0, 1)
    """

    fields, coords = ("u",), ("x", "t")
    nu: Coefficient = 0.01 / math.pi

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t + u u_x - nu u_xx``."""
        return u.t + u * u.x - p.nu * u.xx


class Burgers2D(Equation):
    """``w_t + (w . grad) w = nu lap(w)`` for the velocity ``w = (u, v)``.

    Args:
        nu: Viscosity, in length^2 / time.

    Ref: Fletcher, *Generating exact solutions of the two-dimensional Burgers equations*, 1983, eqs. (1), (2).

    >>> print(Burgers2D().record().describe())
    momentum_x: u_t + u u_x + v u_y - nu (u_xx + u_yy) = 0
    momentum_y: v_t + u v_x + v v_y - nu (v_xx + v_yy) = 0
    5 derivatives from 5 channels, order 2
    order 1: 3 kept
    order 2: 0 kept, 1 sums over 2 directions
    directions: (1, 0, 0), (0, 1, 0), (0, 0, 1)
    """

    fields, coords = ("u", "v"), ("x", "y", "t")
    nu: Coefficient = 0.01 / math.pi

    def residual(self, u: Expression, v: Expression, p: Parameters) -> dict[str, Expression]:
        """Two components of momentum."""
        return {
            "momentum_x": u.t + u * u.x + v * u.y - p.nu * lap(u),
            "momentum_y": v.t + u * v.x + v * v.y - p.nu * lap(v),
        }
