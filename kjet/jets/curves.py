"""Single curves with sparse tangents: one coefficient of one jet is a mixed derivative, if it is proved to be alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from ..typing import MultiIndex
from .derivative import SparseIndex

__all__ = ["Curve", "curve_terms", "unique_sparse_tangent"]

# Parts of a curve beyond this order are of no use: the order of the jet would be higher still.
_LARGEST_ORDER = 14


def curve_terms(orders: Sequence[int], k: int) -> dict[MultiIndex, int]:
    """Derivatives in the coefficient of order k along ``x + sum_i t^(j_i) e_i / j_i!``, with their multiples.

    ``d^k/dt^k u = sum_m k! / prod(m_i! j_i!^(m_i)) d^m u`` over all m with ``sum_i m_i j_i = k``, by Faa di Bruno.

    Args:
        orders: j, one for each coordinate, at least 1.
        k: Order of the derivative in t.

    >>> curve_terms((3, 4, 7), 7)  # not u_xy alone: u_t has the same order in t
    {(1, 1, 0): 35, (0, 0, 1): 1}
    """
    found = {}
    for m in _multisets(tuple(orders), k):
        below = math.prod(math.factorial(a) * math.factorial(j) ** a for a, j in zip(m, orders, strict=True))
        found[m] = math.factorial(k) // below
    return found


def _multisets(orders: tuple[int, ...], k: int) -> Iterator[MultiIndex]:
    """All m >= 0 with ``sum_i m_i j_i = k``."""
    first, *rest = orders
    if not rest:
        if k % first == 0:
            yield (k // first,)
        return
    for m in range(k // first, -1, -1):
        for others in _multisets(tuple(rest), k - m * first):
            yield (m, *others)


@lru_cache(maxsize=1024)
def unique_sparse_tangent(index: MultiIndex, most: int = _LARGEST_ORDER) -> tuple[int, ...] | None:
    """Lowest orders j for which coefficient ``sum_i a_i j_i`` along the curve is a multiple of one derivative.

    Proved by listing all multisets of the j with that sum; published choices without this proof hold other derivatives
    besides (Shi et al., *Stochastic Taylor Derivative Estimator*, 2024, equations 21 and 66).

    Args:
        index: The derivative, a positive order for each coordinate of the curve.
        most: Highest order of the coefficient.

    Returns:
        One j for each coordinate; None if no coefficient up to that order is unique.

    >>> unique_sparse_tangent((3, 1)), unique_sparse_tangent((2, 2)), unique_sparse_tangent((2, 2), most=13)
    ((2, 5), (3, 4), None)
    """
    best: tuple[int, tuple[int, ...]] | None = None
    for orders in _choices(index, most):
        k = sum(a * j for a, j in zip(index, orders, strict=True))
        lower = best is None or k < best[0]
        if lower and sum(1 for _ in itertools.islice(_multisets(orders, k), 2)) == 1:
            best = (k, orders)
    return None if best is None else best[1]


def _choices(index: Sequence[int], most: int, used: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """All different j with ``sum_i a_i j_i <= most``; equal ones could be exchanged, so they are never unique."""
    if not index:
        yield ()
        return
    for j in range(1, (most - sum(index[1:])) // index[0] + 1):
        if j not in used:
            for others in _choices(index[1:], most - j * index[0], (*used, j)):
                yield (j, *others)


@dataclass(frozen=True)
class Curve:
    """``x + sum_i t^(j_i) e_i``, along which the coefficient of order K is one derivative over ``prod a_i!``.

    Attributes:
        tangents: ``(order j, axis)``.
        order: K.
        weight: ``prod a_i! / K!``: weight of ``d^K/dt^K`` in the derivative.
    """

    tangents: tuple[tuple[int, int], ...]
    order: int
    weight: Fraction

    @classmethod
    def of(cls, index: SparseIndex) -> Curve | None:
        """Curve of a mixed derivative; None if there is none."""
        orders = unique_sparse_tangent(tuple(a for _, a in index))
        if orders is None:
            return None
        k = sum(a * j for (_, a), j in zip(index, orders, strict=True))
        weight = Fraction(math.prod(math.factorial(a) for _, a in index), math.factorial(k))
        return cls(tuple((j, axis) for j, (axis, _) in zip(orders, index, strict=True)), k, weight)

    def __str__(self) -> str:
        return "x + " + " + ".join(f"{'t' if j == 1 else f't^{j}'} e{axis}" for j, axis in self.tangents)
