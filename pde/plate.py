"""The bending of thin plates."""

from __future__ import annotations

from .calculus import bilap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["Plate"]


class Plate(Equation):
    """``D lap(lap(w)) = q``: the deflection w of a thin plate.

    Args:
        stiffness: Flexural rigidity ``D = E h^3 / (12 (1 - nu^2))``, force x length.
        load: Pressure q, force / length^2; a number, or a function of the coordinates.

    Ref: Timoshenko, Woinowsky-Krieger, *Theory of Plates and Shells*, 2nd ed., 1959, eq. (103).

    >>> print(Plate().record().describe())
    residual: stiffness (w_xxxx + 2 w_xxyy + w_yyyy) - load = 0
    1 derivatives from 14 channels, order 4
    order 1: 4 kept
    order 2: 4 kept
    order 3: 4 kept
    order 4: 0 kept, 1 sums over 4 directions
    directions: (1, 0), (0, 1), (1, 1), (1, -1)
    """

    fields, coords = ("w",), ("x", "y")
    stiffness: Coefficient = 1.0
    load: Coefficient = 0.0

    def residual(self, w: Expression, p: Parameters) -> Expression:
        """``D lap(lap(w)) - q``."""
        return p.stiffness * bilap(w) - p.load
