"""Directions of several kinds in one jet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...errors import ConfigError
from ...typing import Float, Int, Tensor
from .kinds import OneHot, PerPoint, Seeds, Shared

__all__ = ["Stacked"]


@dataclass(frozen=True, eq=False)
class Stacked:
    """Seeds of several kinds in one jet, their rows one after the other.

    Args:
        seeds: At least one.

    Raises:
        ConfigError: If there is none.

    >>> Stacked((OneHot(torch.tensor([0])), Shared(torch.ones(2, 3)))).count
    3
    """

    seeds: Sequence[Seeds]

    def __post_init__(self) -> None:
        if not self.seeds:
            raise ConfigError("Stacked seeds need at least one part, such as OneHot(columns)")

    @property
    def count(self) -> int:
        """Number of directions."""
        return sum(seeds.count for seeds in self.seeds)

    def check(self, x: Float[Tensor, "n d"]) -> None:
        """Compare every part with points."""
        for seeds in self.seeds:
            seeds.check(x)

    def dense(self, n: int, d: int, like: Tensor) -> Float[Tensor, "s n d"]:
        """The vectors of all parts."""
        dense = [seeds.dense(n, d, like) for seeds in self.seeds]
        points = max(vectors.shape[1] for vectors in dense)
        return torch.cat([vectors.expand(-1, points, -1) for vectors in dense])

    def rows(self, first: int, last: int) -> Stacked:
        """Directions ``first`` to ``last - 1``."""
        chosen, offset = [], 0
        for seeds in self.parts():
            low, high = max(first - offset, 0), min(last - offset, seeds.count)
            if low < high:
                chosen.append(seeds.rows(low, high))
            offset += seeds.count
        return Stacked(tuple(chosen))

    def points(self, index: Int[Tensor, "n"]) -> Stacked:
        """The same directions at some of the points."""
        return Stacked(tuple(seeds.points(index) for seeds in self.seeds))

    def parts(self) -> tuple[OneHot | Shared | PerPoint, ...]:
        """Parts of one kind each; neighbouring axes become one."""
        found: list[OneHot | Shared | PerPoint] = []
        for part in (part for seeds in self.seeds for part in seeds.parts()):
            last = found[-1] if found else None
            if isinstance(part, OneHot) and isinstance(last, OneHot) and part.columns.ndim == last.columns.ndim:
                found[-1] = _joined(last, part)
            else:
                found.append(part)
        return tuple(found)


def _joined(first: OneHot, second: OneHot) -> OneHot:
    columns = torch.cat([first.columns, second.columns])
    if first.inside is None and second.inside is None:
        return OneHot(columns)
    masks = [torch.ones_like(s.columns, dtype=torch.bool) if s.inside is None else s.inside for s in (first, second)]
    return OneHot(columns, torch.cat(masks))
