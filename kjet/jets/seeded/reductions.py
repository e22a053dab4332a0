"""Sums, means and norms over the coordinates, as matrix products where there are vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ...typing import Tensor
from .._rows import eager
from .._series import Coefficient, plus
from ..jet import Jet
from .blocks import contract, sum_of_squares
from .elementwise import elementwise
from .structured import Product, Structured, Whole, assemble, keeps, over_coordinates, unit_coefficient


def _series(whole: Whole, k: int) -> list[tuple[float, tuple[Tensor, ...]]]:
    """``G_k`` as a sum of products."""
    if not isinstance(whole, Product):
        g = unit_coefficient(whole, k)
        return [] if g is None else [(1.0, (g,))]
    same = whole.left is whole.right
    terms: list[tuple[float, tuple[Tensor, ...]]] = []
    for j in range(k // 2 + 1 if same else k + 1):
        a, b = unit_coefficient(whole.left, j), unit_coefficient(whole.right, k - j)
        if a is not None and b is not None:
            terms.append((2.0 if same and 2 * j < k else 1.0, (a, b)))
    return terms


def _total(whole: Whole) -> Tensor:
    """Sum of the values over the coordinates."""
    if not isinstance(whole, Product):
        return (whole.primal if isinstance(whole, Jet) else whole).sum(-1)
    left, right = (w.primal if isinstance(w, Jet) else w for w in (whole.left, whole.right))
    if left is right and left.shape[-1] >= 4096 and eager() and not (left.requires_grad and torch.is_grad_enabled()):
        return sum_of_squares(left)
    if left.ndim == 1 or right.ndim == 1:
        return left @ right if right.ndim == 1 else right @ left
    return (left * right).sum(-1)


def _sum(x: Structured, keepdim: bool) -> Jet:
    frame = x.frame

    def at_axes(place: int, k: int, g: Tensor) -> Tensor:
        return frame.blocks[place].sum(k, g)  # type: ignore[union-attr]

    def along(place: int, k: int) -> Coefficient:
        total: Coefficient = None
        terms = _series(x.whole, 1 if place < 0 else k)
        vectors = frame.vectors(place, k) if terms else None
        for factor, factors in terms:
            term = contract(vectors, factors)  # type: ignore[arg-type]
            total = plus(total, term if factor == 1 else factor * term)
        return total

    coefficients = [_total(x.whole), *assemble(x, at_axes, along)]
    return Jet([None if c is None else c.unsqueeze(-1) if keepdim else c for c in coefficients], x.layout)


@keeps("sum", "mean")
def _reduced(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Sum or mean over the coordinates."""
    x, dim, keepdim = _reduction(*args, **kwargs)
    if x is None or not over_coordinates(dim):
        return None
    total = _sum(x, keepdim)
    return total / x.frame.shape[1] if name == "mean" else total


def _reduction(
    x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, dtype: Any = None
) -> tuple[Structured | None, Any, bool]:
    usable = isinstance(x, Structured) and dtype is None
    return x if usable else None, dim if axis is None else axis, keepdim


@keeps("norm", "vector_norm")
def _normed(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Euclidean norm over the coordinates."""
    x, order, dim, keepdim = _norm_arguments(*args, **kwargs)
    if x is None or order not in (None, 2, "fro") or not over_coordinates(dim):
        return None
    squares = elementwise("square", torch.square, (x,), {})
    return torch.sqrt(_sum(squares, keepdim))  # type: ignore[arg-type]


def _norm_arguments(
    x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, p: Any = None, dtype: Any = None, out: Any = None
) -> tuple[Structured | None, Any, Any, bool]:
    usable = isinstance(x, Structured) and dtype is None and out is None
    return x if usable else None, ord if p is None else p, dim, keepdim
