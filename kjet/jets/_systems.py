"""Families of small integer directions: candidates in a useful order, and weights by a linear system."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

import torch

from ..typing import Int, MultiIndex, Tensor
from ._families import Weights, primitive
from ._modular import solve

__all__ = ["by_systems", "compositions"]

# Directions that are there already and tried in a system.
_MOST_KNOWN = 1400


def by_systems(order: int, form: Mapping[MultiIndex, Fraction], known: Sequence[MultiIndex]) -> Iterator[Weights]:
    """Weights that write a form of this order as powers of small vectors, one solution for each set of candidates.

    Args:
        order: Degree of the form.
        form: Coefficients by multi-index.
        known: Directions that are there already, to be tried first.
    """
    count = len(next(iter(form)))
    monomials = list(compositions(order, count))
    target = [form.get(alpha, Fraction(0)) * _symbol_power(alpha) for alpha in monomials]
    exponents = torch.tensor(monomials)
    for candidates in _candidates(count, order, tuple(known[:_MOST_KNOWN])):
        found = solve(_powers(candidates, exponents), target)
        if found is not None:
            yield {candidates[place]: weight for place, weight in found.items()}


def compositions(total: int, parts: int) -> Iterator[MultiIndex]:
    """Vectors of ``parts`` entries, 0 or more, that add up to ``total``."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in compositions(total - first, parts - 1):
            yield (first, *rest)


def _powers(vectors: Sequence[MultiIndex], exponents: Int[Tensor, "m n"]) -> Int[Tensor, "m c"]:
    """``v^alpha``."""
    return (torch.tensor(vectors)[None] ** exponents[:, None]).prod(-1)


def _candidates(count: int, order: int, known: tuple[MultiIndex, ...]) -> Iterator[list[MultiIndex]]:
    """Sets to choose from; a system prefers what comes first."""
    axes = [tuple(int(i == j) for j in range(count)) for i in range(count)]
    more = _pairs(order) if count == 2 else _signs(count)
    if count == 2:
        for first in (axes, axes[:1], axes[1:], []):
            yield _distinct(known, first, more)[: order + 1 + len(known)]
            yield _distinct(first, more)[: order + 1]
        return
    size: Callable[[MultiIndex], int] = lambda v: sum(map(abs, v))  # noqa: E731
    twos = _vectors(count, 2) if count == 3 else []
    for ordered in (sorted(more, key=size), [*axes, *sorted(more, key=size, reverse=True)], more):
        yield _distinct(known, ordered, twos)
        if known:
            yield _distinct(ordered, twos)


def _distinct(*sets: Sequence[MultiIndex]) -> list[MultiIndex]:
    return list(dict.fromkeys(itertools.chain(*sets)))


def _vectors(count: int, largest: int) -> list[MultiIndex]:
    """Primitive vectors with entries up to ``largest``, small ones first."""
    every = itertools.product(range(largest, -largest - 1, -1), repeat=count)
    return sorted((v for v in every if any(v) and v == primitive(v)[0]), key=lambda v: sum(e * e for e in v))


def _signs(count: int) -> list[MultiIndex]:
    """Vectors of 1, 0 and -1."""
    return [v for v in itertools.product((1, 0, -1), repeat=count) if any(v) and v == primitive(v)[0]]


def _pairs(order: int) -> list[MultiIndex]:
    """``(a, b)`` and ``(a, -b)`` with small a and b."""
    ratios = [(a, b) for a in range(1, order + 1) for b in range(1, order + 1) if math.gcd(a, b) == 1]
    ratios.sort(key=lambda pair: (max(pair), pair))
    return [v for a, b in ratios[:order] for v in ((a, b), (a, -b))]


def _symbol_power(index: MultiIndex) -> Fraction:
    """``alpha! / |alpha|!``: weight of a multi-index in the directional derivative of its order."""
    return Fraction(math.prod(map(math.factorial, index)), math.factorial(sum(index)))
