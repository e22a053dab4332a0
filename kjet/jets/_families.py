"""Families of directions with weights in closed form: sign polarisation, and the simplex of Griewank, Utke and Walther.

All speak of forms of degree K in n variables: with weights such that ``sum_v w_v (v . xi)^K = P(xi)``,
``sum_v w_v D_v^K u`` is the operator with the symbol P. Directions are integer vectors of length n here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from ..typing import MultiIndex

__all__ = [
    "Weights",
    "amplification",
    "descended",
    "polarised",
    "polarised_size",
    "primitive",
    "simplex",
    "simplex_size",
]

Vector = tuple[int, ...]
Weights = dict[Vector, Fraction]
Form = Mapping[MultiIndex, Fraction]
"""Coefficients of an operator by multi-index, all of one order."""


def primitive(v: Iterable[int]) -> tuple[Vector, int]:
    """Divide by the common factor, of the sign that makes the first nonzero entry positive; return the factor, too."""
    entries = tuple(v)
    common = math.gcd(*entries) or 1
    if next((e for e in entries if e), 1) < 0:
        common = -common
    return tuple(e // common for e in entries), common


def _add(weights: Weights, v: Iterable[int], weight: Fraction, order: int) -> None:
    direction, factor = primitive(v)
    weights[direction] = weights.get(direction, Fraction(0)) + weight * factor**order


def _nonzero(weights: Weights) -> Weights:
    return {v: w for v, w in weights.items() if w}


def polarised_size(index: MultiIndex) -> int:
    """Number of directions of one multi-index: half of ``prod (a_i + 1)``, without the zero vector."""
    return math.prod(a + 1 for a in index) // 2


def polarised(form: Form) -> Weights:
    """Sign polarisation of each term by itself.

    ``prod xi_i^a_i = 1 / (2^K K!) sum_k (-1)^|k| prod binom(a_i, k_i) (sum_i (a_i - 2 k_i) xi_i)^K``, over
    ``0 <= k <= a``; opposite directions are one.

    Weights amplify rounding by less than ``K^K / K!``, see :func:`amplification`.

    Ref: Kan, *From moments of sum to moments of product*, 2008, lemma 1.
    """
    weights: Weights = {}
    for index, c in form.items():
        order = sum(index)
        scale = Fraction(c) / (2**order * math.factorial(order))
        for k in itertools.product(*(range(a + 1) for a in index)):
            v = tuple(a - 2 * b for a, b in zip(index, k, strict=True))
            if any(v):
                sign = -1 if sum(k) % 2 else 1
                factor = math.prod(math.comb(a, b) for a, b in zip(index, k, strict=True))
                _add(weights, v, sign * factor * scale, order)
    # sum_v w_v (v . xi)^K has the symbol P itself: D_v^K is (v . grad)^K.
    return _nonzero(weights)


def simplex_size(count: int, order: int) -> int:
    """Number of directions of the simplex: that of the monomials."""
    return math.comb(order + count - 1, order)


def simplex(form: Form, order: int) -> Weights:
    """Weights over the directions ``j >= 0``, ``|j| = order``, which span every form of that degree.

    A form p of degree K is ``sum_j p(j) L_j(v)`` with the Lagrange polynomials of the lattice,
    ``L_j(v) = prod_i prod_{l < j_i} (v_i - l s / K) / (j_i - l)``, ``s = sum_i v_i``, and the operator asks for a sum
    of coefficients of p: the weights are this sum for ``L_j``. All are found together, one variable after the other.

    Cost: O(n K binom(n + K, n)) operations on integers, for any number of terms.

    Ref: Griewank, Utke, Walther, *Evaluating higher derivative tensors by forward propagation of univariate Taylor
    series*, 2000, for the family.
    """
    wanted = {index: c * _symbol_power(index) for index, c in form.items()}
    return _on_lattice(wanted, order)


def descended(form: Form, order: int) -> Weights:
    """Weights of a form of lower degree over the directions of the simplex of a higher one.

    Times ``s^(order - degree)``, ``s = sum_i v_i``, which is constant on the lattice, its values are those of a form of
    the higher degree, whose coefficients give those of the lower one by polynomial division.
    """
    degree = sum(next(iter(form)))
    wanted = {index: c * _symbol_power(index) for index, c in form.items()}
    for _ in range(order - degree):
        wanted = _times_sum(wanted)
    scale = Fraction(order) ** (order - degree)
    raw: Weights = {}
    for v, w in _on_lattice(wanted, order, reduce=False).items():
        _add(raw, v, w * scale, degree)
    return _nonzero(raw)


def _symbol_power(index: MultiIndex) -> Fraction:
    """``alpha! / K!``: D_v^K holds the derivative alpha ``K! / alpha!`` times ``v^alpha``."""
    return Fraction(math.prod(math.factorial(a) for a in index), math.factorial(sum(index)))


def _times_sum(wanted: Mapping[MultiIndex, Fraction]) -> dict[MultiIndex, Fraction]:
    """From a sum of coefficients of p to the same sum in those of ``q = p s``.

    ``p = q / (v_1 + r)`` is a series in ``r / v_1``:
    ``p_alpha = sum_beta (-1)^|beta| |beta|! / beta! q_(alpha + (1 + |beta|) e_1 - beta)``, beta in the other variables.
    The largest entry of alpha takes the part of the first.
    """
    found: dict[MultiIndex, Fraction] = {}
    for alpha, c in wanted.items():
        main = max(range(len(alpha)), key=alpha.__getitem__)
        ranges = [range(1) if i == main else range(a + 1) for i, a in enumerate(alpha)]
        for beta in itertools.product(*ranges):
            size = sum(beta)
            multiple = math.factorial(size) // math.prod(math.factorial(b) for b in beta)
            key = tuple(
                a - b + (1 + size if i == main else 0) for i, (a, b) in enumerate(zip(alpha, beta, strict=True))
            )
            found[key] = found.get(key, Fraction(0)) + (-1) ** size * multiple * c
    return {key: c for key, c in found.items() if c}


def _on_lattice(wanted: Mapping[MultiIndex, Fraction], order: int, reduce: bool = True) -> Weights:
    count = len(next(iter(wanted)))
    common = math.lcm(*(c.denominator for c in wanted.values()))
    table = {index: int(c * common) for index, c in wanted.items()}
    factorial, power = math.factorial(order), order**order
    for i in range(count):  # sum over alpha >= e of T_alpha / (alpha - e)!, times K! for each variable
        table = _mapped(table, i, lambda a: ((e, factorial // math.factorial(a - e)) for e in range(a + 1)))
    table = {e: math.factorial(order - sum(e)) * value for e, value in table.items()}
    lagrange = [_lagrange(m, order) for m in range(order + 1)]
    for i in range(count):  # sum over e <= j of prod c_(j_i, e_i), times K! K^K for each variable

        def upward(e: int) -> Iterator[tuple[int, int]]:
            return ((m, lagrange[m][e]) for m in range(e, order + 1) if lagrange[m][e])

        table = _mapped(table, i, upward, order)
    scale = common * (factorial * factorial * power) ** count
    weights: Weights = {}
    for j, value in table.items():
        if sum(j) == order and value:
            if reduce:
                _add(weights, j, Fraction(value, scale), order)
            else:
                weights[j] = Fraction(value, scale)
    return _nonzero(weights)


def _mapped(table: Mapping[MultiIndex, int], i: int, targets: object, most: int | None = None) -> dict[MultiIndex, int]:
    """Apply a matrix along variable i; entries of more than ``most`` in all are of no use."""
    found: dict[MultiIndex, int] = {}
    for index, value in table.items():
        rest = sum(index) - index[i]
        for entry, factor in targets(index[i]):  # type: ignore[operator]
            if most is None or rest + entry <= most:
                key = (*index[:i], entry, *index[i + 1 :])
                found[key] = found.get(key, 0) + factor * value
    return found


def _lagrange(m: int, order: int) -> list[int]:
    """Coefficients of ``prod_{l < m} (t - l / K) / (m - l)``, times ``K! K^K``."""
    coefficients = [Fraction(1)]
    for l in range(m):  # noqa: E741
        shifted = [Fraction(0), *coefficients]
        scaled = [c * Fraction(l, order) for c in coefficients] + [Fraction(0)]
        coefficients = [(a - b) / (m - l) for a, b in zip(shifted, scaled, strict=True)]
    scale = math.factorial(order) * order**order
    return [int(c * scale) for c in coefficients] + [0] * (order - m)


def amplification(weights: Mapping[Vector, Fraction], form: Form) -> float:
    """``sum_v |w_v| |v|_1^K / sum_alpha |c_alpha|``: by how much weights may amplify rounding.

    Where no partial derivative of order K exceeds M, ``|D_v^K u| <= |v|_1^K M``; the relative error of a sum of such
    terms is at most the unit roundoff times this number, against derivatives of size M.
    """
    order = sum(next(iter(form)))
    total = sum(abs(w) * sum(map(abs, v)) ** order for v, w in weights.items())
    return float(total / sum(abs(c) for c in form.values()))
