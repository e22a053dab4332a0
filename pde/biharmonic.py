"""The biharmonic equation in any dimension."""

from __future__ import annotations

from .calculus import bilap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["Biharmonic"]


class Biharmonic(Equation):
    """``lap(lap(u)) = f``; in two dimensions the deflection of a plate, :class:`Plate`, of stiffness one.

    Args:
        coords: Spatial coordinates, any number of them.
        source: f, in units of u / length^4.

    Ref: Hu, Shi, Karniadakis, Kawaguchi, *Hutchinson trace estimation for high-dimensional and high-order
    physics-informed neural networks*, 2024.

    >>> print(Biharmonic().record().describe().splitlines()[0])
    residual: (u_xxxx + 2 u_xxyy + u_yyyy) - source = 0
    """

    fields = ("u",)
    coords: tuple[str, ...] = ("x", "y")
    source: Coefficient = 0.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``lap(lap(u)) - f``."""
        return bilap(u) - p.source
