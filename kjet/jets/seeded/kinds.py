"""Kinds of directions: coordinate axes, vectors shared by all points, vectors of each point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from ...errors import ConfigError
from ...typing import Bool, Float, Int, Tensor
from .blocks import Aimed, Picked, Span

__all__ = ["OneHot", "PerPoint", "Seeds", "Shared", "check_vectors"]


@runtime_checkable
class Seeds(Protocol):
    """Directions of jets, one for each row."""

    @property
    def count(self) -> int:
        """Number of directions s."""
        ...

    def check(self, x: Float[Tensor, "n d"]) -> None:
        """Compare with points.

        Raises:
            ConfigError: If the shape, type, device or a column does not fit.
        """
        ...

    def dense(self, n: int, d: int, like: Tensor) -> Float[Tensor, "s n d"]:
        """The vectors, (s, 1, d) where all points share them."""
        ...

    def rows(self, first: int, last: int) -> Seeds:
        """Directions ``first`` to ``last - 1``."""
        ...

    def points(self, index: Int[Tensor, "n"]) -> Seeds:
        """The same directions at some of the points."""
        ...

    def parts(self) -> tuple[OneHot | Shared | PerPoint, ...]:
        """Seeds of one kind each, one after the other."""
        ...


@dataclass(frozen=True, eq=False)
class OneHot:
    """Coordinate axes: direction r is the axis ``columns[r]``.

    Args:
        columns: One axis for each direction (s,), or one for each direction and point (s, n); int64.
        inside: False where the axis is none of those of the points, of which another process has some: the direction
            is zero, and its column means nothing. None where all of them are.

    Raises:
        ConfigError: If the shape or type is wrong.

    >>> OneHot(torch.tensor([2, 0])).dense(1, 3, torch.zeros(())).tolist()
    [[[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]]]
    """

    columns: Int[Tensor, "s *n"]
    inside: Bool[Tensor, "s *n"] | None = None

    def __post_init__(self) -> None:
        _check_shape("columns of OneHot seeds", self.columns, ("(s,)", "(s, n)"), (1, 2))
        if self.columns.dtype != torch.int64:
            raise ConfigError(f"columns of OneHot seeds are {self.columns.dtype}; expected int64: use columns.long()")
        if self.inside is not None and self.inside.shape != self.columns.shape:
            raise ConfigError(
                f"inside has shape {tuple(self.inside.shape)}; the columns have {tuple(self.columns.shape)}"
            )

    @property
    def count(self) -> int:
        """Number of directions."""
        return self.columns.shape[0]

    def check(self, x: Float[Tensor, "n d"]) -> None:
        """Compare with points, the range of the columns included: reads them, so a device is waited for."""
        self.check_points(x)
        low, high = (int(bound) for bound in torch.aminmax(self.columns))
        if low < 0 or high >= x.shape[1]:
            raise ConfigError(f"columns of OneHot seeds run from {low} to {high}; x has columns 0 to {x.shape[1] - 1}")

    def check_points(self, x: Float[Tensor, "n d"]) -> None:
        """Compare with points all but the range of the columns.

        Raises:
            ConfigError: If the device or the number of points does not fit.
        """
        _check_device("columns of OneHot seeds", self.columns, x)
        if self.columns.ndim == 2 and self.columns.shape[1] != x.shape[0]:
            raise ConfigError(
                f"columns of OneHot seeds have shape {tuple(self.columns.shape)}; expected (s,) or (s, {x.shape[0]}) "
                f"for {x.shape[0]} points"
            )

    def dense(self, n: int, d: int, like: Tensor) -> Float[Tensor, "s n d"]:
        """Unit vectors."""
        axes = self.columns.unsqueeze(-1) == torch.arange(d, device=self.columns.device)
        axes = axes if self.inside is None else axes & self.inside.unsqueeze(-1)
        return (axes if axes.ndim == 3 else axes.unsqueeze(1)).to(like)

    def rows(self, first: int, last: int) -> OneHot:
        """Directions ``first`` to ``last - 1``."""
        return OneHot(self.columns[first:last], None if self.inside is None else self.inside[first:last])

    def points(self, index: Int[Tensor, "n"]) -> OneHot:
        """The same directions at some of the points."""
        if self.columns.ndim == 1:
            return self
        return OneHot(self.columns[:, index], None if self.inside is None else self.inside[:, index])

    def parts(self) -> tuple[OneHot]:
        """Itself."""
        return (self,)

    def block(self, span: Span) -> Picked:
        """Rules for these rows."""
        return Picked(span, self.columns, self.inside)


@dataclass(frozen=True, eq=False)
class Shared:
    """Vectors that all points share.

    Args:
        vectors: One for each direction (s, d), of the type of the points.

    Raises:
        ConfigError: If the shape is wrong.
    """

    vectors: Float[Tensor, "s d"]

    def __post_init__(self) -> None:
        _check_shape("vectors of Shared seeds", self.vectors, ("(s, d)",), (2,))

    @property
    def count(self) -> int:
        """Number of directions."""
        return self.vectors.shape[0]

    def check(self, x: Float[Tensor, "n d"]) -> None:
        """Compare with points."""
        check_vectors("vectors of Shared seeds", self.vectors, (self.count, x.shape[1]), x)

    def dense(self, n: int, d: int, like: Tensor) -> Float[Tensor, "s n d"]:
        """The vectors, (s, 1, d)."""
        return self.vectors.unsqueeze(1)

    def rows(self, first: int, last: int) -> Shared:
        """Directions ``first`` to ``last - 1``."""
        return Shared(self.vectors[first:last])

    def points(self, index: Int[Tensor, "n"]) -> Shared:
        """Itself."""
        return self

    def parts(self) -> tuple[Shared]:
        """Itself."""
        return (self,)

    def block(self, span: Span) -> Aimed:
        """Rules for these rows."""
        return Aimed(span, self.vectors.unsqueeze(1))


@dataclass(frozen=True, eq=False)
class PerPoint:
    """Vectors of each point.

    Args:
        vectors: One for each direction and point (s, n, d), of the type of the points.

    Raises:
        ConfigError: If the shape is wrong.
    """

    vectors: Float[Tensor, "s n d"]

    def __post_init__(self) -> None:
        _check_shape("vectors of PerPoint seeds", self.vectors, ("(s, n, d)",), (3,))

    @property
    def count(self) -> int:
        """Number of directions."""
        return self.vectors.shape[0]

    def check(self, x: Float[Tensor, "n d"]) -> None:
        """Compare with points."""
        check_vectors("vectors of PerPoint seeds", self.vectors, (self.count, *x.shape), x)

    def dense(self, n: int, d: int, like: Tensor) -> Float[Tensor, "s n d"]:
        """The vectors."""
        return self.vectors

    def rows(self, first: int, last: int) -> PerPoint:
        """Directions ``first`` to ``last - 1``."""
        return PerPoint(self.vectors[first:last])

    def points(self, index: Int[Tensor, "n"]) -> PerPoint:
        """The same directions at some of the points."""
        return PerPoint(self.vectors[:, index])

    def parts(self) -> tuple[PerPoint]:
        """Itself."""
        return (self,)

    def block(self, span: Span) -> Aimed:
        """Rules for these rows."""
        return Aimed(span, self.vectors)


def _check_shape(what: str, tensor: Tensor, expected: Sequence[str], axes: Sequence[int]) -> None:
    if tensor.ndim not in axes or 0 in tensor.shape[:1]:
        raise ConfigError(f"{what} have shape {tuple(tensor.shape)}; expected {' or '.join(expected)} with s >= 1")


def _check_device(what: str, tensor: Tensor, x: Tensor) -> None:
    if tensor.device != x.device:
        raise ConfigError(f"{what} are on {tensor.device}, the points on {x.device}; move one with .to(device)")


def check_vectors(what: str, vectors: Tensor, shape: tuple[int, ...], x: Tensor) -> None:
    """Compare vectors with the shape that they must have, and with the type and the device of points.

    Raises:
        ConfigError: If they do not fit.
    """
    if tuple(vectors.shape) != shape:
        raise ConfigError(f"{what} have shape {tuple(vectors.shape)}; expected {shape} for points {tuple(x.shape)}")
    if vectors.dtype != x.dtype:
        raise ConfigError(f"{what} are {vectors.dtype}, the points {x.dtype}; convert them with vectors.to(x)")
    _check_device(what, vectors, x)
