"""The eikonal equation with viscosity."""

from __future__ import annotations

from .calculus import grad_squared, lap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["Eikonal"]


class Eikonal(Equation):
    """``|grad(u)|^2 - eps lap(u) = 1 / c^2``: travel times, or for c = 1 distances, rounded where fronts meet.

    Without viscosity many functions with kinks solve the equation almost everywhere; a little of it picks the travel
    time to the boundary.

    Args:
        coords: Spatial coordinates, any number of them.
        viscosity: eps, in the unit of u.
        speed: c, in length / unit of u; a number, or a function of the coordinates.

    Ref: Crandall, Lions, *Viscosity solutions of Hamilton-Jacobi equations*, 1983.

    >>> print(Eikonal().record().describe())
    residual: |grad u|^2 - viscosity (u_xx + u_yy) - 1 / speed^2 = 0
    2 derivatives from 4 channels, order 2
    order 1: 2 kept
    order 2: 0 kept, 1 sums over 2 directions
    directions: (1, 0), (0, 1)
    """

    fields = ("u",)
    coords: tuple[str, ...] = ("x", "y")
    viscosity: Coefficient = 0.1
    speed: Coefficient = 1.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``|grad(u)|^2 - eps lap(u) - 1 / c^2``."""
        return grad_squared(u) - p.viscosity * lap(u) - 1 / p.speed**2
