"""Checks of the numbers and names that describe a shape."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...errors import ConfigError

__all__ = ["Real", "coordinate_names", "interval", "point", "positive"]


Real = float | int
"""A number that a user may write either way; shapes store floats."""


def interval(given: Sequence[Real], what: str) -> tuple[float, float]:
    """Return (low, high) as floats.

    Raises:
        ConfigError: If there are not two finite numbers, or low is not below high.

    >>> interval((0, 2), "x of Rectangle")
    (0.0, 2.0)
    """
    low, high = point(given, what, 2)
    if not low < high:
        raise ConfigError(f"{what} must run from a lower to a higher number, got ({low}, {high})")
    return low, high


def point(given: Sequence[Real], what: str, d: int | None = None) -> tuple[float, ...]:
    """Return finite coordinates as floats, `d` of them if given.

    Raises:
        ConfigError: If the count is wrong or a number is not finite.
    """
    if isinstance(given, (str, int, float)):
        raise ConfigError(f"{what} must be a sequence of numbers, got {given!r}")
    values = tuple(float(value) for value in given)
    if d is not None and len(values) != d:
        raise ConfigError(f"{what} must have {d} numbers, got {len(values)}")
    if not all(map(math.isfinite, values)):
        raise ConfigError(f"{what} must be finite, got {given!r}")
    return values


def positive(given: Real, what: str) -> float:
    """Return a finite number above zero.

    Raises:
        ConfigError: If it is not.
    """
    if not (math.isfinite(given) and given > 0):
        raise ConfigError(f"{what} must be a finite number above 0, got {given!r}")
    return float(given)


def coordinate_names(given: Sequence[str] | None, d: int, where: str) -> tuple[str, ...]:
    """Return `d` different coordinate names; ``None`` gives x1, x2, ...

    Raises:
        ConfigError: If the count is wrong, or a name is empty, repeated or no string.

    >>> coordinate_names(None, 3, "Box")
    ('x1', 'x2', 'x3')
    """
    if given is None:
        return tuple(f"x{i + 1}" for i in range(d))
    names = (given,) if isinstance(given, str) else tuple(given)
    if len(names) != d:
        raise ConfigError(f"{where} has {d} coordinates, got {len(names)} names: {', '.join(map(str, names))}")
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) != d:
        raise ConfigError(f"coordinate names of {where} must be different strings, got {names!r}")
    return names
