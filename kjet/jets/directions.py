"""Partial derivatives as sums of directional ones: exact rational directions and weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

from ..typing import MultiIndex
from ._families import Weights, amplification, descended, polarised, primitive, simplex, simplex_size
from ._systems import by_systems, compositions
from .derivative import SparseIndex, total_order

__all__ = ["Direction", "decompose", "direction_name"]

Direction = tuple[tuple[int, int], ...]
"""Integer entries that are not zero, as ``(axis, entry)`` pairs, rising in the axis; without a common factor, the first
one positive."""

# Systems of more equations take longer than a plan should: 210 are all forms of degree 8 in 4 variables, or 6 in 5.
_MOST_EQUATIONS = 210
# The same for supports of an operator that has more in all.
_FEW_EQUATIONS = 45
# An operator with more than this part of all possible terms is not taken apart.
_DENSE = 8
# Weights that amplify rounding by more are not taken from a system: those of the other families do not.
_MOST_AMPLIFIED = 2000.0


def decompose(terms: Mapping[SparseIndex, Fraction], known: Sequence[Direction] = ()) -> dict[Direction, Fraction]:
    """Write ``sum_alpha c_alpha d^alpha``, all of one order K, as ``sum_v w_v D_v^K`` over integer directions.

    The weights satisfy ``sum_v w_v v^alpha = c_alpha alpha! / K!`` exactly. Of several families the one with the fewest
    directions that are not there already (``known``) is taken: sign polarisation of each term; small integer vectors,
    known ones among them, by a linear system, for the terms of one support or for all; the simplex of Griewank, Utke
    and Walther. Small integers come first, which keeps weights small:
    :func:`kjet.jets._families.amplification` of rounding is below ``K^K / K!`` for polarisation (11 at order 4, 416 at
    order 8), and mostly far below.

    Args:
        terms: Coefficients by sparse multi-index, homogeneous in order.
        known: Directions that cost nothing extra.

    Returns:
        Nonzero weights by direction.

    >>> decompose({((0, 1), (3, 1)): Fraction(1)})
    {((0, 1), (3, 1)): Fraction(1, 4), ((0, 1), (3, -1)): Fraction(-1, 4)}
    """
    total: dict[Direction, Fraction] = {}
    seen = _Seen(known)
    for part in _components(terms):
        variables = sorted({axis for index in part for axis, _ in index})
        weights = _component(variables, part, seen)
        _accumulate(total, weights)
        seen.add(weights)
    return {direction: weight for direction, weight in total.items() if weight}


def direction_name(v: Direction, d: int) -> str:
    """Write a direction as a vector, or in many dimensions by the axes that it uses.

    >>> direction_name(((0, 1), (2, -1)), 3), direction_name(((0, 1), (20, -2)), 100)
    ('(1, 0, -1)', 'e0 - 2 e20')
    """
    if d <= 8:
        return str(tuple(dict(v).get(axis, 0) for axis in range(d)))
    terms = (f"{'-' if e < 0 else '+'} {f'{abs(e)} ' if abs(e) > 1 else ''}e{axis}" for axis, e in v)
    return " ".join(terms).removeprefix("+ ")


Terms = dict[SparseIndex, Fraction]


class _Seen:
    """Directions that are there already, found by the coordinates that they use."""

    def __init__(self, directions: Iterable[Direction] = ()) -> None:
        self._by_axes: dict[tuple[int, ...], dict[Direction, None]] = {}
        self.add(directions)

    def add(self, directions: Iterable[Direction]) -> None:
        for v in directions:
            self._by_axes.setdefault(tuple(axis for axis, _ in v), {})[v] = None

    def copy(self) -> _Seen:
        other = _Seen()
        other._by_axes = {axes: dict(group) for axes, group in self._by_axes.items()}
        return other

    def within(self, variables: Sequence[int]) -> list[Direction]:
        """Directions in the span of these coordinates."""
        if 2 ** len(variables) > len(self._by_axes):
            inside = set(variables)
            return [v for axes, group in self._by_axes.items() if inside.issuperset(axes) for v in group]
        subsets = (axes for size in range(len(variables)) for axes in itertools.combinations(variables, size + 1))
        return [v for axes in subsets for v in self._by_axes.get(axes, ())]

    def score(self, weights: Mapping[Direction, Fraction]) -> tuple[int, int]:
        """Number of new directions, and of all."""
        new = (v for v in weights if v not in self._by_axes.get(tuple(axis for axis, _ in v), ()))
        return sum(1 for _ in new), len(weights)


def _accumulate(total: dict[Direction, Fraction], weights: Mapping[Direction, Fraction]) -> None:
    for v, weight in weights.items():
        total[v] = total.get(v, Fraction(0)) + weight


def _components(terms: Mapping[SparseIndex, Fraction]) -> list[Terms]:
    """Terms that share coordinates, directly or through others; pure derivatives without a partner first."""
    found: list[tuple[set[int], Terms]] = []
    for index in sorted(terms, key=_place):
        axes = {axis for axis, _ in index}
        joined = [group for group in found if group[0] & axes]
        part: Terms = {}
        for group in joined:
            axes |= group[0]
            part.update(group[1])
            found.remove(group)
        part[index] = terms[index]
        found.append((axes, part))
    return [part for _, part in sorted(found, key=lambda group: (len(group[0]) > 1, min(group[0])))]


def _place(index: SparseIndex) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Fewer coordinates first, then as dense multi-indices fall."""
    return len(index), tuple((axis, -order) for axis, order in index)


