"""Reference of Kuramoto-Sivashinsky problems on a period."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch

from ..data.solvers import PeriodicSolution, kuramoto_sivashinsky
from ..typing import Tensor

__all__ = ["periodic_reference"]


def periodic_reference(
    start: Callable[[Tensor], Tensor], coefficients: tuple[float, float, float], low: float, length: float, end: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """Solve on a period from a start, when first asked."""

    @cache
    def solve() -> PeriodicSolution:
        x = low + length / 256 * torch.arange(256, dtype=torch.float64)
        t = torch.linspace(0.0, end, 501, dtype=torch.float64)
        u = kuramoto_sivashinsky(start(x), t, *coefficients, length=length, dt=1e-4)
        return PeriodicSolution(u, t, low, length)

    return lambda x, t: solve()(x, t)
