"""Multi-indices that list only the coordinates that they use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import ConfigError
from ..typing import MultiIndex

__all__ = ["SparseIndex", "dense", "misfit", "product_of", "sparse", "total_order"]

SparseIndex = tuple[tuple[int, int], ...]
"""Derivative orders as ``(axis, order)`` pairs, rising in the axis, every order positive: ``((0, 2), (3, 1))``."""


def sparse(index: Iterable[Any], d: int | None = None) -> SparseIndex:
    """Make a multi-index sparse: one order for each coordinate, or pairs ``(axis, order)`` already.

    Args:
        index: Either form; ``()`` is the function itself.
        d: Number of coordinates to check against, if it is known.

    Raises:
        ConfigError: If an order is negative, or the index does not fit ``d`` coordinates.

    >>> sparse((2, 0, 1)), sparse(((2, 1), (0, 2)))
    (((0, 2), (2, 1)), ((0, 2), (2, 1)))
    """
    entries = tuple(index)
    if entries and all(isinstance(entry, tuple | list) for entry in entries):
        return _of_pairs(entries, d)
    orders = tuple(int(entry) for entry in entries)
    if (d is not None and entries and len(orders) != d) or min(orders, default=0) < 0:
        raise ConfigError(misfit(orders, len(orders) if d is None else d))
    return tuple((axis, order) for axis, order in enumerate(orders) if order)


def _of_pairs(pairs: Sequence[Any], d: int | None) -> SparseIndex:
    total: Counter[int] = Counter()
    for pair in pairs:
        if len(pair) != 2:
            raise ConfigError(f"a sparse multi-index holds pairs (axis, order); got {pairs}")
        axis, order = int(pair[0]), int(pair[1])
        if axis < 0 or order < 0 or (d is not None and axis >= d):
            raise ConfigError(
                f"multi-index {tuple(pairs)} needs axes from 0 to {'d - 1' if d is None else d - 1} and orders >= 0"
            )
        total[axis] += order
    return tuple(sorted((axis, order) for axis, order in total.items() if order))


def misfit(index: Sequence[int], d: int) -> str:
    """Say that a multi-index does not fit d coordinates."""
    return f"multi-index {tuple(index)} needs {d} non-negative entries, one for each coordinate of x"


def dense(index: SparseIndex, d: int) -> MultiIndex:
    """Orders of all coordinates.

    >>> dense(((0, 2), (2, 1)), 4)
    (2, 0, 1, 0)
    """
    entries = [0] * d
    for axis, order in index:
        entries[axis] = order
    return tuple(entries)


def total_order(index: SparseIndex) -> int:
    """Order of the derivative, ``|alpha|``."""
    return sum(order for _, order in index)


def product_of(a: SparseIndex, b: SparseIndex) -> SparseIndex:
    """One derivative after another."""
    if not a or not b:
        return a or b
    total = Counter(dict(a))
    for axis, order in b:
        total[axis] += order
    return tuple(sorted(total.items()))
