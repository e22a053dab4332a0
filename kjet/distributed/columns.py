"""Coordinates shared by several processes: points, directions and random numbers of which each holds some columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..errors import ConfigError, unknown
from ..jets import Jet, OneHot, PerPoint, Seeds, Shared
from ..jets.seeds import Stacked
from ..typing import Float, Tensor
from .mesh import Axis, Share
from .reduction import sum_over

__all__ = ["Columns"]

_BLOCK = 4096  # columns drawn from one generator; another number would give other random numbers
_LAWS = ("radius", "volume")
_ALONE = Axis()

Law = Callable[[tuple[int, int], torch.Generator], Tensor]


@dataclass(frozen=True)
class Columns:
    """The run of coordinates that this process holds, of d in all.

    A process with points ``(n, width)`` and directions :meth:`seeds` evaluates jets as one with all coordinates does.
    What is added up over coordinates is then a part of the sum: for jets as for points,
    ``sum_over((x**2).sum(-1, keepdim=True), columns.axis)`` is ``|x|^2``.

    Random numbers are drawn in blocks of columns, each from a generator of its own, whose seeds follow one another from
    a number that the given generator draws. They are the same whatever the number of processes, and no process makes
    more than its own, and a block. The generator is in the same state on all of them, before and after.

    Args:
        d: Number of coordinates, at least two for each process.
        axis: The processes, such as ``mesh.column``.

    Raises:
        ConfigError: If there are fewer coordinates.

    >>> columns = Columns(7, Axis(1, 3))
    >>> columns.first, columns.last, columns.width
    (3, 5, 2)
    """

    d: int
    axis: Axis = _ALONE

    def __post_init__(self) -> None:
        # A single column of a jet is an ordinary jet: its coefficients have other shapes, and could not be added.
        if self.d < 2 * self.axis.size and not self.d == self.axis.size == 1:
            raise ConfigError(
                f"{self.d} coordinates cannot be split over {self.axis.size} processes, which need two each at least; "
                f"use a mesh with column={max(self.d // 2, 1)} or fewer"
            )

    @property
    def first(self) -> int:
        """First of this process's coordinates."""
        return self.axis.run(self.d)[0]

    @property
    def last(self) -> int:
        """Last of this process's coordinates, exclusive."""
        return self.axis.run(self.d)[1]

    @property
    def width(self) -> int:
        """Number of this process's coordinates."""
        return self.last - self.first

    def of(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n w"] | Jet:
        """Take this process's columns of points or jets that have all of them; those that have no others stay.

        Raises:
            ConfigError: If there are neither d columns nor as many as this process holds.

        >>> Columns(5, Axis(1, 2)).of(torch.arange(5.0)[None])
        tensor([[3., 4.]])
        """
        if x.shape[-1] == self.width:
            return x
        if x.shape[-1] != self.d:
            raise ConfigError(
                f"points have {x.shape[-1]} columns; expected all {self.d}, or the {self.width} of this process, "
                f"{self.first} to {self.last - 1}"
            )
        return x[..., self.first : self.last]

    def seeds(self, seeds: Seeds) -> Seeds:
        """Take this process's columns of directions, for points that have no others.

        Axes stay symbolic: those of other processes are directions that are zero here.

        >>> Columns(6, Axis(1, 2)).seeds(OneHot(torch.tensor([4, 1]))).dense(1, 3, torch.zeros(())).tolist()
        [[[0.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]]
        """
        parts = tuple(self._part(part) for part in seeds.parts())
        return parts[0] if len(parts) == 1 else Stacked(parts)

    def _part(self, part: OneHot | Shared | PerPoint) -> OneHot | Shared | PerPoint:
        if isinstance(part, OneHot):
            inside = (part.columns >= self.first) & (part.columns < self.last)
            return OneHot(torch.where(inside, part.columns - self.first, 0), inside)
        return type(part)(part.vectors[..., self.first : self.last])

    def normal(
        self,
        rows: int,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Float[Tensor, "s w"]:
        """Draw this process's columns of independent standard normal numbers (rows, d), in float64, and round them."""
        law = _normal(torch.float64)
        return self._draw(Share(torch.arange(rows), rows), generator, law, dtype, device, self.last)

    def signs(
        self,
        rows: int,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Float[Tensor, "s w"]:
        """Draw this process's columns of independent signs (rows, d): ``Shared(columns.signs(16, generator))``."""

        def law(size: tuple[int, int], own: torch.Generator) -> Tensor:
            return torch.randint(0, 2, size, generator=own, device=own.device, dtype=dtype).mul_(2).sub_(1)

        return self._draw(Share(torch.arange(rows), rows), generator, law, dtype, device, self.last)

    def ball(
        self,
        points: Share,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        *,
        law: str = "radius",
        beyond: int = 0,
    ) -> Float[Tensor, "n w"]:
        """Draw this process's columns of points in the unit ball of d dimensions.

        Args:
            points: Which points, of how many: ``mesh.points(n)``.
            generator: Source of all randomness; numbers are drawn on its device and moved.
            dtype: Type of the points.
            device: Device of the points.
            law: Distance from the center spread evenly over [0, 1] (``"radius"``), or points over the ``"volume"``.
            beyond: First coordinates of the next process to be drawn, too, for functions that couple neighbours; the
                last process has none.

        Raises:
            ConfigError: If the law is unknown.

        Cost: the numbers, and one all-reduce of (n,).

        >>> columns = Columns(1000)
        >>> x = columns.ball(Share(torch.arange(4), 4), torch.Generator().manual_seed(0))
        >>> x.shape, bool((x.norm(dim=1) < 1).all())
        (torch.Size([4, 1000]), True)
        """
        if law not in _LAWS:
            raise ConfigError(unknown("law", law, _LAWS))
        x = self._draw(points, generator, _normal(dtype), dtype, device, min(self.last + beyond, self.d))
        r = torch.rand(points.total, 1, dtype=torch.float64, generator=generator, device=generator.device)
        r = r[points.index.to(r.device)].to(device)
        # As close to the sphere as rounding of the product leaves a point inside.
        r = (r ** (1.0 / self.d) if law == "volume" else r).clamp(max=1.0 - 4.0 * torch.finfo(dtype).eps)
        pieces = x[:, : self.width].split(_BLOCK, dim=1)
        squares = torch.stack([piece.to(torch.float64).square().sum(1, keepdim=True) for piece in pieces]).sum(0)
        return x.mul_((r / sum_over(squares, self.axis).sqrt()).to(dtype))

    def _draw(
        self,
        points: Share,
        generator: torch.Generator,
        law: Law,
        dtype: torch.dtype,
        device: torch.device | str,
        last: int,
    ) -> Float[Tensor, "n w"]:
        """Some rows of this process's columns, up to `last`, of random numbers (total, d)."""
        index = points.index.to(generator.device)
        found = torch.empty(len(index), last - self.first, dtype=dtype, device=device)
        # Consecutive seeds differ in the 32 bits that torch's generator for CPUs takes of them.
        seed = int(torch.randint(0, 2**62, (), generator=generator, device=generator.device))
        for start in range(self.first - self.first % _BLOCK, last, _BLOCK):
            own = torch.Generator(generator.device).manual_seed(seed + start // _BLOCK)
            block = law((points.total, min(_BLOCK, self.d - start)), own)
            low, high = max(self.first, start), min(last, start + _BLOCK)
            found[:, low - self.first : high - self.first] = block[index, low - start : high - start]
        return found


def _normal(dtype: torch.dtype) -> Law:
    return lambda size, own: torch.randn(size, generator=own, device=own.device, dtype=dtype)
