"""Axis-aligned boxes: interval, rectangle, cuboid and box of any dimension; time and parameters are boxes, too."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ...errors import ConfigError
from ...typing import Bool, Float, Tensor
from .base import Domain, Side
from .checks import Real, coordinate_names, interval
from .pieces import Patch, Piece
from .rfunctions import TensorLike, conjunction, join, magnitude, trim

__all__ = ["AxisBox", "Box", "Cuboid", "Interval", "Parameters", "Rectangle", "Time"]

_LOOP = 32  # up to so many coordinates are taken one by one, beyond that together


class AxisBox(Domain):
    """What all boxes share. Use :class:`Interval`, :class:`Rectangle`, :class:`Cuboid` or :class:`Box`."""

    def __init__(
        self,
        sides: Sequence[tuple[float, float]],
        coords: tuple[str, ...],
        parts: tuple[str, ...],
        walls: tuple[str, ...] | None = None,
    ) -> None:
        self._low = tuple(low for low, _ in sides)
        self._high = tuple(high for _, high in sides)
        self._size = tuple(high - low for low, high in sides)
        measure = math.prod(self._size)
        if min(self._size) <= 0 or not all(map(math.isfinite, self._size)):
            raise ConfigError(f"the sides of {type(self).__name__} measure {self._size}: float64 cannot hold them")
        faces = {name: parts[2 * i : 2 * i + 2] for i, name in enumerate(coords)} if parts else {}
        opposite = {name: (pair[0], pair[1]) for name, pair in faces.items()}
        bounds = torch.tensor(sides, dtype=torch.float64)
        super().__init__(coords, bounds, measure, parts, walls=walls, convex=True, opposite=opposite)

    def inside(self, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Tell which points lie strictly between the faces."""
        bounds = self.bounds.to(x.device)
        y = x.to(torch.float64)
        return ((y > bounds[:, 0]) & (y < bounds[:, 1])).all(dim=-1)

    def _interior(self) -> list[Piece]:
        return [Piece(self.measure, self.dim, lambda u: Patch(self._place(u)))]

    def _place(self, u: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        low, high = self.bounds.to(u.device).unbind(1)
        return torch.lerp(low, high, u)  # exact at both ends, so that faces have their exact coordinate

    def _boundary(self) -> list[Piece]:
        if self.dim <= 3:
            return [self._face(i, end) for i in range(self.dim) for end in (0, 1)]
        # In many dimensions one chart for all faces: its first unit coordinate chooses among them.
        inverse = 1.0 / (self.bounds[:, 1] - self.bounds[:, 0])  # a face measures volume / side
        ends = inverse.repeat_interleave(2).cumsum(0)

        def chart(u: Tensor) -> Patch:
            scaled = u[:, 0].contiguous() * float(ends[-1])
            face = torch.searchsorted(ends.to(u.device), scaled, right=True).clamp(max=2 * self.dim - 1)
            column, end = (face // 2)[:, None], (face % 2)[:, None].to(u.dtype)
            # the d - 1 unused unit coordinates belong to the other columns: column 0 takes the place of the fixed one
            v = u.clone()
            v[:, :1] = u.gather(1, column)
            v = v.scatter(1, column, end)
            return Patch(self._place(v), torch.zeros_like(v).scatter(1, column, 2.0 * end - 1.0))

        return [Piece(self.measure * float(ends[-1]), self.dim, chart)]

    def _part(self, part: str) -> list[Piece]:
        i, end = divmod(self._own_parts.index(part), 2)
        return [self._face(i, end)]

    def _face(self, i: int, end: int) -> Piece:
        def chart(u: Tensor) -> Patch:
            fixed = u.new_full((len(u), 1), float(end))
            normals = u.new_zeros(len(u), self.dim)
            normals[:, i] = 2.0 * end - 1.0
            return Patch(self._place(torch.cat([u[:, :i], fixed, u[:, i:]], dim=1)), normals)

        size = math.prod(self._size[:i] + self._size[i + 1 :], start=1.0)
        return Piece(size, self.dim - 1, chart)

    def _distance(self, x: TensorLike) -> TensorLike:
        if self.dim <= _LOOP:
            return join([self._slab(x, i) for i in range(self.dim)])
        low, high = _constant(self._low, x), _constant(self._high, x)
        size = _constant(self._size, x)
        y = x if x.shape[-1] == self.dim else x[..., : self.dim]
        return _fold((y - low) * (high - y) / size)

    def _part_distance(self, x: TensorLike, part: str, side: Side) -> TensorLike:
        i, end = divmod(self._own_parts.index(part), 2)
        plane = self._high[i] - x[..., i] if end else x[..., i] - self._low[i]
        if side is Side.INSIDE:
            return plane
        others = [j for j in range(self.dim) if j != i]
        if not others:
            return magnitude(plane)
        return trim(plane, join([self._slab(x, j) for j in others]), min(self._size[j] for j in others))

    def _slab(self, x: TensorLike, i: int) -> TensorLike:
        return (x[..., i] - self._low[i]) * (self._high[i] - x[..., i]) * (1.0 / self._size[i])


def _constant(values: tuple[float, ...], x: TensorLike) -> Tensor | float:
    if all(value == values[0] for value in values):
        return values[0]
    return torch.tensor(values, dtype=x.dtype, device=x.device)


def _fold(slabs: TensorLike) -> TensorLike:
    """Intersect all columns, half against half: log2(d) vectorised steps."""
    left_over = []
    width = slabs.shape[-1]
    while width > 1:
        half = width // 2
        if width % 2:
            left_over.append(slabs[..., width - 1])
        slabs = conjunction(slabs[..., :half], slabs[..., half : 2 * half])
        width = half
    return join([slabs[..., 0], *left_over])


class Interval(AxisBox):
    """Interval ``low < x < high``; parts `left` and `right`, each a point of measure 1.

    Args:
        low: Lower end.
        high: Upper end.
        coord: Name of the coordinate.

    Raises:
        ConfigError: If it is empty, inverted or not finite.

    >>> generator = torch.Generator().manual_seed(0)
    >>> Interval(-1.0, 1.0).boundary(1, "right", generator=generator).x
    tensor([[1.]])
    """

    def __init__(self, low: Real, high: Real, coord: str = "x") -> None:
        sides = [interval((low, high), "Interval")]
        super().__init__(sides, coordinate_names([coord], 1, "Interval"), ("left", "right"))


class Rectangle(AxisBox):
    """Rectangle; parts `left`, `right` (first coordinate), `bottom`, `top` (second).

    Args:
        sides: Two named coordinates with their (low, high); default ``x=(0, 1), y=(0, 1)``.

    Raises:
        ConfigError: If there are not two coordinates, or a side is empty, inverted or not finite.

    >>> Rectangle(x=(0, 2), y=(0, 1)).part_measure("bottom")
    2.0
    """

    def __init__(self, **sides: tuple[Real, Real]) -> None:
        names, pairs = _named("Rectangle", 2, sides or {"x": (0.0, 1.0), "y": (0.0, 1.0)})
        super().__init__(pairs, names, ("left", "right", "bottom", "top"))


class Cuboid(AxisBox):
    """Cuboid; parts `left`, `right`, `bottom`, `top`, and `front`, `back` (third coordinate, low and high).

    Args:
        sides: Three named coordinates with their (low, high); default the unit cube in x, y, z.

    Raises:
        ConfigError: If there are not three coordinates, or a side is empty, inverted or not finite.

    >>> Cuboid(x=(0, 2), y=(0, 1), z=(0, 1)).part_measure()
    10.0
    """

    def __init__(self, **sides: tuple[Real, Real]) -> None:
        names, pairs = _named("Cuboid", 3, sides or {"x": (0.0, 1.0), "y": (0.0, 1.0), "z": (0.0, 1.0)})
        super().__init__(pairs, names, ("left", "right", "bottom", "top", "front", "back"))


class Box(AxisBox):
    """Box of any dimension; parts `x1_min`, `x1_max`, `x2_min`, ... after the coordinates.

    Args:
        bounds: (low, high) of each coordinate.
        coords: Names of the coordinates; default x1, x2, ...

    Raises:
        ConfigError: If there are no bounds, names do not match, or a side is empty, inverted or not finite.

    >>> Box([(0, 1)] * 100).distance(torch.full((1, 100), 0.5)) > 0
    tensor([True])
    """

    def __init__(self, bounds: Sequence[Sequence[Real]], coords: Sequence[str] | None = None) -> None:
        if len(bounds) == 0:
            raise ConfigError("Box needs at least one pair (low, high), got none")
        names = coordinate_names(coords, len(bounds), "Box")
        sides = [interval(pair, f"{name} of Box") for name, pair in zip(names, bounds, strict=True)]
        super().__init__(sides, names, tuple(f"{name}_{end}" for name in names for end in ("min", "max")))


class Time(AxisBox):
    """Time interval; parts `initial` and `final`, with normals -1 and +1. It has no spatial boundary.

    Args:
        t0: Start.
        t1: End.
        coord: Name of the coordinate.

    Raises:
        ConfigError: If it is empty, inverted or not finite.

    >>> (Interval(0, 1) * Time(0, 2)).distance(torch.tensor([[0.5, 0.25]]), "initial")
    tensor([0.2500])
    """

    def __init__(self, t0: Real, t1: Real, coord: str = "t") -> None:
        sides = [interval((t0, t1), "Time")]
        super().__init__(sides, coordinate_names([coord], 1, "Time"), ("initial", "final"), walls=())
        self.time = coord


class Parameters(AxisBox):
    """Ranges of parameters that the solution depends on; they have no boundary parts.

    Args:
        ranges: (low, high) by name.

    Raises:
        ConfigError: If there are none, or a range is empty, inverted or not finite.

    >>> (Interval(0, 1) * Parameters(nu=(0.1, 1.0))).coords
    ('x', 'nu')
    """

    def __init__(self, **ranges: tuple[Real, Real]) -> None:
        if not ranges:
            raise ConfigError("Parameters needs at least one range, such as nu=(0.1, 1.0)")
        names, pairs = _named("Parameters", len(ranges), ranges)
        super().__init__(pairs, names, ())
        self.parameters = names


def _named(
    shape: str, d: int, sides: dict[str, tuple[Real, Real]]
) -> tuple[tuple[str, ...], list[tuple[float, float]]]:
    if len(sides) != d:
        raise ConfigError(f"{shape} has {d} coordinates, got {len(sides)}: {', '.join(sides)}; name each once")
    return tuple(sides), [interval(pair, f"{name} of {shape}") for name, pair in sides.items()]
