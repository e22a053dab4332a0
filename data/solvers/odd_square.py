"""Heat with a nonlinear source in the unit square whose boundary is cold."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ...errors import ConfigError
from ...typing import Tensor
from .grid import PeriodicGrid
from .spectral import etdrk4
from .trajectory2d import PeriodicSolution2D

__all__ = ["heat_in_odd_square"]


def heat_in_odd_square(
    start: Callable[[Tensor, Tensor], Tensor],
    source: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    diffusivity: float,
    end: float,
    *,
    n: int = 32,
    snapshots: int = 100,
    dt: float = 0.01,
) -> PeriodicSolution2D:
    """Solve ``u_t = D lap(u) + q(u, x, y, t)`` in [0, 1]^2 x [0, end], u = 0 on the boundary.

    The continuation that is odd in x and in y has period 2. It solves the equation everywhere if q is odd, too:
    ``q(-u, -x, y, t) = -q(u, x, y, t)``, and likewise in y. Then the method is pseudo-spectral in space and of fourth
    order in time.

    Args:
        start: u at t = 0, function of x and y that is odd in both.
        source: q.
        diffusivity: D.
        end: Last time.
        n: Number of intervals along each side of the square.
        snapshots: Number of intervals between the times that are kept.
        dt: Largest step.

    Raises:
        ConfigError: If the start or the source is not odd.
        DivergenceError: If the solution is not finite.

    Cost: four transforms of 2n x 2n numbers, and back, each step.

    >>> import math
    >>> mode = lambda x, y: torch.sin(math.pi * x) * torch.sin(math.pi * y)
    >>> u = heat_in_odd_square(mode, lambda u, x, y, t: u, 0.05, 1.0, n=4)
    >>> half, one = torch.tensor([0.5]), torch.ones(1)
    >>> bool((u(half, half, one) - math.exp(1 - 0.1 * math.pi**2)).abs() < 1e-9)
    True
    """
    grid = PeriodicGrid((2 * n, 2 * n), (2.0, 2.0))
    x, y = torch.meshgrid(*grid.points(), indexing="ij")
    times = torch.linspace(0.0, end, snapshots + 1, dtype=torch.float64)
    first = start(x, y)
    _check_odd("start", first)
    for time in (0.0, end / 3):
        _check_odd("source", source(first, x, y, torch.tensor(time, dtype=torch.float64)))

    def nonlinear(modes: Tensor, t: float) -> Tensor:
        return grid.forward(source(grid.inverse(modes), x, y, torch.tensor(t, dtype=torch.float64)))

    found = etdrk4(first, lambda k, m: -diffusivity * (k**2 + m**2), nonlinear, times, length=2.0, dim=2, dt=dt)
    return PeriodicSolution2D(found, times, 0.0, 2.0)


def _check_odd(name: str, values: Tensor) -> None:
    for axis in (0, 1):
        reflected = values.flip(axis).roll(1, axis)
        if float((values + reflected).abs().max()) > 1e-9 * max(1.0, float(values.abs().max())):
            raise ConfigError(f"the {name} is not odd in {'xy'[axis]}: on the boundary u would not stay zero")
