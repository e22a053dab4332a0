"""Diffusion with a sine as reaction, called the Sine-Gordon equation in high-dimensional benchmarks."""

from __future__ import annotations

import torch

from ._rate import rate
from .calculus import lap
from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["SineGordon"]


class SineGordon(Equation):
    """``u_t = lap(u) + sin(u) + f``, or ``lap(u) + sin(u) + f = 0`` without a time coordinate.

    Args:
        coords: Spatial coordinates, any number of them, and ``t``; without ``t`` the steady equation.
        source: f, in units of u / time.

    Ref: Hu, Shukla, Karniadakis, Kawaguchi, *Tackling the curse of dimensionality with physics-informed neural
    networks*, 2024, where the source stands on the other side, ``lap(u) + sin(u) = -f``.

    >>> print(SineGordon().record().describe().splitlines()[0])
    residual: -(u_xx + u_yy) - sin(u) - source = 0
    """

    fields = ("u",)
    coords: tuple[str, ...] = ("x", "y")
    source: Coefficient = 0.0

    def residual(self, u: Expression, p: Parameters) -> Expression:
        """``u_t - lap(u) - sin(u) - f``."""
        return rate(u) - lap(u) - torch.sin(u) - p.source  # type: ignore[arg-type]
