"""Sums over many coordinates, kept by name whatever their number."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import ConfigError
from .indices import SparseIndex

__all__ = ["Axes", "GradientProducts", "Trace", "as_axes", "axes_name"]

Axes = range | tuple[int, ...]
"""Columns of x."""


@dataclass(frozen=True)
class Trace:
    """``(sum over axes of d_i^2)^power``: a power of the Laplacian over some coordinates, kept by name.

    Args:
        axes: Columns of x, as a range or a tuple; a tuple without gaps becomes a range.
        power: At least 1.

    Raises:
        ConfigError: If there is no axis, one is negative or repeats, or the power is below 1.

    >>> Trace((3, 1, 2))
    Trace(axes=range(1, 4), power=1)
    """

    axes: Axes
    power: int = 1

    def __post_init__(self) -> None:
        if self.power < 1:
            raise ConfigError(f"power of the Laplacian must be at least 1; got {self.power}")
        object.__setattr__(self, "axes", as_axes(self.axes))

    @property
    def order(self) -> int:
        """Order of the derivatives summed."""
        return 2 * self.power

    @property
    def terms(self) -> int:
        """Number of different derivatives in the sum."""
        return math.comb(len(self.axes) + self.power - 1, self.power)

    def expanded(self) -> dict[SparseIndex, int]:
        """Every term, by the multinomial theorem.

        >>> Trace(range(2), 2).expanded()
        {((0, 4),): 1, ((0, 2), (1, 2)): 2, ((1, 4),): 1}
        """
        found: dict[SparseIndex, int] = {}
        for chosen in itertools.combinations_with_replacement(self.axes, self.power):
            counts = Counter(chosen)
            multiple = math.factorial(self.power) // math.prod(math.factorial(c) for c in counts.values())
            found[tuple((axis, 2 * c) for axis, c in sorted(counts.items()))] = multiple
        return found

    def __str__(self) -> str:
        return f"lap{f'^{self.power}' if self.power > 1 else ''}[{axes_name(self.axes)}]"


@dataclass(frozen=True)
class GradientProducts:
    """``sum over axes of (d_i f_a) (d_i f_b)`` for each pair of values: products of gradients over some coordinates.

    Of a function with values (n, m) a plan makes an array (n, m, m) of them, with ``|grad f_a|^2`` on the diagonal. The
    only thing in a plan that is not linear in the function; its estimate is unbiased, too.

    Args:
        axes: Columns of x, as a range or a tuple; a tuple without gaps becomes a range.

    Raises:
        ConfigError: If there is no axis, one is negative or repeats.

    >>> print(GradientProducts((3, 1, 2)))
    grad . grad[1..3]
    """

    axes: Axes

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", as_axes(self.axes))

    @property
    def order(self) -> int:
        """Order of the derivatives."""
        return 1

    def check(self, d: int) -> None:
        """Compare with the number of coordinates.

        Raises:
            ConfigError: If an axis is none of them.
        """
        if self.axes[-1] >= d:
            raise ConfigError(f"{self} uses axis {self.axes[-1]}, but x has axes 0 to {d - 1}")

    def __str__(self) -> str:
        return f"grad . grad[{axes_name(self.axes)}]"


def axes_name(axes: Axes) -> str:
    """Write columns in few characters."""
    if isinstance(axes, range) and axes.step == 1:
        return f"{axes.start}..{axes.stop - 1}"
    if len(axes) <= 6:
        return ", ".join(map(str, axes))
    return f"{axes[0]}, {axes[1]}, .. {axes[-1]}; {len(axes)} in all"


def as_axes(axes: Iterable[int]) -> Axes:
    """Sort columns, as a range where they have no gaps.

    Raises:
        ConfigError: If there is none, one is negative or repeats.
    """
    if isinstance(axes, range):
        found: Axes = axes if axes.step > 0 else axes[::-1]
    else:
        found = tuple(sorted(int(axis) for axis in axes))
        if len(found) > 1 and found[-1] - found[0] == (step := found[1] - found[0]) * (len(found) - 1) and step > 0:
            candidate = range(found[0], found[-1] + 1, step)
            found = candidate if found == tuple(candidate) else found
        elif len(found) == 1:
            found = range(found[0], found[0] + 1)
    if not found or found[0] < 0 or (isinstance(found, tuple) and len(set(found)) < len(found)):
        raise ConfigError(f"axes {tuple(axes)} must be different columns of x, one at least")
    return found
