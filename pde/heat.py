"""The heat equation."""

from __future__ import annotations

from .calculus import diffusion, dt, grad
from .equation import Coefficient, Equation, Parameters
from .expression import Expression, Vector

__all__ = ["Heat"]


class Heat(Equation):
    """``u_t = div(a grad u) + f``: diffusion of heat or of a substance.

    Args:
        coords: Spatial coordinates, any number of them, and ``t``.
        diffusivity: a, in length^2 / time; a number, or a positive function of the coordinates.
        source: Heat that is fed in, f, in units of u / time.

    Ref: Evans, *Partial Differential Equations*, 2nd ed., 2010, section 2.3.

    >>> print(Heat().record().describe())
    residual: u_t - diffusivity u_xx - source = 0
    2 derivatives from 4 channels, order 2
    order 1: 2 kept
    order 2: 1 kept
    directions: (1, 0), (0, 1)
    """

    fields = ("u",)
    coords: tuple[str, ...] = ("x", "t")
    diffusivity: Coefficient = 1.0
    source: Coefficient = 0.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t - div(a grad u) - f``."""
        return dt(u) - diffusion(p.diffusivity, u) - p.source

    def flux(self, u: Expression, p: Parameters, normal: Vector) -> Expression:
        """``a du/dn``, which is continuous across an interface."""
        return p.diffusivity * (grad(u) @ normal)  # type: ignore[no-any-return]
