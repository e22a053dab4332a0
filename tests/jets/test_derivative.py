"""Sparse derivatives, traces and their sums: canonical forms, products, and nothing of the length of d."""

import math
import pickle
import random

import pytest

from kjet.jets import Derivative, Quantity, Trace, quantity
from kjet.jets.derivative import dense, sparse


@pytest.mark.parametrize("index", [(), (0, 0), (2,), (0, 3, 0, 1), (1, 1, 1)])
def test_sparse_and_dense_are_inverse(index):
    assert dense(sparse(index), len(index)) == index


def test_pairs_are_sorted_and_added():
    assert sparse(((3, 1), (1, 2), (3, 1), (0, 0))) == ((1, 2), (3, 2))
    assert sparse([[5, 2]]) == ((5, 2),)


@pytest.mark.parametrize(
    ("index", "d", "message"),
    [
        ((1, 0), 3, "needs 3 non-negative entries"),
        ((1, -1), 2, "needs 2 non-negative entries"),
        ((1, -1), None, "non-negative"),
        (((3, 1),), 3, "axes from 0 to 2"),
        (((-1, 1),), None, "axes from 0"),
        (((0, -1),), 2, "orders >= 0"),
        (((0, 1, 2),), 2, "pairs"),
    ],
)
def test_indices_that_do_not_fit(index, d, message):
    with pytest.raises(ValueError, match=message):
        sparse(index, d)


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ((2, 0, 1), range(3)),
        ((5,), range(5, 6)),
        ((8, 4, 6), range(4, 9, 2)),
        (range(9, 3, -3), range(6, 10, 3)),
        ((0, 1, 3), (0, 1, 3)),
        (range(10**6), range(10**6)),
    ],
)
def test_axes_have_one_form(axes, expected):
    assert Trace(axes).axes == expected
    assert hash(Trace(axes)) == hash(Trace(expected))


@pytest.mark.parametrize("axes", [(), range(0), (1, 1), (-1, 2), range(-2, 3)])
def test_axes_that_make_no_sense(axes):
    with pytest.raises(ValueError, match="must be different columns of x"):
        Trace(axes)


def test_power_must_be_positive():
    with pytest.raises(ValueError, match="power of the Laplacian must be at least 1; got 0"):
        Trace(range(3), 0)


@pytest.mark.parametrize(("count", "power"), [(1, 3), (2, 1), (3, 2), (4, 3), (2, 5)])
def test_expansion_is_the_power_of_the_symbol(count, power):
    generator = random.Random(3)
    xi = [generator.randint(-4, 4) for _ in range(9)]
    trace = Trace(tuple(generator.sample(range(9), count)), power)
    value = sum(c * math.prod(xi[axis] ** order for axis, order in index) for index, c in trace.expanded().items())
    assert value == sum(xi[axis] ** 2 for axis in trace.axes) ** power
    assert len(trace.expanded()) == trace.terms


def test_derivatives_have_one_form():
    line, plane = Trace(range(1)), Trace(range(2))
    assert Derivative.of(traces=(line,)) == Derivative(((0, 2),))
    assert Derivative.of(traces=(plane, plane)) == Derivative.of(traces=(Trace(range(2), 2),))
    far = Trace((3, 4))
    assert Derivative.of(((5, 1),), (far, plane)) == Derivative.of(((5, 1),), (plane, far))
    assert Derivative.of(((5, 1),), (far, plane)).order == 5
    assert (Derivative(((1, 1),)) * Derivative(((0, 2), (1, 1)))).index == ((0, 2), (1, 2))


def symbol(terms, xi):
    """Value of the polynomial, with traces written out by hand."""
    total = 0.0
    for derivative, c in terms:
        total += (
            c
            * math.prod(xi[axis] ** order for axis, order in derivative.index)
            * math.prod(sum(xi[axis] ** 2 for axis in trace.axes) ** trace.power for trace in derivative.traces)
        )
    return total


def random_quantity(generator, d=5):
    options = [
        lambda: Derivative(sparse(tuple(generator.randint(0, 2) for _ in range(d)))),
        lambda: Derivative.of(traces=(Trace(tuple(generator.sample(range(d), generator.randint(1, d)))),)),
        lambda: Derivative.of(((generator.randrange(d), 1),), (Trace(range(d), 2),)),
    ]
    return quantity({generator.choice(options)(): float(generator.randint(-3, 3)) for _ in range(3)})


@pytest.mark.parametrize("seed", range(10))
def test_sums_and_products_are_those_of_the_symbols(seed):
    generator = random.Random(seed)
    a, b = random_quantity(generator), random_quantity(generator)
    xi = [generator.randint(-3, 3) for _ in range(5)]
    assert symbol(a + b, xi) == symbol(a, xi) + symbol(b, xi)
    assert symbol(a * b, xi) == symbol(a, xi) * symbol(b, xi)
    assert symbol(2.5 * a, xi) == 2.5 * symbol(a, xi)
    written = sum(c * math.prod(xi[i] ** k for i, k in index) for index, c in a.expanded().items())
    assert written == symbol(a, xi)
    assert a * b == b * a
    assert a + b == b + a


def test_quantities_compare_by_value_whatever_they_were_made_of():
    made = quantity({(0, 2): 1.0, (2, 0): 3.0}), quantity({((0, 2),): 3.0, ((1, 2),): 1.0})
    assert made[0] == made[1]
    assert hash(made[0]) == hash(made[1])
    assert {made[0]: "found"}[made[1]] == "found"
    assert quantity({(1, 0): 0.0}) == Quantity(())
    assert quantity({Trace(range(1)): 1.0}) == quantity({(2,): 1.0})
    assert pickle.loads(pickle.dumps(made[0])) == made[1]


def test_terms_that_cancel_leave_nothing():
    a = quantity({(1, 0): 2.0, (0, 1): 1.0})
    assert len(a + -1.0 * a) == 0
    assert str(a + -1.0 * a) == "0"


def test_dense_multi_indices_of_different_length():
    with pytest.raises(ValueError, match="needs 2 non-negative entries"):
        quantity({(1, 0): 1.0, (1, 0, 0): 1.0})


def test_names():
    third = Derivative.of(((1, 1),), (Trace(range(2), 1),))
    assert third.name(("x", "y")) == "lap[0..1] y"
    assert str(Trace((0, 2, 4, 6))) == "lap[0, 2, 4, 6]"
    assert str(Trace(tuple(i * i for i in range(9)), 2)) == "lap^2[0, 1, .. 64; 9 in all]"
    assert str(quantity({(0, 0): 1.0, (2, 1): -2.0})) == "-2 d0^2 d1 + 1"
