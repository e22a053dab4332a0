"""Vectors of expressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ConfigError

__all__ = ["Vector"]


class Vector(tuple[Any, ...]):
    """A tuple of expressions, one for each spatial coordinate, with arithmetic; ``a @ b`` is the dot product.

    >>> Vector((1, 2)) + Vector((3, 4)) * 10, Vector((1, 2)) @ Vector((3, 4))
    ((31, 42), 11)

    Raises:
        ConfigError: If two vectors differ in length, or are multiplied by ``*``.
    """

    def __new__(cls, items: Any) -> Vector:
        """Make a vector of any iterable."""
        return super().__new__(cls, tuple(items))

    def _pair(self, other: Any, operation: Callable[[Any, Any], Any]) -> Vector:
        others = other if isinstance(other, tuple | list) else (other,) * len(self)
        if len(others) != len(self):
            raise ConfigError(f"vectors of {len(self)} and {len(others)} components cannot be combined")
        return Vector(operation(a, b) for a, b in zip(self, others, strict=True))

    def __add__(self, other: Any) -> Vector:
        return self._pair(other, lambda a, b: a + b)

    def __radd__(self, other: Any) -> Vector:
        return self._pair(other, lambda a, b: b + a)

    def __sub__(self, other: Any) -> Vector:
        return self._pair(other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Vector:
        return self._pair(other, lambda a, b: b - a)

    def __mul__(self, other: Any) -> Vector:  # type: ignore[override]
        if isinstance(other, Vector):
            raise ConfigError("use a @ b for the dot product of vectors")
        return self._pair(other, lambda a, b: a * b)

    __rmul__ = __mul__  # type: ignore[assignment]

    def __truediv__(self, other: Any) -> Vector:
        return self._pair(other, lambda a, b: a / b)

    def __neg__(self) -> Vector:
        return Vector(-a for a in self)

    def __matmul__(self, other: Any) -> Any:
        terms = list(self._pair(other, lambda a, b: a * b))
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total
