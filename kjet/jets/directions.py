"""Partial derivatives as sums of directional ones: exact rational directions and weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

from ..typing import MultiIndex
from .derivative import SparseIndex, total_order
from .operator import axis_index, symbol_power

Direction = tuple[tuple[int, int], ...]
"""Integer entries that are not zero, as ``(axis, entry)`` pairs, rising in the axis; without a common factor, the first
one positive."""

__all__ = ["Direction", "decompose"]


def decompose(terms: Mapping[SparseIndex, Fraction], known: Sequence[Direction] = ()) -> dict[Direction, Fraction]:
    """Write ``sum_alpha c_alpha d^alpha``, all of one order K, as ``sum_v w_v D_v^K`` over integer directions.

    Solves ``sum_v w_v v^alpha = c_alpha alpha! / K!`` exactly. Directions that the plan has already (``known``) come
    first, then axes, then sign combinations, then the Griewank-Utke-Walther family ``{j : |j| = K}``, which spans every
    case.

    Args:
        terms: Coefficients by sparse multi-index, homogeneous in order.
        known: Directions that cost nothing extra.

    Returns:
        Nonzero weights by direction.

    Ref: Griewank, Utke, Walther, *Evaluating higher derivative tensors by forward propagation of univariate Taylor
    series*, 2000, for the family.

    >>> decompose({((0, 1), (3, 1)): Fraction(1)})
    {((0, 1), (3, 1)): Fraction(1, 4), ((0, 1), (3, -1)): Fraction(-1, 4)}
    """
    total: dict[Direction, Fraction] = {}
    seen = list(known)
    for support, part in _by_support(terms).items():
        for direction, weight in _solve(support, part, seen).items():
            total[direction] = total.get(direction, Fraction(0)) + weight
            if direction not in seen:
                seen.append(direction)
    return {direction: weight for direction, weight in total.items() if weight}


def _by_support(terms: Mapping[SparseIndex, Fraction]) -> dict[tuple[int, ...], dict[SparseIndex, Fraction]]:
    """Group terms by the coordinates that they involve, pure derivatives first."""
    groups: dict[tuple[int, ...], dict[SparseIndex, Fraction]] = {}
    for index in sorted(terms, key=lambda index: (len(index), tuple((axis, -order) for axis, order in index))):
        groups.setdefault(tuple(axis for axis, _ in index), {})[index] = terms[index]
    return groups


def _solve(
    support: tuple[int, ...], terms: Mapping[SparseIndex, Fraction], known: Sequence[Direction]
) -> dict[Direction, Fraction]:
    index = next(iter(terms))
    if len(support) == 1:
        return {((support[0], 1),): terms[index]}
    within = set(support)
    usable = [dict(v) for v in known if all(axis in within for axis, _ in v)]
    reduced = {tuple(order for _, order in alpha): c for alpha, c in terms.items()}
    local_known = tuple(tuple(v.get(axis, 0) for axis in support) for v in usable)
    weights = _solve_dense(total_order(index), tuple(sorted(reduced.items())), local_known)
    return {tuple((axis, e) for axis, e in zip(support, v, strict=True) if e): weight for v, weight in weights}


@lru_cache(maxsize=4096)
def _solve_dense(
    order: int, terms: tuple[tuple[MultiIndex, Fraction], ...], known: tuple[MultiIndex, ...]
) -> tuple[tuple[MultiIndex, Fraction], ...]:
    count = len(terms[0][0])
    indices = [alpha for alpha in itertools.product(range(order + 1), repeat=count) if sum(alpha) == order]
    given = dict(terms)
    target = [given.get(alpha, Fraction(0)) * symbol_power(alpha) for alpha in indices]

    def attempt(candidates: Sequence[MultiIndex]) -> list[tuple[MultiIndex, Fraction]] | None:
        columns = [
            [Fraction(math.prod(e**a for e, a in zip(v, alpha, strict=True))) for alpha in indices] for v in candidates
        ]
        weights = _particular_solution(columns, target)
        return None if weights is None else [(v, w) for v, w in zip(candidates, weights, strict=True) if w]

    reusing, plain, spanning = _candidate_sets(count, order, known)
    found = [attempt(_polarisation(terms)), attempt(reusing), attempt(plain)]
    if found[1] is None:
        # Where the smaller set does, the larger one gives the same answer, since earlier directions come first.
        found.append(attempt(spanning))
    solutions = [solution for solution in found if solution is not None]
    best = min(solutions, key=lambda s: (sum(v not in known for v, _ in s), len(s)))
    return tuple(best)


def _polarisation(terms: tuple[tuple[MultiIndex, Fraction], ...]) -> list[MultiIndex]:
    """Sign combinations of one multi-index: ``prod xi_i^a_i`` by the polarisation identity, halved by symmetry."""
    found: dict[MultiIndex, None] = {}
    for alpha, _ in terms:
        for v in itertools.product(*(range(a, -a - 1, -2) for a in alpha)):
            if any(v) and tuple(-e for e in v) not in found:
                found[_primitive(v)] = None
    return list(found)


def _primitive(v: Iterable[int]) -> MultiIndex:
    """Divide by the common factor and make the first nonzero entry positive."""
    entries = tuple(v)
    common = math.gcd(*entries) or 1
    sign = -1 if next((e for e in entries if e), 1) < 0 else 1
    return tuple(sign * e // common for e in entries)


def _candidate_sets(count: int, order: int, known: tuple[MultiIndex, ...]) -> tuple[list[MultiIndex], ...]:
    """Sets to choose from: known ones first, then axes and signs; without the known ones; all that may be needed."""
    axes = [axis_index(i, 1, count) for i in range(count)]
    signs = [v for v in itertools.product((1, 0, -1), repeat=count) if any(v) and v == _primitive(v)]
    family = [_primitive(j) for j in itertools.product(range(order + 1), repeat=count) if sum(j) == order]
    sets = [*known, *axes, *signs], [*signs, *axes], [*known, *axes, *signs, *family]
    return tuple(list(dict.fromkeys(directions)) for directions in sets)


def _particular_solution(columns: list[list[Fraction]], target: list[Fraction]) -> list[Fraction] | None:
    """Solve ``sum_r w_r columns[r] = target`` by elimination, preferring the earlier columns; None if impossible."""
    rows = [[column[i] for column in columns] + [target[i]] for i in range(len(target))]
    pivots: list[int] = []
    for j in range(len(columns)):
        pivot = next((i for i in range(len(pivots), len(rows)) if rows[i][j]), None)
        if pivot is None:
            continue
        place = len(pivots)
        rows[place], rows[pivot] = rows[pivot], rows[place]
        head = rows[place][j]
        rows[place] = [entry / head for entry in rows[place]]
        for i, row in enumerate(rows):
            if i != place and row[j]:
                factor = row[j]
                rows[i] = [entry - factor * base for entry, base in zip(row, rows[place], strict=True)]
        pivots.append(j)
    if any(row[-1] for row in rows[len(pivots) :]):
        return None
    weights = [Fraction(0)] * len(columns)
    for place, j in enumerate(pivots):
        weights[j] = rows[place][-1]
    return weights
