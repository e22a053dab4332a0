"""A domain split into regions, and the interfaces between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cached_property

import torch

from ...errors import ConfigError, unknown
from ...typing import Bool, Float, Int, Tensor
from ..points import Points
from ..samplers import Sampler, check_count, make_sampler
from .base import Domain
from .pieces import Piece, clip, kept_size, sample

__all__ = ["Partition"]

_NUDGE = 1e-8  # step across an interface, relative to the largest extent of the domain
_ROUNDING = 16.0  # points so many units of rounding outside of a region still belong to it


class Partition:
    """Regions that together are a domain: a point belongs to the first region that holds it, or else to the last.

    Only the regions before the last need a shape of their own, and they may reach beyond the domain: what counts is
    what they share with it. Interfaces are the parts of their boundaries inside of the domain at which the owner
    changes.

    Args:
        domain: The whole.
        regions: Name to shape, with the coordinates of the domain; the last may be None, for the rest of the domain.

    Raises:
        ConfigError: If there are fewer than two regions, a name is no identifier, or a shape is missing, has other
            coordinates, or no boundary.

    >>> from kjet.data.geometry import Interval
    >>> halves = Partition(Interval(-1, 1), {"left": Interval(-1, 0), "right": None})
    >>> halves.owner(torch.tensor([[-1.0], [-0.5], [0.5]]))
    tensor([0, 0, 1])
    >>> points = halves.interface(2, generator=torch.Generator().manual_seed(0))
    >>> points.x.flatten().tolist(), points.normals.flatten().tolist()
    ([0.0, 0.0], [1.0, 1.0])
    """

    def __init__(self, domain: Domain, regions: Mapping[str, Domain | None]) -> None:
        self.domain, self.names = domain, tuple(regions)
        if len(self.names) < 2:
            raise ConfigError(f"a partition of {domain!r} needs at least two regions; got {len(self.names)}")
        shapes = list(regions.values())
        for name, shape in regions.items():
            if not (isinstance(name, str) and name.isidentifier()):
                raise ConfigError(f'a region is named by an identifier, such as "inner"; got {name!r}')
            if shape is None and name == self.names[-1]:
                continue
            if not isinstance(shape, Domain):
                raise ConfigError(
                    f'region "{name}" needs a shape, such as Disk((0, 0), 0.5); got {shape!r}. Only the last one may '
                    "be None, for the rest"
                )
            if shape.coords != domain.coords:
                raise ConfigError(
                    f'region "{name}" has the coordinates ({", ".join(shape.coords)}), the domain '
                    f"({', '.join(domain.coords)}); multiply the shape with what is missing, such as Time(0, 1)"
                )
            shape._check_walls()
        self._shapes: list[Domain] = [shape for shape in shapes[:-1] if shape is not None]
        self._last = shapes[-1]
        self._extent = float((domain.bounds[:, 1] - domain.bounds[:, 0]).max())

    def __repr__(self) -> str:
        return f"Partition({self.domain!r}, {', '.join(self.names)})"

    @property
    def boxes(self) -> Float[Tensor, "k d 2"]:
        """Bounding box of each region within the domain; of the rest, that of the domain."""
        whole = self.domain.bounds
        shapes = [*self._shapes, self.domain if self._last is None else self._last]
        low, high = (torch.stack([shape.bounds[:, i] for shape in shapes]) for i in (0, 1))
        return torch.stack([torch.maximum(low, whole[:, 0]), torch.minimum(high, whole[:, 1])], -1)

    def owner(self, x: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        """Return the number of the region that each point belongs to.

        Boundaries belong to the region that comes first, up to rounding. Cost: one distance for each region.
        """
        points = x.to(torch.float64)
        tolerance = _ROUNDING * torch.finfo(x.dtype).eps * self._extent
        found = torch.full(x.shape[:-1], len(self._shapes), dtype=torch.int64, device=x.device)
        for i in range(len(self._shapes) - 1, -1, -1):
            found = torch.where(self._shapes[i].distance(points) >= -tolerance, i, found)
        return found

    def within(self, x: Float[Tensor, "n d"], name: str) -> Bool[Tensor, " n"]:
        """Tell which points belong to a region.

        Raises:
            ConfigError: If there is no such region.
        """
        return self.owner(x) == self.index(name)

    def index(self, name: str) -> int:
        """Return the number of a region.

        Raises:
            ConfigError: If there is no such region.
        """
        if name not in self.names:
            raise ConfigError(unknown("region", name, self.names, repr(self.domain)))
        return self.names.index(name)

    def sides(self, points: Points) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """Return the regions behind and before points of an interface, as their normals look.

        Raises:
            ConfigError: If the points have no normals.
        """
        if points.normals is None:
            raise ConfigError("these points have no normals; take points from partition.interface(n, ...)")
        x, step = points.x.to(torch.float64), self._step(points.x.dtype) * points.normals.to(torch.float64)
        return self.owner(x - step), self.owner(x + step)

    def interface(
        self,
        n: int,
        *,
        between: tuple[str, str] | None = None,
        sampler: str | Sampler = "sobol",
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Points:
        """Sample the interfaces uniformly in measure, with normals that look from the earlier region to the later one.

        Args:
            n: Number of points, at least 1.
            between: Names of two regions; None for all interfaces.
            sampler: As in :meth:`Domain.interior`.
            generator: As in :meth:`Domain.interior`.
            dtype: As in :meth:`Domain.interior`.
            device: As in :meth:`Domain.interior`.

        Raises:
            ConfigError: If a region is unknown, or the regions do not touch inside of the domain.
        """
        pair = None if between is None else self._pair(*between)
        chosen = self._all if pair is None else _measured(self._between(piece, pair) for piece, _ in self._all)
        if not chosen:
            which = "the regions" if between is None else " and ".join(between)
            raise ConfigError(f"{which} of {self!r} share no boundary inside of the domain; check their shapes")
        x, normals = sample(
            [piece for piece, _ in chosen],
            check_count(n),
            sampler=make_sampler(sampler),
            generator=generator,
            what=f"the interfaces of {self!r}",
        )
        measure = math.fsum(size for _, size in chosen)
        return Points(x, self.domain.coords, normals, None, measure).to(dtype, device)

    def _pair(self, a: str, b: str) -> tuple[int, int]:
        first, second = self.index(a), self.index(b)
        if first == second:
            raise ConfigError(f'an interface lies between two regions; got "{a}" twice')
        return min(first, second), max(first, second)

    def _step(self, dtype: torch.dtype) -> float:
        return max(_NUDGE, 4 * _ROUNDING * torch.finfo(dtype).eps) * self._extent

    @cached_property
    def _all(self) -> list[tuple[Piece, float]]:
        """Pieces of all interfaces and their sizes: of each shape's boundary, what separates it from a later region."""
        return _measured(
            clip(piece, lambda x, normals, i=i: self._separates(x, normals, i))  # type: ignore[misc]
            for i, shape in enumerate(self._shapes)
            for piece in shape._boundary()
        )

    def _separates(self, x: Tensor, normals: Tensor | None, i: int) -> Tensor:
        if normals is None:
            raise ConfigError(f'the boundary of region "{self.names[i]}" has no normals, which an interface needs')
        step = self._step(torch.float64) * normals
        here = self.domain.inside(x - step) & self.domain.inside(x + step)
        return here & (self.owner(x - step) == i) & (self.owner(x + step) > i)

    def _between(self, piece: Piece, pair: tuple[int, int]) -> Piece:
        def keep(x: Tensor, normals: Tensor | None) -> Tensor:
            assert normals is not None  # such pieces were refused before
            step = self._step(torch.float64) * normals
            return (self.owner(x - step) == pair[0]) & (self.owner(x + step) == pair[1])

        return clip(piece, keep)


def _measured(pieces: Iterable[Piece]) -> list[tuple[Piece, float]]:
    """Leave out pieces of which nothing is kept."""
    sized = [(piece, kept_size(piece)) for piece in pieces]
    return [(piece, size) for piece, size in sized if size > 0]
