"""R-functions: smooth logic on functions that are positive inside, zero on and negative outside a shape.

If f and g are normalised (gradient of length one, inward, on their boundaries), so are the results, away from corners.
Only arithmetic and `torch.sqrt` are used, so that anything that implements those (Taylor jets among them) may pass.
All are smooth except where both arguments vanish, which is at corners.

Ref: Rvachev, Sheiko, Shapiro, Tsukanov, *Transfinite interpolation over implicitly defined sets*, 2001;
Sukumar, Srivastava, *Exact imposition of boundary conditions with distance functions in physics-informed deep neural
networks*, 2022, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

__all__ = ["TensorLike", "conjunction", "disjunction", "join", "magnitude", "trim"]

TensorLike = Any
"""A tensor, or an object that implements arithmetic, indexing and ``torch.sqrt`` such as a Taylor jet."""


def conjunction(f: TensorLike, g: TensorLike) -> TensorLike:
    """Intersect: ``f + g - sqrt(f^2 + g^2)``, positive exactly where both are.

    >>> conjunction(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0]))
    tensor([0., 0.])
    """
    return f + g - torch.sqrt(f * f + g * g)


def disjunction(f: TensorLike, g: TensorLike) -> TensorLike:
    """Unite: ``f + g + sqrt(f^2 + g^2)``, positive exactly where one of them is."""
    return f + g + torch.sqrt(f * f + g * g)


def join(functions: Sequence[TensorLike]) -> TensorLike:
    """Intersect several functions, pairwise like a tournament.

    For functions that are non-negative in a domain this is a function that vanishes where any of them does.
    """
    level = list(functions)
    while len(level) > 1:
        pairs = [conjunction(f, g) for f, g in zip(level[0::2], level[1::2], strict=False)]
        level = pairs + level[2 * len(pairs) :]
    return level[0]


def magnitude(f: TensorLike) -> TensorLike:
    """Absolute value as ``sqrt(f^2)``; it has no derivative where f is zero."""
    return torch.sqrt(f * f)


def trim(f: TensorLike, t: TensorLike, scale: float) -> TensorLike:
    """Restrict the zero set of `f` to where `t` is not negative.

    ``sqrt(f^2 + ((sqrt(t^2 + f^4 / scale^2) - t) / 2)^2)``: positive elsewhere, equal to abs(f) to first order on
    the part that is kept. It has no derivative on the part itself, only next to it.

    Args:
        f: Normalised function whose zero set contains the part.
        t: Trimming function, positive on the part and negative on the rest of the zero set.
        scale: A length of the order of the part, which keeps the formula free of units.

    >>> trim(torch.tensor([0.0, 0.0]), torch.tensor([1.0, -1.0]), 1.0)
    tensor([0., 1.])
    """
    square = f * f
    beyond = (torch.sqrt(t * t + square * square * (1.0 / scale**2)) - t) * 0.5
    return torch.sqrt(square + beyond * beyond)
