"""The Helmholtz equation."""

from __future__ import annotations

from .calculus import lap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["Helmholtz"]


class Helmholtz(Equation):
    """``lap(u) + k^2 u = f``: waves of one frequency.

    Args:
        coords: Spatial coordinates, any number of them.
        wavenumber: k, in 1 / length; a number, or a function of the coordinates.
        source: f, in units of u / length^2.

    Ref: Colton, Kress, *Inverse Acoustic and Electromagnetic Scattering Theory*, 4th ed., 2019, eq. (2.6).

    >>> print(Helmholtz().record().describe())
    residual: (u_xx + u_yy) + wavenumber^2 u - source = 0
    2 derivatives from 4 channels, order 2
    order 1: 2 kept
    order 2: 0 kept, 1 sums over 2 directions
    directions: (1, 0), (0, 1)
    """

    fields = ("u",)
    coords: tuple[str, ...] = ("x", "y")
    wavenumber: Coefficient = 1.0
    source: Coefficient = 0.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``lap(u) + k^2 u - f``."""
        return lap(u) + p.wavenumber**2 * u - p.source
