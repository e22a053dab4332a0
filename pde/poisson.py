"""Poisson's equation, with a constant or varying coefficient."""

from __future__ import annotations

from .calculus import diffusion, grad
from .equation import Coefficient, Equation, Parameters
from .expression import Expression, Vector

__all__ = ["Poisson"]


class Poisson(Equation):
    """``-div(a grad u) = f``: the potential of a source, steady heat, Darcy flow; Laplace's equation with ``f = 0``.

    Args:
        coords: Spatial coordinates, any number of them.
        coefficient: Conductivity or permeability a; a number, or a positive function of the coordinates.
        source: Source density f, in units of ``a u / length^2``.

    Ref: Evans, *Partial Differential Equations*, 2nd ed., 2010, section 2.2.

    >>> print(Poisson(source=lambda x, y: x * y).record().describe())
    residual: -coefficient (u_xx + u_yy) - x y = 0
    1 derivatives from 4 channels, order 2
    order 1: 2 kept
    order 2: 0 kept, 1 sums over 2 directions
    directions: (1, 0), (0, 1)
    """

    fields = ("u",)
    coords: tuple[str, ...] = ("x", "y")
    coefficient: Coefficient = 1.0
    source: Coefficient = 0.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``-div(a grad u) - f``."""
        return -diffusion(p.coefficient, u) - p.source

    def flux(self, u: Expression, p: Parameters, normal: Vector) -> Expression:
        """``a du/dn``, which is continuous across an interface."""
        return p.coefficient * (grad(u) @ normal)  # type: ignore[no-any-return]
