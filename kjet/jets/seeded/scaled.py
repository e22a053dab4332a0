"""Coordinate axes of a length that differs between points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ...errors import ConfigError
from ...typing import Float, Int, Tensor
from .blocks import Picked, Span

__all__ = ["ScaledAxes"]


@dataclass(frozen=True, eq=False)
class ScaledAxes:
    """Multiples of coordinate axes: direction r at point n is ``scales[r, n]`` times the axis ``columns[r]``.

    As symbolic as :class:`OneHot` seeds are: the lengths enter the series of the coordinates that are picked, and no
    array (s, n, d) is made.

    Args:
        columns: One axis for each direction (s,), or one for each direction and point (s, n); int64.
        scales: Lengths (s, n), of the type of the points.

    Raises:
        ConfigError: If the shapes do not fit.

    >>> ScaledAxes(torch.tensor([1]), torch.tensor([[3.0, 4.0]])).dense(2, 2, torch.zeros(())).tolist()
    [[[0.0, 3.0], [0.0, 4.0]]]
    """

    columns: Int[Tensor, "s *n"]
    scales: Float[Tensor, "s n"]

    def __post_init__(self) -> None:
        if self.scales.ndim != 2 or self.columns.shape not in (self.scales.shape, self.scales.shape[:1]):
            raise ConfigError(
                f"columns {tuple(self.columns.shape)} and scales {tuple(self.scales.shape)} of axes do not fit; "
                "expected (s,) or (s, n), and (s, n)"
            )

    @property
    def count(self) -> int:
        """Number of directions."""
        return self.columns.shape[0]

    def check(self, x: Float[Tensor, "n d"]) -> None:
        """Compare with points all but the range of the columns, which is that of the axes they were drawn from.

        Raises:
            ConfigError: If the number of points, the type or the device does not fit.
        """
        if self.scales.shape[1] != x.shape[0] or self.scales.dtype != x.dtype or self.scales.device != x.device:
            raise ConfigError(
                f"scales of axes are {self.scales.dtype} {tuple(self.scales.shape)} on {self.scales.device}; expected "
                f"{x.dtype} ({self.count}, {x.shape[0]}) on {x.device}"
            )

    def dense(self, n: int, d: int, like: Tensor) -> Float[Tensor, "s n d"]:
        """The vectors."""
        axes = self.columns.unsqueeze(-1) == torch.arange(d, device=self.columns.device)
        return (axes if axes.ndim == 3 else axes.unsqueeze(1)) * self.scales.to(like).unsqueeze(-1)

    def rows(self, first: int, last: int) -> ScaledAxes:
        """Directions ``first`` to ``last - 1``."""
        return ScaledAxes(self.columns[first:last], self.scales[first:last])

    def points(self, index: Int[Tensor, "n"]) -> ScaledAxes:
        """The same directions at some of the points."""
        columns = self.columns if self.columns.ndim == 1 else self.columns[:, index]
        return ScaledAxes(columns, self.scales[:, index])

    def parts(self) -> tuple[Any, ...]:
        """Itself."""
        return (self,)

    def block(self, span: Span) -> Picked:
        """Rules for these rows: the lengths are factors of the coefficient of order 1, as a mask is."""
        return Picked(span, self.columns, self.scales)
