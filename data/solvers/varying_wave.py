"""Reference solution of waves in a medium that varies; shapes, times and stepping keywords are as in `periodic2d`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from .grid import PeriodicGrid, Times
from .spectral import Stepping, etdrk4

__all__ = ["varying_wave"]


def varying_wave(
    u0: Float[Tensor, "*b x y"],
    v0: Float[Tensor, "*b x y"],
    c: Float[Tensor, "x y"],
    t: Times,
    *,
    length: float | Sequence[float] = 2.0,
    **stepping: Unpack[Stepping],
) -> Float[Tensor, "..."]:
    """Solve ``u_tt = c(x, y)^2 lap(u)`` with ``u = u0, u_t = v0`` at the start on a periodic box.

    Pseudo-spectral in space, classical Runge-Kutta of fourth order in time: steps beyond ``2.8 / (max(c) |k|)``, k the
    longest wave vector of the grid, are unstable.

    Args:
        u0: Initial displacement.
        v0: Initial velocity, shaped like `u0`.
        c: Speed on the grid, positive and smooth.
        t: Time or times.
        length: Period, one number or one for each axis.
        **stepping: See `etdrk4`.

    Raises:
        ConfigError: If an argument does not fit, or the step cannot be settled.
        DivergenceError: If the solution is not finite.

    >>> x = 2 / 16 * torch.arange(16, dtype=torch.float64)[:, None].expand(16, 16)
    >>> u = varying_wave(torch.cos(torch.pi * x), 0 * x, 0 * x + 2.0, 0.25)
    >>> bool(u.abs().max() < 1e-8)     # a standing wave, a quarter of its period later
    True
    """
    if v0.shape != u0.shape:
        raise ConfigError(f"v0 has shape {tuple(v0.shape)}; expected that of u0, {tuple(u0.shape)}.")
    if c.shape != u0.shape[-2:] or not float(c.min()) > 0:
        raise ConfigError(f"c has shape {tuple(c.shape)}; expected positive speeds on the grid {tuple(u0.shape[-2:])}.")
    grid = PeriodicGrid.of(u0, length, dim=2)
    laplacian, square = grid.laplacian(), c.detach().to(torch.float64) ** 2

    def rate(state: Tensor, _: float) -> Tensor:
        u, v = state.unbind(-3)
        return torch.stack([v, grid.forward(square * grid.inverse(laplacian * u))], dim=-3)

    start = torch.stack([u0.to(torch.float64), v0.to(torch.float64)], dim=-3)
    # without a linear part the exponential scheme is the classical one
    found = etdrk4(start, lambda kx, ky: 0 * (kx + ky), rate, t, length=length, dim=2, **stepping)
    return found.unbind(u0.ndim - 2)[0]
