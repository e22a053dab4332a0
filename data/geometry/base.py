"""What every domain offers: named coordinates, points inside and on the boundary, measures and distances."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

import torch

from ...errors import ConfigError, unknown
from ...typing import Bool, Float, Tensor
from ..points import Names, Points
from ..samplers import Sampler, Uniform, check_count, make_sampler
from .pieces import Piece, clip, kept_size, sample
from .rfunctions import TensorLike, join

if TYPE_CHECKING:
    from .csg import Difference, Intersection, Union
    from .product import Product

__all__ = ["Domain", "Side"]

Predicate = Callable[[Float[Tensor, "n d"]], Bool[Tensor, " n"]]
Distance = Callable[[TensorLike], TensorLike]

_WHOLE = "boundary"
_RESERVED = (_WHOLE, "interior")


class Side(Enum):
    """Where a distance to a boundary part has to be positive, as seen from the shape that owns the part."""

    INSIDE = 1
    OUTSIDE = -1
    ANYWHERE = 0


@dataclass(frozen=True)
class _Extra:
    predicate: Predicate
    distance: Distance | None


class Domain(ABC):
    """A region with named coordinates; immutable.

    Combine domains with ``|``, ``&`` and ``-`` (same spatial coordinates) and with ``*`` (different coordinates).

    Attributes:
        coords: Names of the coordinates, in the order of the columns of `x`.
        bounds: Bounding box, float64 (d, 2).
        measure: Length, area, volume, ...; becomes 0.0 or inf where it leaves the range of float64.
        walls: Names of the parts that together are the spatial boundary.
        time: Name of the time coordinate, or None.
        parameters: Names of the coordinates that are parameters.
        convex: Whether the region is known to be convex.
        opposite: Coordinate -> (lower part, upper part), where these are faces of an axis-aligned box.
        hull: Points (k, d) whose convex hull holds the region, or None.
        even: Whether points of the interior spread evenly over it. If not, integrals over them are means over their
            law, and they come with measure 1.
    """

    even: bool = True
    time: str | None = None
    parameters: tuple[str, ...] = ()

    def __init__(
        self,
        coords: tuple[str, ...],
        bounds: Float[Tensor, "d 2"],
        measure: float,
        parts: tuple[str, ...],
        *,
        walls: tuple[str, ...] | None = None,
        convex: bool = False,
        opposite: Mapping[str, tuple[str, str]] | None = None,
        hull: Float[Tensor, "k d"] | None = None,
    ) -> None:
        self.coords: tuple[str, ...] = Names(coords)
        self.bounds = bounds.to(torch.float64)
        self.measure = measure
        self.walls = parts if walls is None else walls
        self.convex = convex
        self.opposite = dict(opposite or {})
        self.hull = _corners(self.bounds) if hull is None else hull
        self._own_parts = parts
        self._extras: dict[str, _Extra] = {}
        self._measures: dict[str, float] = {}
        for name in parts:
            if name in _RESERVED:
                raise ConfigError(f'a boundary part cannot be named "{name}": the name is taken for the whole')

    # what a shape implements

    @abstractmethod
    def inside(self, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Tell which points lie in the interior, computed in float64; on the boundary itself either answer may come."""

    @abstractmethod
    def _interior(self) -> list[Piece]:
        """Return disjoint pieces of the interior."""

    @abstractmethod
    def _boundary(self) -> list[Piece]:
        """Return disjoint pieces of the whole spatial boundary, with outward normals."""

    @abstractmethod
    def _part(self, part: str) -> list[Piece]:
        """Return disjoint pieces of one of the shape's own parts, with outward normals."""

    @abstractmethod
    def _distance(self, x: TensorLike) -> TensorLike:
        """Return a normalised function of the spatial boundary: positive inside, negative outside."""

    @abstractmethod
    def _part_distance(self, x: TensorLike, part: str, side: Side) -> TensorLike:
        """Return a normalised function of an own part that is zero nowhere else on the closed side."""

    def _draw(self, n: int, generator: torch.Generator, dtype: torch.dtype) -> Float[Tensor, "n d"] | None:
        """Draw independent points of the interior in their final type, where that is much cheaper than by pieces."""
        return None

    # what follows from that

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.coords) if self.dim <= 8 else f'd={self.dim}'})"

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.coords)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the boundary parts, those added by :meth:`with_part` last."""
        return self._own_parts + tuple(self._extras)

    @property
    def space(self) -> tuple[str, ...]:
        """Names of the coordinates that are neither time nor parameters."""
        return tuple(name for name in self.coords if name != self.time and name not in self.parameters)

    def interior(
        self,
        n: int,
        *,
        sampler: str | Sampler = "sobol",
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Points:
        """Sample the interior uniformly in measure.

        Args:
            n: Number of points, at least 1.
            sampler: Sampler or its name.
            generator: Source of all randomness: the same state gives the same points, the next call gives others.
            dtype: Floating type of the points; they are made in float64 and rounded once, except independent ones in
                balls of many dimensions, which are made in their own type. Rounded points that fall on the boundary or
                beyond are replaced.
            device: Device of the points; they are made on the generator's.

        Raises:
            ConfigError: If `n` or `sampler` is not valid.

        Cost: O(n d), divided by the share of candidates accepted where a shape has no measure-preserving map.
        """
        chosen, n = make_sampler(sampler), check_count(n)
        x = self._draw(n, generator, dtype) if isinstance(chosen, Uniform) else None
        if x is None:
            x, _ = sample(
                self._interior(),
                n,
                sampler=chosen,
                generator=generator,
                what=f"the interior of {self!r}",
                check=lambda points: self.inside(points.to(dtype)),
            )
        return Points(x.to(device=device, dtype=dtype), self.coords, measure=self.measure if self.even else 1.0)

    def boundary(
        self,
        n: int,
        part: str | None = None,
        *,
        sampler: str | Sampler = "sobol",
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Points:
        """Sample a boundary part uniformly in measure, with outward normals.

        Args:
            n: Number of points, at least 1.
            part: Name of the part; ``None`` or ``"boundary"`` is the whole spatial boundary.
            sampler: As in :meth:`interior`.
            generator: As in :meth:`interior`.
            dtype: As in :meth:`interior`.
            device: As in :meth:`interior`.

        Raises:
            ConfigError: If the part is unknown, or nothing of it is left.
        """
        what = f'boundary part "{part or _WHOLE}" of {self!r}'
        pieces = self._pieces(part)
        if not pieces:
            raise ConfigError(f"{what} is empty: nothing of it is left after combining the shapes")
        x, normals = sample(pieces, check_count(n), sampler=make_sampler(sampler), generator=generator, what=what)
        points = Points(x, self.coords, normals, None, self.part_measure(part))
        return points.to(dtype, device)

    def part_measure(self, part: str | None = None) -> float:
        """Return the measure of a boundary part, or of the whole spatial boundary.

        Exact for shapes and products. What is left of a part after cutting, or selected by a predicate, is estimated
        deterministically: curves by bisection to about 1e-8, other parts by the share of 65,536 points of a fixed
        quasi-random sequence, to about 1e-4 for surfaces.

        Raises:
            ConfigError: If the part is unknown.
        """
        name = part or _WHOLE
        if name not in self._measures:
            self._measures[name] = math.fsum(kept_size(piece) for piece in self._pieces(part))
        return self._measures[name]

    def distance(self, x: TensorLike, part: str | Sequence[str] | None = None) -> TensorLike:
        """Evaluate an approximate distance: zero exactly on the part, positive elsewhere in the domain, smooth inside.

        On the part, away from corners, the gradient is the inward unit normal. Built from arithmetic, `torch.sqrt` and
        ``x[..., i]`` alone, so that Taylor jets may pass through. (Boxes and balls of more than 32 dimensions also use
        slices and sums over the last axis, instead of a long loop.)

        Args:
            x: Points (..., d), or an object that behaves like them.
            part: One or several parts; ``None`` is the whole spatial boundary.

        Returns:
            Values (...). For the whole boundary they are negative outside.

        Raises:
            ConfigError: If a part is unknown, or was defined by a predicate without a distance.

        >>> from kjet.data.geometry import Interval
        >>> Interval(0.0, 2.0).distance(torch.tensor([[0.0], [1.0]]))
        tensor([0.0000, 0.5000])
        """
        if part is None or part == _WHOLE:
            self._check_walls()
            return self._distance(x)
        names = [part] if isinstance(part, str) else list(part)
        if not names:
            raise ConfigError("no boundary part was named: give at least one, or None for the whole boundary")
        return join([self.part_distance(x, name, Side.INSIDE) for name in names])

    def part_distance(self, x: TensorLike, part: str, side: Side) -> TensorLike:
        """Evaluate a distance to one part that is positive on the given closed side of the domain, off the part.

        Raises:
            ConfigError: As :meth:`distance`.
        """
        self._check_part(part)
        if part not in self._extras:
            return self._part_distance(x, part, side)
        function = self._extras[part].distance
        if function is None:
            raise ConfigError(
                f'boundary part "{part}" of {self!r} was selected by a predicate, which yields no distance: pass '
                "with_part(name, predicate, distance=...)"
            )
        return function(x)

    def with_part(self, name: str, predicate: Predicate, *, distance: Distance | None = None) -> Domain:
        """Return the same domain with one more named boundary part.

        The part is the subset of the spatial boundary where `predicate` holds. It overlaps the other parts and does not
        count for the whole boundary. Its measure is estimated: see :meth:`part_measure`.

        Args:
            name: A new name.
            predicate: Maps points (n, d), in float64, to a mask (n,). Faces of boxes have their exact coordinate.
            distance: Function for :meth:`distance`, zero on the part and positive elsewhere in the domain.

        Raises:
            ConfigError: If the name is taken, or no boundary point is found that is selected.

        >>> from kjet.data.geometry import Rectangle
        >>> channel = Rectangle().with_part("inlet", lambda x: (x[:, 0] == 0.0) & (x[:, 1] > 0.5))
        >>> round(channel.part_measure("inlet"), 3)
        0.5
        """
        if name in self.parts or name in _RESERVED:
            raise ConfigError(f'{self!r} has a boundary part "{name}" already: choose another name')
        self._check_walls()
        result = copy.copy(self)
        result._extras = {**self._extras, name: _Extra(_checked(predicate, name), distance)}
        result._measures = dict(self._measures)
        if not result.part_measure(name) > 0:
            raise ConfigError(f'the predicate of part "{name}" holds nowhere on the boundary of {self!r}')
        return result

    def periodic_pairs(
        self,
        n: int,
        coord: str,
        *,
        sampler: str | Sampler = "sobol",
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> tuple[Points, Points]:
        """Sample matching points on the two faces that are opposite each other along `coord`.

        Args:
            n: Number of pairs.
            coord: Name of the coordinate.
            sampler: As in :meth:`interior`.
            generator: As in :meth:`interior`.
            dtype: As in :meth:`interior`.
            device: As in :meth:`interior`.

        Returns:
            Points of the lower and the upper face; row i of one belongs to row i of the other.

        Raises:
            ConfigError: If the coordinate is unknown, or the domain has no such faces along it.
        """
        if coord not in self.coords:
            raise ConfigError(unknown("coordinate", coord, self.coords, repr(self)))
        if coord not in self.opposite:
            raise ConfigError(
                f'{self!r} has no opposite faces along "{coord}": periodic pairs need an axis-aligned box there '
                "(Interval, Rectangle, Cuboid, Box, or a product with one)"
            )
        low = self.boundary(
            n, self.opposite[coord][0], sampler=sampler, generator=generator, dtype=dtype, device=device
        )
        column = self.coords.index(coord)
        x = low.x.clone()
        x[:, column] = float(self.bounds[column, 1])
        return low, replace(low, x=x, normals=None if low.normals is None else -low.normals)

    def __or__(self, other: Domain) -> Union:
        from .csg import Union  # these three are domains themselves: an import at the top would be circular

        return Union(self, other)

    def __and__(self, other: Domain) -> Intersection:
        from .csg import Intersection

        return Intersection(self, other)

    def __sub__(self, other: Domain) -> Difference:
        from .csg import Difference

        return Difference(self, other)

    def __mul__(self, other: Domain) -> Product:
        from .product import Product

        return Product(self, other)

    def _pieces(self, part: str | None) -> list[Piece]:
        if part is None or part == _WHOLE:
            self._check_walls()
            return self._boundary()
        self._check_part(part)
        if part not in self._extras:
            return self._part(part)
        predicate = self._extras[part].predicate
        return [clip(piece, lambda x, _: predicate(x)) for piece in self._boundary()]

    def _check_part(self, part: str) -> None:
        if part not in self.parts:
            raise ConfigError(unknown("boundary part", part, self.parts, repr(self)))

    def _check_walls(self) -> None:
        if not self.walls:
            parts = ", ".join(self._own_parts) or "none"
            raise ConfigError(f"{self!r} has no spatial boundary; its parts are: {parts}")


def _corners(bounds: Float[Tensor, "d 2"]) -> Float[Tensor, "k d"] | None:
    """Return the corners of a box, unless they are too many to be of use."""
    d = bounds.shape[0]
    return torch.cartesian_prod(*bounds).reshape(-1, d) if d <= 10 else None


def _checked(predicate: Predicate, name: str) -> Predicate:
    def checked(x: Tensor) -> Tensor:
        mask = predicate(x)
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != x.shape[:1]:
            given = f"{mask.dtype} {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
            raise ConfigError(
                f'the predicate of part "{name}" returned {given}, expected a torch.bool tensor of shape (n,): one '
                "answer per row of x"
            )
        return mask

    return checked
