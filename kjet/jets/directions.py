"""Partial derivatives as sums of directional ones: exact rational directions and weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

from ..typing import MultiIndex
from .operator import axis_index, symbol_power

Direction = tuple[int, ...]

__all__ = ["Direction", "decompose"]


def decompose(terms: Mapping[MultiIndex, Fraction], known: Sequence[Direction] = ()) -> dict[Direction, Fraction]:
    """Write ``sum_alpha c_alpha d^alpha``, all of one order K, as ``sum_v w_v D_v^K`` over integer directions.

    Solves ``sum_v w_v v^alpha = c_alpha alpha! / K!`` exactly. Directions that the plan has already (``known``) come
    first, then axes, then sign combinations, then the Griewank-Utke-Walther family ``{j : |j| = K}``, which spans every
    case.

    Args:
        terms: Coefficients by multi-index, homogeneous in order.
        known: Directions that cost nothing extra.

    Returns:
        Nonzero weights by direction.

    Ref: Griewank, Utke, Walther, *Evaluating higher derivative tensors by forward propagation of univariate Taylor
    series*, 2000, for the family.

    >>> decompose({(1, 1): Fraction(1)})
    {(1, 1): Fraction(1, 4), (1, -1): Fraction(-1, 4)}
    """
    total: dict[Direction, Fraction] = {}
    seen = list(known)
    for support, part in _by_support(terms).items():
        for direction, weight in _solve(support, part, seen).items():
            total[direction] = total.get(direction, Fraction(0)) + weight
            if direction not in seen:
                seen.append(direction)
    return {direction: weight for direction, weight in total.items() if weight}


def _by_support(terms: Mapping[MultiIndex, Fraction]) -> dict[tuple[int, ...], dict[MultiIndex, Fraction]]:
    """Group terms by the coordinates that they involve, pure derivatives first."""
    groups: dict[tuple[int, ...], dict[MultiIndex, Fraction]] = {}
    for index in sorted(terms, key=lambda index: (sum(entry > 0 for entry in index), tuple(-e for e in index))):
        support = tuple(i for i, entry in enumerate(index) if entry)
        groups.setdefault(support, {})[index] = terms[index]
    return groups


def _solve(
    support: tuple[int, ...], terms: Mapping[MultiIndex, Fraction], known: Sequence[Direction]
) -> dict[Direction, Fraction]:
    index = next(iter(terms))
    d, order = len(index), sum(index)
    if len(support) == 1:
        return {axis_index(support[0], 1, d): terms[index]}
    usable = [v for v in known if all(not entry or i in support for i, entry in enumerate(v))]
    reduced = {tuple(alpha[i] for i in support): c for alpha, c in terms.items()}
    local_known = tuple(tuple(v[i] for i in support) for v in usable)
    weights = _solve_dense(order, tuple(sorted(reduced.items())), local_known)
    return {_embed(v, support, d): weight for v, weight in weights}


def _embed(v: Direction, support: tuple[int, ...], d: int) -> Direction:
    full = [0] * d
    for place, entry in zip(support, v, strict=True):
        full[place] = entry
    return tuple(full)


@lru_cache(maxsize=4096)
def _solve_dense(
    order: int, terms: tuple[tuple[MultiIndex, Fraction], ...], known: tuple[Direction, ...]
) -> tuple[tuple[Direction, Fraction], ...]:
    count = len(terms[0][0])
    indices = [alpha for alpha in itertools.product(range(order + 1), repeat=count) if sum(alpha) == order]
    given = dict(terms)
    target = [given.get(alpha, Fraction(0)) * symbol_power(alpha) for alpha in indices]

    def attempt(candidates: Sequence[Direction]) -> list[tuple[Direction, Fraction]] | None:
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


def _polarisation(terms: tuple[tuple[MultiIndex, Fraction], ...]) -> list[Direction]:
    """Sign combinations of one multi-index: ``prod xi_i^a_i`` by the polarisation identity, halved by symmetry."""
    found: dict[Direction, None] = {}
    for alpha, _ in terms:
        for v in itertools.product(*(range(a, -a - 1, -2) for a in alpha)):
            if any(v) and tuple(-e for e in v) not in found:
                found[_primitive(v)] = None
    return list(found)


def _primitive(v: Iterable[int]) -> Direction:
    """Divide by the common factor and make the first nonzero entry positive."""
    entries = tuple(v)
    common = math.gcd(*entries) or 1
    sign = -1 if next((e for e in entries if e), 1) < 0 else 1
    return tuple(sign * e // common for e in entries)


def _candidate_sets(count: int, order: int, known: tuple[Direction, ...]) -> tuple[list[Direction], ...]:
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
