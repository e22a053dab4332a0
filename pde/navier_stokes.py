"""Incompressible flow in the plane."""

from __future__ import annotations

from .calculus import lap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["NavierStokes2D", "NavierStokes2DUnsteady"]


def _convected(w: Expression, u: Expression, v: Expression, p: Parameters) -> Expression:
    """``(u d_x + v d_y) w - lap(w) / Re``."""
    return u * w.x + v * w.y - lap(w) / p.reynolds


class NavierStokes2D(Equation):
    """``(w . grad) w + grad p = lap(w) / Re, div w = 0``: steady flow with velocity ``w = (u, v)`` and pressure p.

    Lengths, velocities and pressure are in units of a length L, a speed U and ``density U^2``.

    Args:
        reynolds: Reynolds number ``U L / nu``.

    Ref: Batchelor, *An Introduction to Fluid Dynamics*, 1967, section 4.7.

    >>> print(NavierStokes2D().record().describe())
    momentum_x: u u_x + v u_y - (u_xx + u_yy) / reynolds + p_x = 0
    momentum_y: u v_x + v v_y - (v_xx + v_yy) / reynolds + p_y = 0
    continuity: u_x + v_y = 0
    4 derivatives from 4 channels, order 2
    order 1: 2 kept
    order 2: 0 kept, 1 sums over 2 directions
    directions: (1, 0), (0, 1)
    """

    fields, coords = ("u", "v", "p"), ("x", "y")
    reynolds: Coefficient = 100.0

    def residual(self, u: Expression, v: Expression, pressure: Expression, p: Parameters) -> dict[str, Expression]:
        """Two components of momentum, and continuity."""
        return {
            "momentum_x": _convected(u, u, v, p) + pressure.x,
            "momentum_y": _convected(v, u, v, p) + pressure.y,
            "continuity": u.x + v.y,
        }


class NavierStokes2DUnsteady(Equation):
    """``w_t + (w . grad) w + grad p = lap(w) / Re, div w = 0`` with velocity ``w = (u, v)`` and pressure p.

    Units are those of :class:`NavierStokes2D`, with time in ``L / U``.

    Args:
        reynolds: Reynolds number ``U L / nu``.

    Ref: Batchelor, *An Introduction to Fluid Dynamics*, 1967, section 4.7.

    >>> print(NavierStokes2DUnsteady().record().describe())
    momentum_x: u_t + u u_x + v u_y - (u_xx + u_yy) / reynolds + p_x = 0
    momentum_y: v_t + u v_x + v v_y - (v_xx + v_yy) / reynolds + p_y = 0
    continuity: u_x + v_y = 0
    5 derivatives from 5 channels, order 2
    order 1: 3 kept
    order 2: 0 kept, 1 sums over 2 directions
    directions: (1, 0, 0), (0, 1, 0), (0, 0, 1)
    """

    fields, coords = ("u", "v", "p"), ("x", "y", "t")
    reynolds: Coefficient = 100.0

    def residual(self, u: Expression, v: Expression, pressure: Expression, p: Parameters) -> dict[str, Expression]:
        """Two components of momentum, and continuity."""
        return {
            "momentum_x": u.t + _convected(u, u, v, p) + pressure.x,
            "momentum_y": v.t + _convected(v, u, v, p) + pressure.y,
            "continuity": u.x + v.y,
        }
