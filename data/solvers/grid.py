"""Uniform periodic grids, their Fourier transform, and lists of times."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor

__all__ = ["PeriodicGrid", "Times", "per_sample", "positive", "times_of"]

Times = float | Float[Tensor, "*t"]
"""One time, or ascending times."""


@dataclass(frozen=True)
class PeriodicGrid:
    """Uniform grid on a periodic box, end point left out, with its Fourier transform.

    Coefficients have the layout of `torch.fft.rfftn` over the last ``len(shape)`` axes.

    Args:
        shape: Number of points along each axis.
        length: Period along each axis.
        device: Where wave numbers are made.

    >>> grid = PeriodicGrid((8,), (2 * math.pi,))
    >>> u = torch.sin(grid.points()[0])
    >>> torch.allclose(grid.inverse(1j * grid.wavenumbers()[0] * grid.forward(u)), torch.cos(grid.points()[0]))
    True
    """

    shape: tuple[int, ...]
    length: tuple[float, ...]
    device: torch.device | None = None

    @classmethod
    def of(cls, u: Tensor, length: float | Sequence[float], dim: int = 1) -> PeriodicGrid:
        """Make the grid of a field whose last `dim` axes are space.

        Raises:
            ConfigError: If the field or the length does not fit.
        """
        lengths = (float(length),) * dim if isinstance(length, int | float) else tuple(float(item) for item in length)
        if len(lengths) != dim or not all(item > 0 and math.isfinite(item) for item in lengths):
            raise ConfigError(f"length is {length!r}; give one positive number, or one for each of the {dim} axes.")
        if u.ndim < dim or min(u.shape[u.ndim - dim :]) < 4:
            raise ConfigError(
                f"the initial field has shape {tuple(u.shape)}; its last {dim} axes are space, at least 4 points each, "
                "with the repeated end point left out."
            )
        return cls(tuple(u.shape[u.ndim - dim :]), lengths, u.device)

    @property
    def axes(self) -> tuple[int, ...]:
        """Positions of the space axes, counted from the end."""
        return tuple(range(-len(self.shape), 0))

    def points(self, low: float = 0.0) -> tuple[Tensor, ...]:
        """Coordinates along each axis, from `low`, float64."""
        return tuple(
            low + size / n * torch.arange(n, dtype=torch.float64, device=self.device)
            for n, size in zip(self.shape, self.length, strict=True)
        )

    def wavenumbers(self) -> tuple[Tensor, ...]:
        """Angular wave numbers along each axis, shaped to broadcast against coefficients."""
        last = len(self.shape) - 1
        found = []
        for axis, (n, size) in enumerate(zip(self.shape, self.length, strict=True)):
            frequencies = torch.fft.rfftfreq if axis == last else torch.fft.fftfreq
            k = frequencies(n, d=size / (2 * math.pi * n), dtype=torch.float64, device=self.device)
            found.append(k.reshape([-1 if i == axis else 1 for i in range(last + 1)]))
        return tuple(found)

    def laplacian(self) -> Tensor:
        """Symbol of the Laplace operator, minus the squared length of the wave vector."""
        return -torch.stack(torch.broadcast_tensors(*self.wavenumbers())).square().sum(0)

    def fraction(self) -> Tensor:
        """Largest wave number of each mode over its axis, as a fraction of the Nyquist one."""
        parts = [
            (k * size / (math.pi * n)).abs()
            for k, size, n in zip(self.wavenumbers(), self.length, self.shape, strict=True)
        ]
        return torch.stack(torch.broadcast_tensors(*parts)).amax(0)

    def forward(self, u: Tensor) -> Tensor:
        """Fourier coefficients of a real field."""
        return torch.fft.rfftn(u, dim=self.axes)

    def inverse(self, v: Tensor) -> Tensor:
        """Real field of Fourier coefficients."""
        return torch.fft.irfftn(v, s=self.shape, dim=self.axes)


def times_of(t: float | Tensor) -> tuple[list[float], bool]:
    """Read the requested times: a number (no time axis in the answer) or an ascending vector (one).

    Raises:
        ConfigError: If a time is negative, not finite, or out of order.
    """
    given = torch.as_tensor(t, dtype=torch.float64)
    times = given.reshape(-1).tolist()
    ascending = all(a < b for a, b in itertools.pairwise(times))
    if given.ndim > 1 or not times or not ascending or times[0] < 0 or not all(map(math.isfinite, times)):
        raise ConfigError(f"t is {t!r}; give one time, or a vector of strictly ascending times, none negative.")
    return times, given.ndim == 1


def per_sample(value: float | Tensor, dim: int = 1) -> float | Tensor:
    """Shape a coefficient, one number or one for each sample (b), to broadcast against (b, *modes)."""
    if not isinstance(value, Tensor) or value.ndim == 0:
        return float(value)
    if value.ndim != 1:
        raise ConfigError(
            f"a coefficient has shape {tuple(value.shape)}; give a number, or a vector with one per sample."
        )
    return value.detach().to(torch.float64).reshape(-1, *[1] * dim)


def positive(name: str, value: float | Tensor, allow_zero: bool = False) -> float | Tensor:
    """Check the sign of a coefficient and shape it as `per_sample` does, for one dimension."""
    lowest = float(torch.as_tensor(value).min())
    if not lowest >= 0 or (lowest == 0 and not allow_zero):
        raise ConfigError(f"{name} is {value}; it must be {'0 or ' if allow_zero else ''}positive.")
    return per_sample(value)
