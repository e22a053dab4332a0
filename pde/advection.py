"""Linear advection."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from .calculus import dt, grad
from .equation import Coefficient, Equation, Parameters
from .expression import Expression, Vector
from .parameter import Unknown

__all__ = ["Advection"]


class Advection(Equation):
    """``u_t + b . grad(u) = f``: a profile carried along by a flow.

    Args:
        coords: Spatial coordinates, any number of them, and ``t``.
        velocity: b, in length / time: a number in one dimension, otherwise a tuple of numbers or a function that
            returns one, such as ``lambda x, y: (-y, x)``.
        source: f, in units of u / time.

    Raises:
        ConfigError: On recording, if the velocity does not have one component for each spatial coordinate.

    Ref: LeVeque, *Finite Volume Methods for Hyperbolic Problems*, 2002, section 2.1.

    >>> print(Advection(coords=("x", "y", "t"), velocity=lambda x, y: (-y, x)).record().describe())
    residual: u_t - y u_x + x u_y - source = 0
    3 derivatives from 4 channels, order 1
    order 1: 3 kept
    directions: (0, 1, 0), (1, 0, 0), (0, 0, 1)
    """

    fields = ("u",)
    coords: tuple[str, ...] = ("x", "t")
    velocity: Coefficient | tuple[float | Unknown, ...] = 1.0
    source: Coefficient = 0.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t + b . grad(u) - f``."""
        slope, b = grad(u), _components(p.velocity)
        if len(b) != len(slope):
            raise ConfigError(
                f"velocity has {len(b)} components, but u has {len(slope)} spatial coordinates; give a tuple of one "
                "number for each"
            )
        return dt(u) + b @ slope - p.source


def _components(velocity: Any) -> Vector:
    return velocity if isinstance(velocity, Vector) else Vector((velocity,))
