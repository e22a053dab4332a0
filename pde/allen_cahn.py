"""The Allen-Cahn equation."""

from __future__ import annotations

from ._rate import rate
from .calculus import lap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["AllenCahn"]


class AllenCahn(Equation):
    """``u_t = D lap(u) + c (u - u^3) + f``: two phases, ``u = 1`` and ``u = -1``, and the interfaces between them.

    Args:
        coords: Spatial coordinates, any number of them, and ``t``; without ``t`` the steady equation, ``u_t = 0``.
        diffusion: D, in length^2 / time; interfaces are about ``sqrt(D / c)`` wide.
        reaction: c, in 1 / time.
        source: f, in units of u / time.

    Ref: Allen, Cahn, *A microscopic theory for antiphase boundary motion*, 1979; defaults of Raissi, Perdikaris,
    Karniadakis, *Physics-informed neural networks*, 2019, section 3.2.1.

    >>> print(AllenCahn().record().describe())
    residual: u_t - diffusion u_xx - reaction (u - u^3) - source = 0
    3 derivatives from 4 channels, order 2
    order 1: 2 kept
    order 2: 1 kept
    directions: (1, 0), (0, 1)
    """

    fields = ("u",)
    coords: tuple[str, ...] = ("x", "t")
    diffusion: Coefficient = 1e-4
    reaction: Coefficient = 5.0
    source: Coefficient = 0.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t - D lap(u) - c (u - u^3) - f``."""
        return rate(u) - p.diffusion * lap(u) - p.reaction * (u - u**3) - p.source
