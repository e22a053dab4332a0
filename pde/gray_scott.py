"""The Gray-Scott reaction."""

from __future__ import annotations

from .calculus import dt, lap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression
from .parameter import Unknown

__all__ = ["GrayScott"]


class GrayScott(Equation):
    """``u_t = D_u lap(u) - c u v^2 + F (1 - u)`` and ``v_t = D_v lap(v) + c u v^2 - (F + k) v``.

    A substance u is fed and turned into v by v itself; spots and stripes follow.

    Args:
        coords: Spatial coordinates, any number of them, and ``t``.
        diffusion: ``(D_u, D_v)``, in length^2 / time.
        feed: F, in 1 / time.
        kill: k, in 1 / time.
        reaction: c, in 1 / time.

    Ref: Pearson, *Complex patterns in a simple system*, 1993, eq. (2).

    >>> print(GrayScott().record().describe())
    u: u_t - diffusion_0 (u_xx + u_yy) + reaction u v^2 - feed (1 - u) = 0
    v: v_t - diffusion_1 (v_xx + v_yy) - reaction u v^2 + (feed + kill) v = 0
    3 derivatives from 5 channels, order 2
    order 1: 3 kept
    order 2: 0 kept, 1 sums over 2 directions
    directions: (1, 0, 0), (0, 1, 0), (0, 0, 1)
    """

    fields = ("u", "v")
    coords: tuple[str, ...] = ("x", "y", "t")
    diffusion: tuple[float | Unknown, float | Unknown] = (2e-5, 1e-5)
    feed: Coefficient = 0.04
    kill: Coefficient = 0.06
    reaction: Coefficient = 1.0

    def residual(self, u: Expression, v: Expression, p: Parameters) -> dict[str, Expression]:
        """One balance for each substance."""
        turned = p.reaction * u * v**2
        return {
            "u": dt(u) - p.diffusion[0] * lap(u) + turned - p.feed * (1 - u),
            "v": dt(v) - p.diffusion[1] * lap(v) - turned + (p.feed + p.kill) * v,
        }
