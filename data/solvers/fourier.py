"""Linear periodic equations, solved exactly mode by mode; shapes and times are as in `periodic`."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from .grid import PeriodicGrid, Times, per_sample, positive, times_of

__all__ = ["heat", "wave"]


def heat(
    u0: Float[Tensor, "..."], nu: float | Float[Tensor, " b"], t: Times, *, length: float = 2.0, dim: int = 1
) -> Float[Tensor, "..."]:
    """Solve ``u_t = nu lap(u)``, periodic, exactly for every mode of the grid.

    Args:
        u0: Initial field (*b, *grid).
        nu: Conductivity, one or one for each sample.
        t: Time or times.
        length: Period.
        dim: Number of space axes.

    Raises:
        ConfigError: If an argument does not fit.

    >>> x = 2 * math.pi / 8 * torch.arange(8, dtype=torch.float64)
    >>> u = heat(torch.cos(x), 0.5, 2.0, length=2 * math.pi)
    >>> torch.allclose(u, math.exp(-1.0) * torch.cos(x))
    True
    """
    grid = PeriodicGrid.of(u0, length, dim)
    positive("nu", nu)
    symbol = per_sample(nu, dim) * grid.laplacian()
    v = grid.forward(u0.detach().to(torch.float64))
    return _in_time(t, lambda time: grid.inverse(torch.exp(time * symbol) * v), dim)


def wave(
    u0: Float[Tensor, "..."],
    v0: Float[Tensor, "..."],
    c: float | Float[Tensor, " b"],
    t: Times,
    *,
    length: float = 2.0,
    dim: int = 1,
) -> Float[Tensor, "..."]:
    """Solve ``u_tt = c^2 lap(u)`` with ``u = u0, u_t = v0`` at the start, periodic, exactly for every mode of the grid.

    Args:
        u0: Initial displacement (*b, *grid).
        v0: Initial velocity, shaped like `u0`.
        c: Speed, one or one for each sample.
        t: Time or times.
        length: Period.
        dim: Number of space axes.

    Raises:
        ConfigError: If an argument does not fit.

    >>> x = 2 * math.pi / 8 * torch.arange(8, dtype=torch.float64)
    >>> u = wave(torch.cos(x), torch.sin(x), 1.0, 0.3, length=2 * math.pi)     # travels to the right
    >>> torch.allclose(u, torch.cos(x - 0.3))
    True
    """
    grid = PeriodicGrid.of(u0, length, dim)
    if v0.shape != u0.shape:
        raise ConfigError(f"v0 has shape {tuple(v0.shape)}; expected that of u0, {tuple(u0.shape)}.")
    omega = per_sample(c, dim) * torch.sqrt(-grid.laplacian())
    a, b = (grid.forward(item.detach().to(torch.float64)) for item in (u0, v0))

    def at(time: float) -> Tensor:
        # sin(omega t) / omega, which is t for the mean.
        travelled = time * torch.sinc(omega * time / math.pi)
        return grid.inverse(torch.cos(omega * time) * a + travelled * b)

    return _in_time(t, at, dim)


def _in_time(t: Times, at: Callable[[float], Tensor], dim: int) -> Tensor:
    times, stacked = times_of(t)
    return torch.stack([at(time) for time in times], dim=-dim - 1) if stacked else at(times[0])
