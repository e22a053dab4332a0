"""The nonlinear Schrödinger equation."""

from __future__ import annotations

from .equation import Coefficient, Equation, Parameters
from .expression import Expression

__all__ = ["Schrodinger"]


class Schrodinger(Equation):
    """``i h_t + c h_xx + g |h|^2 h = 0`` for ``h = u + i v``: envelopes of light in a fibre, or of water waves.

    Args:
        dispersion: c, in length^2 / time.
        nonlinearity: g; positive focuses.

    Ref: Zakharov, Shabat, *Exact theory of two-dimensional self-focusing*, 1972; defaults of Raissi, Perdikaris,
    Karniadakis, *Physics-informed neural networks*, 2019, section 3.1.1.

    >>> print(Schrodinger().record().describe())
    real: -v_t + dispersion u_xx + nonlinearity (u^2 + v^2) u = 0
    imaginary: u_t + dispersion v_xx + nonlinearity (u^2 + v^2) v = 0
    3 derivatives from 4 channels, order 2
    order 1: 2 kept
    order 2: 1 kept
    directions: (1, 0), (0, 1)
    """

    fields, coords = ("u", "v"), ("x", "t")
    dispersion: Coefficient = 0.5
    nonlinearity: Coefficient = 1.0

    def residual(self, u: Expression, v: Expression, p: Parameters) -> dict[str, Expression]:
        """Real and imaginary part."""
        density = u**2 + v**2
        return {
            "real": -v.t + p.dispersion * u.xx + p.nonlinearity * density * u,
            "imaginary": u.t + p.dispersion * v.xx + p.nonlinearity * density * v,
        }
