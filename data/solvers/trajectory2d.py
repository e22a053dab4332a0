"""Evaluation of a stored periodic trajectory in the plane at any point and time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from .trajectory import TimeInterpolation

__all__ = ["PeriodicSolution2D"]

_CHUNK = 2**22  # numbers held at once


class PeriodicSolution2D:
    """Interpolate snapshots of a periodic field of x and y: trigonometric in space, local polynomials in time.

    In space the interpolant is exact for every mode below the Nyquist ones; in time it is that of `PeriodicSolution`.

    Args:
        values: Snapshots (t, x, y) on the grid ``low + length * i / n``, end points left out.
        times: Times of the snapshots, ascending.
        low: First grid point, of both axes.
        length: Period of both axes.
        order: Number of snapshots in a stencil.

    Raises:
        ConfigError: If the shapes do not fit, or a time asked for lies outside the snapshots.

    Cost: a call takes O(n nx ny order).

    >>> x = torch.arange(16, dtype=torch.float64) / 16
    >>> times = torch.linspace(0, 1, 21, dtype=torch.float64)
    >>> phase = 2 * math.pi * (x[:, None] + 2 * x - times[:, None, None])
    >>> wave = PeriodicSolution2D(torch.sin(phase), times, low=0.0, length=1.0)
    >>> value = wave(*(torch.tensor([item]) for item in (0.3, 0.4, 0.512)))
    >>> bool((value - math.sin(2 * math.pi * (0.3 + 0.8 - 0.512))).abs() < 1e-7)
    True
    """

    def __init__(
        self,
        values: Float[Tensor, "t x y"],
        times: Float[Tensor, " t"] | Sequence[float],
        low: float,
        length: float,
        order: int = 8,
    ) -> None:
        values = values.detach().to(torch.float64)
        self.in_time = TimeInterpolation(torch.as_tensor(times, dtype=torch.float64).to(values.device), order)
        if values.ndim != 3 or len(values) != len(self.in_time.times):
            raise ConfigError(
                f"values has shape {tuple(values.shape)}; expected (t, x, y) with t = {len(self.in_time.times)} times."
            )
        if not 0 < length < math.inf:
            raise ConfigError(f"length is {length}; it must be positive.")
        nx, ny = values.shape[1:]
        self.low, self.length = float(low), float(length)
        double = torch.full((ny // 2 + 1,), 2.0 / (nx * ny), dtype=torch.float64, device=values.device)
        double[0] /= 2
        if ny % 2 == 0:
            double[-1] /= 2
        self._coefficients = double * torch.fft.rfft2(values)
        unit = 2 * math.pi / self.length
        self._kx = unit * nx * torch.fft.fftfreq(nx, dtype=torch.float64, device=values.device)
        self._ky = unit * ny * torch.fft.rfftfreq(ny, dtype=torch.float64, device=values.device)

    def __call__(
        self, x: Float[Tensor, "..."], y: Float[Tensor, "..."], t: Float[Tensor, "..."]
    ) -> Float[Tensor, "..."]:
        """Evaluate at points (x, y, t); any real x and y, t within the snapshots."""
        given = torch.broadcast_tensors(x, y, t)
        shape = given[0].shape
        x, y, t = (item.detach().to(self._kx).reshape(-1) for item in given)
        starts, weights = self.in_time(t)
        found = torch.empty_like(x)
        for start in starts.unique().tolist():
            snapshots = self._coefficients[start : start + weights.shape[1]]
            members = torch.nonzero(starts == start).squeeze(1)
            for part in members.split(max(1, _CHUNK // (snapshots.shape[0] * len(self._ky)))):
                along_x = torch.exp(1j * (x[part, None] - self.low) * self._kx)
                along_y = torch.exp(1j * (y[part, None] - self.low) * self._ky)
                rows = torch.einsum("nx,sxy->nsy", along_x, snapshots)
                found[part] = (torch.einsum("nsy,ny->ns", rows, along_y).real * weights[part]).sum(1)
        return found.reshape(shape)
