"""Directions of jets kept symbolic: coordinate axes and vectors that never become arrays (s, n, d)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from ..errors import ConfigError
from ..typing import Float, Int, Tensor
from . import _seeded_rules  # noqa: F401  (importing registers the rules)
from ._blocks import Aimed, Picked, Span
from ._seeded import Structured, begin
from .layout import Layout

__all__ = ["OneHot", "PerPoint", "Seeds", "Shared", "Stacked", "start"]


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

    Raises:
        ConfigError: If the shape or type is wrong.

    >>> OneHot(torch.tensor([2, 0])).dense(1, 3, torch.zeros(())).tolist()
    [[[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]]]
    """

    columns: Int[Tensor, "s *n"]

    def __post_init__(self) -> None:
        _check_shape("columns of OneHot seeds", self.columns, ("(s,)", "(s, n)"), (1, 2))
        if self.columns.dtype != torch.int64:
            raise ConfigError(f"columns of OneHot seeds are {self.columns.dtype}; expected int64: use columns.long()")

    @property
    def count(self) -> int:
        """Number of directions."""
        return self.columns.shape[0]

    def check(self, x: Float[Tensor, "n d"]) -> None:
        """Compare with points, the range of the columns included: reads them, so a device is waited for."""
        self._check_points(x)
        low, high = (int(bound) for bound in torch.aminmax(self.columns))
        if low < 0 or high >= x.shape[1]:
            raise ConfigError(f"columns of OneHot seeds run from {low} to {high}; x has columns 0 to {x.shape[1] - 1}")

    def _check_points(self, x: Tensor) -> None:
        _check_device("columns of OneHot seeds", self.columns, x)
        if self.columns.ndim == 2 and self.columns.shape[1] != x.shape[0]:
            raise ConfigError(
                f"columns of OneHot seeds have shape {tuple(self.columns.shape)}; expected (s,) or (s, {x.shape[0]}) "
                f"for {x.shape[0]} points"
            )

    def dense(self, n: int, d: int, like: Tensor) -> Float[Tensor, "s n d"]:
        """Unit vectors."""
        axes = self.columns.unsqueeze(-1) == torch.arange(d, device=self.columns.device)
        return (axes if axes.ndim == 3 else axes.unsqueeze(1)).to(like)

    def rows(self, first: int, last: int) -> OneHot:
        """Directions ``first`` to ``last - 1``."""
        return OneHot(self.columns[first:last])

    def points(self, index: Int[Tensor, "n"]) -> OneHot:
        """The same directions at some of the points."""
        return self if self.columns.ndim == 1 else OneHot(self.columns[:, index])

    def parts(self) -> tuple[OneHot]:
        """Itself."""
        return (self,)

    def block(self, span: Span) -> Picked:
        """Rules for these rows."""
        return Picked(span, self.columns)


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
        _check_vectors("vectors of Shared seeds", self.vectors, (self.count, x.shape[1]), x)

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
        _check_vectors("vectors of PerPoint seeds", self.vectors, (self.count, *x.shape), x)

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
                found[-1] = OneHot(torch.cat([last.columns, part.columns]))
            else:
                found.append(part)
        return tuple(found)


def start(x: Float[Tensor, "n d"], seeds: Seeds, layout: Layout, top: Mapping[int, Tensor] | None = None) -> Structured:
    """Jets of the coordinates along the seeds: ``x + t v``, and ``+ t^k a`` for the entries of ``top``.

    Through functions of single coordinates, products with constants, sums, means and norms over the coordinates, linear
    layers and slices, the directions stay symbolic: a factor ``(1 - |x|^2)`` and a first layer cost O(n d) for the
    value, and for the coefficients O(s n) (axes) or one product (n, d) x (d, s) (shared vectors).
    The first other operation takes dense coefficients; it is right, and costs what they cost.

    Args:
        x: Points.
        seeds: Directions, sorted as the layout wants them.
        layout: Meaning of the rows; its order 1 uses as many directions as there are seeds.
        top: For an order k, vectors (rows(k), d) or (rows(k), n, d) added to its rows, summed ones included: along such
            a curve the coefficient gets ``a . grad u`` besides its directional derivative. Rows that go on to order
            k + 1 must be zero.

    Raises:
        ConfigError: If shapes, types, devices, columns or counts do not fit.

    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> y = (start(x, OneHot(torch.tensor([2])), Layout.uniform(1, 2)) ** 2).sum(-1)
    >>> [c.item() for c in y.coefficients]
    [14.0, 6.0, 1.0]
    """
    if x.ndim != 2 or not x.is_floating_point():
        raise ConfigError(f"points must be floating point of shape (n, d); got {x.dtype} of {tuple(x.shape)}")
    if layout.order == 0 or layout.active(1) != seeds.count:
        used = layout.active(1) if layout.order else 0
        raise ConfigError(f"the layout uses {used} directions, but there are {seeds.count} seeds; give one for each")
    parts = seeds.parts()
    blocks, first = [], 0
    for part in parts:
        _check(part, x)
        blocks.append(part.block(Span(layout, first, part.count)))
        first += part.count
    return begin(x, layout, tuple(blocks), _tops(top or {}, x, layout))


def _check(part: OneHot | Shared | PerPoint, x: Tensor) -> None:
    """Check all that can be known without waiting for a device."""
    if isinstance(part, OneHot) and not _readable(part.columns):
        part._check_points(x)
    else:
        part.check(x)


def _readable(tensor: Tensor) -> bool:
    """Whether numbers may be looked at: none of a tracer, a transform or a device that works asynchronously."""
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
        return False
    return tensor.device.type == "cpu" and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def _tops(top: Mapping[int, Tensor], x: Tensor, layout: Layout) -> dict[int, Tensor]:
    found = {}
    for k, vectors in top.items():
        if not 1 <= k <= layout.order:
            raise ConfigError(f"top seeds for order {k}; the layout has orders 1 to {layout.order}")
        rows = layout.rows(k)
        shape = (rows, *x.shape) if vectors.ndim == 3 else (rows, x.shape[1])
        _check_vectors(f"top seeds of order {k}", vectors, shape, x)
        onward = layout.active(k + 1) if k < layout.order else 0
        if onward and _readable(vectors) and bool(vectors[:onward].any()):
            raise ConfigError(
                f"top seeds of order {k} are not zero in rows 0 to {onward - 1}, which go on to order {k + 1}; "
                "give these directions an order of their own"
            )
        found[k] = vectors if vectors.ndim == 3 else vectors.unsqueeze(1)
    return found


def _check_shape(what: str, tensor: Tensor, expected: Sequence[str], axes: Sequence[int]) -> None:
    if tensor.ndim not in axes or 0 in tensor.shape[:1]:
        raise ConfigError(f"{what} have shape {tuple(tensor.shape)}; expected {' or '.join(expected)} with s >= 1")


def _check_device(what: str, tensor: Tensor, x: Tensor) -> None:
    if tensor.device != x.device:
        raise ConfigError(f"{what} are on {tensor.device}, the points on {x.device}; move one with .to(device)")


def _check_vectors(what: str, vectors: Tensor, shape: tuple[int, ...], x: Tensor) -> None:
    if tuple(vectors.shape) != shape:
        raise ConfigError(f"{what} have shape {tuple(vectors.shape)}; expected {shape} for points {tuple(x.shape)}")
    if vectors.dtype != x.dtype:
        raise ConfigError(f"{what} are {vectors.dtype}, the points {x.dtype}; convert them with vectors.to(x)")
    _check_device(what, vectors, x)
