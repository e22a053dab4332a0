"""The complex Ginzburg-Landau equation."""

from __future__ import annotations

from .calculus import dt, lap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["GinzburgLandau"]


class GinzburgLandau(Equation):
    """``A_t = (1 + i b) D lap(A) + mu A - (g + i c) |A|^2 A`` for ``A = u + i v``: waves that grow, saturate and turn.

    Spirals are wound around the zeros of A.

    Args:
        coords: Spatial coordinates, any number of them, and ``t``.
        diffusion: D, in length^2 / time.
        dispersion: b.
        growth: mu, in 1 / time.
        saturation: g, in 1 / time.
        rotation: c, in 1 / time.

    Ref: Aranson, Kramer, *The world of the complex Ginzburg-Landau equation*, 2002.

    >>> print(GinzburgLandau(coords=("x", "t")).record().describe())
    u: u_t - diffusion (u_xx - dispersion v_xx) - growth u + (u^2 + v^2) (saturation u - rotation v) = 0
    v: v_t - diffusion (v_xx + dispersion u_xx) - growth v + (u^2 + v^2) (saturation v + rotation u) = 0
    3 derivatives from 4 channels, order 2
    order 1: 2 kept
    order 2: 1 kept
    directions: (1, 0), (0, 1)
    """

    fields = ("u", "v")
    coords: tuple[str, ...] = ("x", "y", "t")
    diffusion: Coefficient = 0.004
    dispersion: Coefficient = 0.0
    growth: Coefficient = 10.0
    saturation: Coefficient = 10.0
    rotation: Coefficient = 15.0

    def residual(self, u: Expression, v: Expression, p: Parameters) -> dict[str, Expression]:
        """Real and imaginary part."""
        density = u**2 + v**2
        return {
            "u": dt(u)
            - p.diffusion * (lap(u) - p.dispersion * lap(v))
            - p.growth * u
            + density * (p.saturation * u - p.rotation * v),
            "v": dt(v)
            - p.diffusion * (lap(v) + p.dispersion * lap(u))
            - p.growth * v
            + density * (p.saturation * v + p.rotation * u),
        }
