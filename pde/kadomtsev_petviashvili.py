"""The Kadomtsev-Petviashvili equation."""

from __future__ import annotations

from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["KadomtsevPetviashvili"]


class KadomtsevPetviashvili(Equation):
    """``(u_t + 6 u u_x + u_xxx)_x + 3 s u_yy = 0``: long waves that vary slowly across their direction.

    Args:
        s: ``1`` for weak surface tension (KP II), ``-1`` for strong (KP I).

    Ref: Kadomtsev, Petviashvili, *On the stability of solitary waves in weakly dispersing media*, 1970.

    >>> print(KadomtsevPetviashvili().record().describe().splitlines()[0])
    residual: u_xt + 6 (u_x u_x + u u_xx) + u_xxxx + 3 s u_yy = 0
    """

    fields, coords = ("u",), ("x", "y", "t")
    s: Coefficient = 1.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``(u_t + 6 u u_x + u_xxx)_x + 3 s u_yy``."""
        return u.tx + 6 * (u * u.x).x + u.xxxx + 3 * p.s * u.yy