def _component(variables: Sequence[int], part: Terms, seen: _Seen) -> dict[Direction, Fraction]:
    """Best of the solutions: support by support, or all together where there are few coordinates."""
    order = total_order(next(iter(part)))
    size = simplex_size(len(variables), order)
    few = size <= _MOST_EQUATIONS
    options = []
    if few or len(part) > size // _DENSE or _spanned(variables, seen, order):
        options.append(_solved(variables, part, seen, _MOST_EQUATIONS))
        if len(variables) == 1 or not few or not seen.score(options[0])[0]:
            return options[0]
    options.append(_by_support(part, seen, _MOST_EQUATIONS if few else _FEW_EQUATIONS))
    if not few and size < seen.score(options[0])[0]:
        options.append(_solved(variables, part, seen, _MOST_EQUATIONS))
    return min(options, key=seen.score)


def _spanned(variables: Sequence[int], seen: _Seen, order: int) -> bool:
    """Tell whether a simplex that serves every operator of this order is there."""
    places = {axis: place for place, axis in enumerate(variables)}
    known = tuple(_local(v, places) for v in seen.within(variables))
    return _simplex_among(known, len(variables), order) is not None


def _by_support(part: Terms, seen: _Seen, most: int) -> dict[Direction, Fraction]:
    """Solve for the terms of each set of coordinates by themselves, reusing what the ones before have brought."""
    groups: dict[tuple[int, ...], Terms] = {}
    for index in sorted(part, key=_place):
        groups.setdefault(tuple(axis for axis, _ in index), {})[index] = part[index]
    total: dict[Direction, Fraction] = {}
    found = seen.copy()
    for support, group in groups.items():
        weights = _solved(support, group, found, most)
        _accumulate(total, weights)
        found.add(weights)
    return {v: weight for v, weight in total.items() if weight}


def _solved(variables: Sequence[int], group: Terms, seen: _Seen, most: int) -> dict[Direction, Fraction]:
    """Number the coordinates from 0, solve, and number them back."""
    order = total_order(next(iter(group)))
    if len(variables) == 1:
        return {((variables[0], 1),): group[(variables[0], order),]}
    places = {axis: place for place, axis in enumerate(variables)}
    form = tuple((_local(index, places), c) for index, c in group.items())
    usable = tuple(_local(v, places) for v in seen.within(variables))
    weights = _best(order, form, usable, most)
    return {tuple((axis, e) for axis, e in zip(variables, v, strict=True) if e): w for v, w in weights}


def _local(pairs: SparseIndex, places: Mapping[int, int]) -> MultiIndex:
    entries = [0] * len(places)
    for axis, entry in pairs:
        entries[places[axis]] = entry
    return tuple(entries)


@lru_cache(maxsize=4096)
def _best(
    order: int, form: tuple[tuple[MultiIndex, Fraction], ...], known: tuple[MultiIndex, ...], most: int
) -> tuple[tuple[MultiIndex, Fraction], ...]:
    """Solution with the fewest new directions, then the fewest."""
    given, there = dict(form), frozenset(known)
    count = len(form[0][0])

    def score(weights: Weights) -> tuple[int, int]:
        return sum(v not in there for v in weights), len(weights)

    size = simplex_size(count, order)
    options: list[Weights] = []
    for weights in by_systems(order, given, known) if size <= most else ():
        if amplification(weights, given) > _MOST_AMPLIFIED:
            continue
        options.append(weights)
        if not score(weights)[0]:
            break
    if len(given) * 2 ** (count - 1) <= 8 * size:  # otherwise the simplex is smaller
        options.append(polarised(given))
    least = min((score(weights) for weights in options), default=(size + 1, 0))
    higher = _simplex_among(known, count, order)
    if least[0] and higher is not None:
        options.append(descended(given, higher))
    elif size < least[0]:
        options.append(simplex(given, order))
    return tuple(min(options, key=score).items())


def _simplex_among(known: Sequence[MultiIndex], count: int, order: int) -> int | None:
    """Order of a simplex whose directions are all there, at least ``order``."""
    there = frozenset(known)
    for higher in range(order, 17):
        if simplex_size(count, higher) // 2 > len(there):
            return None
        if all(primitive(j)[0] in there for j in compositions(higher, count)):
            return higher
    return None
