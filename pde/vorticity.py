"""Incompressible flow in the plane, by its vorticity."""

from __future__ import annotations

from .calculus import lap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["VorticityTransport2D"]


class VorticityTransport2D(Equation):
    """``w_t + u w_x + v w_y = lap(w) / Re, w = v_x - u_y, u_x + v_y = 0`` for velocity (u, v) and vorticity w.

    The momentum equations without their pressure. On a periodic box the mean velocity is free: give it at the start.

    Args:
        reynolds: Reynolds number ``U L / nu``.

    Ref: Batchelor, *An Introduction to Fluid Dynamics*, 1967.

    >>> print(VorticityTransport2D().record().describe())
    transport: w_t + u w_x + v w_y - (w_xx + w_yy) / reynolds = 0
    vorticity: w - v_x + u_y = 0
    continuity: u_x + v_y = 0
    5 derivatives from 5 channels, order 2
    order 1: 3 kept
    order 2: 0 kept, 1 sums over 2 directions
    directions: (1, 0, 0), (0, 1, 0), (0, 0, 1)
    """

    fields, coords = ("u", "v", "w"), ("x", "y", "t")
    reynolds: Coefficient = 100.0

    def residual(self, u: Expression, v: Expression, w: Expression, p: Parameters) -> dict[str, Expression]:
        """Transport of vorticity, its definition, and continuity."""
        return {
            "transport": w.t + u * w.x + v * w.y - lap(w) / p.reynolds,
            "vorticity": w - v.x + u.y,
            "continuity": u.x + v.y,
        }
