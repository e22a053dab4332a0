"""Random integers, subsets and vectors, all from one generator and on its device."""

from __future__ import annotations

import math

import torch

from ...errors import ConfigError
from ...typing import Float, Int, Tensor

__all__ = ["Subsets", "distinct", "integers", "normal", "signs", "sphere"]

_RANGE = 2**62


def integers(high: int, size: tuple[int, ...], generator: torch.Generator) -> Int[Tensor, "..."]:
    """Uniform integers from 0 to ``high - 1``, without the bias of a remainder.

    Reduced from 62 bits: ``torch.randint`` takes the remainder of 32 bits for small ranges, which prefers some of a
    million values to others by two parts in ten thousand.
    """
    limit = _RANGE - _RANGE % high
    drawn = torch.randint(0, _RANGE, size, generator=generator, device=generator.device)
    while bool((outside := drawn >= limit).any()):
        count = int(outside.sum())
        drawn[outside] = torch.randint(0, _RANGE, (count,), generator=generator, device=generator.device)
    return drawn % high


def distinct(
    population: int, samples: int, columns: int, generator: torch.Generator | None
) -> Int[Tensor, "samples columns"]:
    """Draw samples from ``0 .. population - 1`` without replacement, independently in each column.

    Every subset is equally likely. Cost: O(samples log samples) for each column, whatever the population: entries that
    repeat an earlier one are drawn again. That treats all values alike, so the subset is uniform.
    """
    if samples == population or generator is None:
        # All of them: nothing is left to chance, and nothing differs between the columns.
        device = None if generator is None else generator.device
        return torch.arange(samples, device=device).unsqueeze(1).expand(-1, columns)
    if population <= 4 * samples:
        keys = torch.rand(population, columns, dtype=torch.float64, generator=generator, device=generator.device)
        return keys.argsort(0)[:samples]
    drawn = integers(population, (samples, columns), generator)
    while bool((again := _repeats(drawn)).any()):
        drawn[again] = integers(population, (int(again.sum()),), generator)
    return drawn


def _repeats(drawn: Int[Tensor, "samples columns"]) -> Tensor:
    """Mark entries that are equal to an earlier one of their column."""
    values, order = torch.sort(drawn, dim=0, stable=True)
    marked = torch.zeros_like(values, dtype=torch.bool)
    marked[1:] = values[1:] == values[:-1]
    return torch.zeros_like(marked).scatter_(0, order, marked)


class Subsets:
    """Subsets of ``size`` out of ``d`` things, numbered in the combinatorial number system.

    >>> subsets = Subsets(4, 2)
    >>> subsets.count
    6
    >>> subsets.members(torch.arange(6)).tolist()
    [[0, 1], [0, 2], [1, 2], [0, 3], [1, 3], [2, 3]]
    """

    def __init__(self, d: int, size: int) -> None:
        self.count = math.comb(d, size)
        if self.count >= _RANGE:
            raise ConfigError(f"{d} coordinates have more subsets of {size} than can be numbered; use Hutchinson")
        self._binomials = [torch.ones(d + 1, dtype=torch.int64)]
        for _ in range(size):
            below = torch.cumsum(self._binomials[-1], 0)[:-1]
            self._binomials.append(torch.cat([below.new_zeros(1), below]))

    def members(self, numbers: Int[Tensor, "..."]) -> Int[Tensor, "... size"]:
        """Members of the subsets with these numbers, rising."""
        found: list[Tensor] = []
        rest = numbers
        for table in reversed(self._binomials[1:]):
            table = table.to(rest.device)
            largest = torch.searchsorted(table, rest.contiguous(), right=True) - 1
            rest = rest - table[largest]
            found.insert(0, largest)
        return torch.stack(found, -1)


def signs(size: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype) -> Float[Tensor, "..."]:
    """Independent entries of 1 and -1."""
    return torch.randint(0, 2, size, generator=generator, device=generator.device, dtype=dtype).mul_(2).sub_(1)


def normal(size: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype) -> Float[Tensor, "..."]:
    """Independent standard normal entries."""
    return torch.randn(size, generator=generator, device=generator.device, dtype=dtype)


def sphere(size: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype) -> Float[Tensor, "..."]:
    """Vectors (last axis, of length p) that are uniform on the sphere of radius ``sqrt(p)``."""
    vectors = normal(size, generator, dtype)
    return vectors * (math.sqrt(size[-1]) / torch.linalg.vector_norm(vectors, dim=-1, keepdim=True))
