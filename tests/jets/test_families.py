"""Closed-form families of directions and exact linear systems, in rational arithmetic."""

import itertools
import math
import random
from fractions import Fraction

import pytest
import torch

from kjet.jets._families import amplification, descended, polarised, polarised_size, simplex, simplex_size
from kjet.jets._modular import prime_number, solve


def multi_indices(n, order):
    return [index for index in itertools.product(range(order + 1), repeat=n) if sum(index) == order]


def expanded(weights, n, order):
    """``sum_v w_v D_v^K`` by the multinomial theorem."""
    total = {}
    for index in multi_indices(n, order):
        multinomial = Fraction(math.factorial(order), math.prod(map(math.factorial, index)))
        value = sum(w * math.prod(e**b for e, b in zip(v, index, strict=True)) for v, w in weights.items())
        total[index] = multinomial * value
    return {index: value for index, value in total.items() if value}


def random_form(n, order, terms, seed):
    generator = random.Random(seed)
    chosen = generator.sample(multi_indices(n, order), terms)
    return {index: Fraction(generator.randint(-9, 9) or 1, generator.randint(1, 9)) for index in chosen}


CASES = [(1, 3, 1), (2, 1, 2), (2, 5, 3), (3, 4, 5), (3, 4, 15), (4, 3, 4), (5, 3, 6)]


@pytest.mark.parametrize(("n", "order", "terms"), CASES)
@pytest.mark.parametrize("family", ["polarised", "simplex", "one higher", "three higher"])
def test_families_are_exact(n, order, terms, family):
    form = random_form(n, order, terms, seed=terms)
    ways = {
        "polarised": lambda: polarised(form),
        "simplex": lambda: simplex(form, order),
        "one higher": lambda: descended(form, order + 1),
        "three higher": lambda: descended(form, order + 3),
    }
    weights = ways[family]()
    assert expanded(weights, n, order) == form
    assert all(math.gcd(*v) == 1 and next(e for e in v if e) > 0 for v in weights)


@pytest.mark.parametrize("index", [(1, 1), (2, 1), (2, 2), (1, 1, 1), (2, 1, 1), (2, 2, 2), (2, 2, 1, 1, 1, 1)])
def test_number_of_polarised_directions(index):
    # Directions of opposite sign or with a common factor are one, and some weights are zero.
    assert len(polarised({index: Fraction(1)})) <= polarised_size(index)


@pytest.mark.parametrize(("index", "count"), [((2, 1), 4), ((2, 2), 5), ((3, 1), 5), ((1, 1, 1), 10), ((2, 1, 1), 15)])
def test_sizes_of_the_simplex(index, count):
    """Sizes as Griewank, Utke and Walther have them."""
    assert simplex_size(len(index), sum(index)) == count
    assert len(simplex({index: Fraction(1)}, sum(index))) <= count


def test_published_weights_of_the_simplex():
    """gamma_(2,2) of Griewank, Utke and Walther over (4,0), (3,1), ..., (0,4).

    Theirs are for Taylor coefficients, 1/4! of directional derivatives; here directions have no common factor.
    """
    weights = simplex({(2, 2): Fraction(1)}, 4)
    published = {(4, 0): "13/192", (3, 1): "-1/3", (2, 2): "5/8", (1, 3): "-1/3", (0, 4): "13/192"}
    for j, gamma in published.items():
        common = math.gcd(*j)
        wanted = Fraction(gamma) / math.factorial(4) * common**4
        assert weights[tuple(e // common for e in j)] == wanted


@pytest.mark.parametrize("order", range(1, 9))
def test_polarisation_amplifies_little(order):
    for n in (2, 3, 4):
        for index in random.Random(order).sample(multi_indices(n, order), min(5, len(multi_indices(n, order)))):
            form = {index: Fraction(1)}
            assert amplification(polarised(form), form) <= order**order / math.factorial(order) * (1 + 1e-12)


def test_a_dense_form_of_order_eight_in_six_variables():
    """All 1287 terms, checked at random integer vectors instead of term by term."""
    generator = random.Random(0)
    form = {index: Fraction(generator.randint(-99, 99), 7) for index in multi_indices(6, 8)}
    weights = simplex(form, 8)
    assert len(weights) <= 1287
    for _ in range(3):
        xi = [generator.randint(-3, 3) for _ in range(6)]
        left = sum(w * sum(a * b for a, b in zip(v, xi, strict=True)) ** 8 for v, w in weights.items())
        right = sum(c * math.prod(b**a for a, b in zip(index, xi, strict=True)) for index, c in form.items())
        assert left == right


# --- systems ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_systems_are_solved_exactly(seed):
    generator = random.Random(seed)
    rows, count = generator.randint(1, 8), generator.randint(1, 12)
    columns = [[generator.randint(-5, 5) for _ in range(count)] for _ in range(rows)]
    weights = [Fraction(generator.randint(-(10**20), 10**20), generator.randint(1, 10**15)) for _ in range(count)]
    target = [sum((a * w for a, w in zip(row, weights, strict=True)), Fraction(0)) for row in columns]
    found = solve(torch.tensor(columns), target)
    assert found is not None
    for row, value in zip(columns, target, strict=True):
        assert sum((row[j] * w for j, w in found.items()), Fraction(0)) == value
    assert len(found) <= rows


def test_earlier_columns_are_preferred():
    assert solve(torch.tensor([[2, 1, 1], [0, 0, 1]]), [Fraction(1), Fraction(0)]) == {0: Fraction(1, 2)}


def test_systems_without_a_solution():
    assert solve(torch.tensor([[1, 2], [2, 4]]), [Fraction(1), Fraction(1)]) is None
    assert solve(torch.zeros(2, 2, dtype=torch.int64), [Fraction(0), Fraction(0)]) == {}


def test_entries_that_vanish_modulo_the_first_prime():
    prime = prime_number(0)
    assert prime == 2**31 - 1
    found = solve(torch.tensor([[1, prime], [1, 1]]), [Fraction(1), Fraction(3)])
    assert found is not None
    assert found[0] + prime * found[1] == 1
    assert found[0] + found[1] == 3


def test_primes():
    known = [2147483647, 2147483629, 2147483587, 2147483579]  # the largest below 2^31
    assert [prime_number(place) for place in range(4)] == known
