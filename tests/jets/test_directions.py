"""Decompositions into directional derivatives, checked exactly in rational arithmetic."""

import itertools
import math
from fractions import Fraction

import pytest

from kjet.jets import directions
from kjet.jets.derivative import dense, sparse


def decompose(terms, known=()):
    """Dense multi-indices in, dense directions out."""
    d = max(len(index) for index in terms)
    found = directions.decompose(
        {sparse(index): Fraction(c) for index, c in terms.items()},
        [tuple((axis, entry) for axis, entry in enumerate(v) if entry) for v in known],
    )
    return {dense(v, d): weight for v, weight in found.items()}


def multi_indices(d, order):
    return [index for index in itertools.product(range(order + 1), repeat=d) if sum(index) == order]


def expanded(weights, d, order):
    """``sum_v w_v D_v^K`` by the multinomial theorem: ``D_v^K = sum_{|b| = K} K! / b! v^b d^b``."""
    total = {}
    for v, w in weights.items():
        for index in multi_indices(d, order):
            multinomial = Fraction(math.factorial(order), math.prod(math.factorial(b) for b in index))
            value = w * multinomial * math.prod(e**b for e, b in zip(v, index, strict=True))
            total[index] = total.get(index, Fraction(0)) + value
    return {index: value for index, value in total.items() if value}


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 6])
def test_every_multi_index_is_exact(d, order):
    for index in multi_indices(d, order):
        weights = decompose({index: Fraction(1)})
        assert expanded(weights, d, order) == {index: Fraction(1)}
        assert all(isinstance(w, Fraction) and w for w in weights.values())


@pytest.mark.parametrize("index", [(7, 1), (4, 4), (2, 2, 4), (1, 1, 1, 1), (2, 1, 1, 2), (1, 1, 1, 1, 1)])
def test_higher_orders_and_dimensions(index):
    weights = decompose({index: Fraction(3, 7)})
    assert expanded(weights, len(index), sum(index)) == {index: Fraction(3, 7)}


@pytest.mark.parametrize(
    "terms",
    [
        {(2, 0): 1, (0, 2): 1},
        {(2, 0): 1, (1, 1): -3, (0, 2): 2},
        {(4, 0): 1, (2, 2): 2, (0, 4): 1},
        {(2, 1, 0): 1, (0, 1, 2): 5, (1, 1, 1): -2, (3, 0, 0): 1},
        {(2, 2, 0): 2, (2, 0, 2): 2, (0, 2, 2): 2, (4, 0, 0): 1, (0, 4, 0): 1, (0, 0, 4): 1},
    ],
)
def test_sums_are_exact(terms):
    wanted = {index: Fraction(c) for index, c in terms.items()}
    d, order = len(next(iter(terms))), sum(next(iter(terms)))
    assert expanded(decompose(wanted), d, order) == wanted


@pytest.mark.parametrize("index", [(1, 1), (2, 1), (2, 2), (1, 1, 1), (3, 2, 1)])
@pytest.mark.parametrize("known", [[(1, 0), (0, 1)], [(1, 1), (1, 0)], [(1, 2), (2, 1), (1, -1)]])
def test_known_directions_keep_it_exact(index, known):
    known = [(*v, *(0,) * (len(index) - 2)) for v in known]
    weights = decompose({index: Fraction(1)}, known)
    assert expanded(weights, len(index), sum(index)) == {index: Fraction(1)}


def test_known_directions_are_used():
    assert set(decompose({(1, 1): Fraction(1)}, [(1, 0), (0, 1)])) == {(1, 0), (0, 1), (1, 1)}
    assert len(decompose({(1, 1): Fraction(1)})) == 2
    # Two axes and the two diagonals give u_xxyy; all four known, nothing is added.
    known = [(1, 0), (0, 1), (1, 1), (1, -1)]
    assert set(decompose({(2, 2): Fraction(1)}, known)) <= set(known)


@pytest.mark.parametrize(
    ("index", "count"),
    [((5,), 1), ((0, 3), 1), ((1, 1), 2), ((2, 1), 3), ((1, 1, 1), 4), ((2, 2), 4), ((1, 1, 1, 1), 8)],
)
def test_number_of_directions(index, count):
    """Pure derivatives take one direction; products of k first derivatives take 2^(k-1), by polarisation."""
    assert len(decompose({index: Fraction(1)})) <= count


def test_directions_are_primitive():
    for order in (2, 4, 6):
        for index in multi_indices(3, order):
            for v in decompose({index: Fraction(1)}):
                assert math.gcd(*v) == 1
                assert next(e for e in v if e) > 0
