"""Second-order operators as sums of squares: ``sum_k s_k (sigma_k . grad)^2``, the columns to sample or to combine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, runtime_checkable

import torch

from ...errors import ConfigError
from ...typing import Float, Int, Tensor
from ..seeds import OneHot, PerPoint, Seeds, Shared, Stacked

__all__ = [
    "AxisColumns",
    "Block",
    "Blocks",
    "Columns",
    "DiagonalColumns",
    "MatrixColumns",
    "PointColumns",
    "as_seeds",
    "check_points_of",
    "joined",
]


@runtime_checkable
class Columns(Protocol):
    """Vectors ``sigma_k``, k = 0 .. count - 1, the same for all points or not."""

    @property
    def count(self) -> int:
        """How many."""
        ...

    @property
    def points(self) -> int | None:
        """Number of points that they belong to; None if they are the same for all."""
        ...

    def pick(self, numbers: Int[Tensor, "s *n"], dtype: torch.dtype, device: torch.device) -> Seeds:
        """Directions ``sigma_k`` for some k: numbers (s,), or (s, n) for one choice at each point."""
        ...

    def combine(self, z: Float[Tensor, "s *n count"], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Directions ``sum_k z_k sigma_k``: coefficients (s, count), or (s, n, count) for each point."""
        ...


@dataclass(frozen=True, eq=False)
class Block:
    """Columns whose squares are added (sign 1) or subtracted (sign -1)."""

    sign: float
    columns: Columns


Blocks = tuple[Block, ...]


def as_seeds(vectors: Float[Tensor, "s *n d"]) -> Shared | PerPoint:
    """Seeds of vectors that all points share, (s, d), or that are their own, (s, n, d)."""
    return Shared(vectors) if vectors.ndim == 2 else PerPoint(vectors)


def joined(parts: Sequence[Seeds]) -> Seeds:
    """Put seeds one after the other."""
    return parts[0] if len(parts) == 1 else Stacked(tuple(parts))


@lru_cache(maxsize=64)
def _table(axes: tuple[int, ...]) -> Int[Tensor, " count"]:
    return torch.tensor(axes)


@dataclass(frozen=True)
class AxisColumns:
    """Unit vectors along some of d axes."""

    axes: range | tuple[int, ...]
    d: int
    points: int | None = None

    @property
    def count(self) -> int:
        """Number of axes."""
        return len(self.axes)

    def at(self, numbers: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
        """Columns of x by their place among the axes."""
        if isinstance(self.axes, range):
            return self.axes.start + self.axes.step * numbers
        return _table(self.axes).to(numbers.device)[numbers]

    def pick(self, numbers: Int[Tensor, "s *n"], dtype: torch.dtype, device: torch.device) -> OneHot:
        """One-hot directions."""
        return OneHot(self.at(numbers).to(device))

    def combine(self, z: Float[Tensor, "s *n count"], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Vectors with entries z along the axes, zero elsewhere."""
        z = z.to(device, dtype)
        if self.axes == range(self.d):
            return z
        columns = self.at(torch.arange(self.count, device=device))
        return z.new_zeros(*z.shape[:-1], self.d).index_copy_(-1, columns, z)


@dataclass(frozen=True, eq=False)
class MatrixColumns:
    """Rows of a constant matrix (count, d)."""

    vectors: Float[Tensor, "count d"]
    points: int | None = None

    @property
    def count(self) -> int:
        """Number of vectors."""
        return self.vectors.shape[0]

    def pick(self, numbers: Int[Tensor, "s *n"], dtype: torch.dtype, device: torch.device) -> Shared | PerPoint:
        """Rows of the matrix."""
        return as_seeds(self.vectors[numbers.to(self.vectors.device)].to(device, dtype))

    def combine(self, z: Float[Tensor, "s *n count"], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Sums of rows."""
        return z.to(device, dtype) @ self.vectors.to(device, dtype)


@dataclass(frozen=True, eq=False)
class PointColumns:
    """Columns of one matrix (d, count) for each of n points."""

    vectors: Float[Tensor, "n d count"]

    @property
    def count(self) -> int:
        """Number of vectors."""
        return self.vectors.shape[2]

    @property
    def points(self) -> int:
        """Number of points."""
        return self.vectors.shape[0]

    def pick(self, numbers: Int[Tensor, "s *n"], dtype: torch.dtype, device: torch.device) -> PerPoint:
        """Columns of the matrix of each point."""
        numbers = numbers.to(self.vectors.device)
        if numbers.ndim == 1:
            return PerPoint(self.vectors[..., numbers].permute(2, 0, 1).to(device, dtype))
        places = numbers.T.unsqueeze(1).expand(-1, self.vectors.shape[1], -1)
        return PerPoint(self.vectors.gather(2, places).permute(2, 0, 1).to(device, dtype))

    def combine(self, z: Float[Tensor, "s *n count"], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Sums of columns."""
        equation = "sp,ndp->snd" if z.ndim == 2 else "snp,ndp->snd"
        return torch.einsum(equation, z.to(device, dtype), self.vectors.to(device, dtype))


@dataclass(frozen=True, eq=False)
class DiagonalColumns:
    """Multiples of unit vectors: ``roots[k]`` along ``axes[k]``, the roots (count,), or (n, count) for each point."""

    axes: Int[Tensor, " count"]
    roots: Float[Tensor, "*n count"]
    d: int

    @property
    def count(self) -> int:
        """Number of vectors."""
        return self.axes.shape[0]

    @property
    def points(self) -> int | None:
        """Number of points, if roots differ between them."""
        return self.roots.shape[0] if self.roots.ndim == 2 else None

    def pick(self, numbers: Int[Tensor, "s *n"], dtype: torch.dtype, device: torch.device) -> Shared | PerPoint:
        """Vectors with one entry each."""
        numbers = numbers.to(self.axes.device)
        if self.roots.ndim == 2 and numbers.ndim == 1:
            numbers = numbers.unsqueeze(1).expand(-1, self.roots.shape[0])
        entries = self.roots.T.gather(0, numbers) if self.roots.ndim == 2 else self.roots[numbers]
        zeros = torch.zeros(*numbers.shape, self.d, dtype=dtype, device=device)
        places = self.axes[numbers].to(device).unsqueeze(-1)
        return as_seeds(zeros.scatter(-1, places, entries.to(device, dtype).unsqueeze(-1)))

    def combine(self, z: Float[Tensor, "s *n count"], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Vectors with the entries ``z_k roots[k]``."""
        z = z.to(device, dtype)
        if self.roots.ndim == 2 and z.ndim == 2:
            z = z.unsqueeze(1)
        entries = z * self.roots.to(device, dtype)
        return entries.new_zeros(*entries.shape[:-1], self.d).index_copy(-1, self.axes.to(device), entries)


def check_points_of(blocks: Blocks, n: int) -> None:
    """Compare the number of points with that of coefficients that differ between points.

    Raises:
        ConfigError: If they differ.
    """
    for block in blocks:
        if block.columns.points not in (None, n):
            raise ConfigError(f"the operator's weight is given at {block.columns.points} points, but x has {n}")
