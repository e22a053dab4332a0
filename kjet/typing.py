"""Shape legend and type aliases used throughout kjet.

``n`` points, ``d`` input coordinates, ``m`` fields, ``k`` derivative order, ``s`` directions, ``p`` parameters,
``b`` batch of functions, ``r`` residuals. Annotations are jaxtyping's: ``Float[Tensor, "n d"]``.
"""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor

MultiIndex = tuple[int, ...]
"""Derivative orders, one per coordinate: ``(2, 1)`` is d^3/dx^2 dt."""

__all__ = ["Bool", "Float", "Int", "MultiIndex", "Tensor"]
