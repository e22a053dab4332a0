"""The Fokker-Planck equation."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from .calculus import div, dt, lap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression, Vector
from .parameter import Unknown

__all__ = ["FokkerPlanck"]


class FokkerPlanck(Equation):
    """``u_t + div(b u) = D lap(u)``: density of particles that drift and diffuse, ``dX = b dt + sqrt(2 D) dW``.

    Args:
        coords: Spatial coordinates, any number of them, and ``t``.
        drift: b, in length / time: a number or a function in one dimension, otherwise a tuple of numbers or a function
            that returns one.
        diffusion: D, in length^2 / time.

    Raises:
        ConfigError: On recording, if the drift does not have one component for each spatial coordinate.

    Ref: Risken, *The Fokker-Planck Equation*, 2nd ed., 1989.

    >>> print(FokkerPlanck(drift=lambda x: -2 * x).record().describe())
    residual: u_t - 2 u - 2 x u_x - diffusion u_xx = 0
    4 derivatives from 4 channels, order 2
    order 1: 2 kept
    order 2: 1 kept
    directions: (1, 0), (0, 1)
    """

    fields = ("u",)
    coords: tuple[str, ...] = ("x", "t")
    drift: Coefficient | tuple[float | Unknown, ...] = 0.0
    diffusion: Coefficient = 1.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t + div(b u) - D lap(u)``."""
        b: Any = p.drift if isinstance(p.drift, Vector) else Vector((p.drift,))
        if len(b) != len(self.coords) - 1:
            raise ConfigError(
                f"drift has {len(b)} components, but u has {len(self.coords) - 1} spatial coordinates; give a tuple of "
                "one number for each"
            )
        return dt(u) + div(Vector(component * u for component in b)) - p.diffusion * lap(u)
