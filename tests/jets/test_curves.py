"""Curves with sparse tangents: unique coefficients by enumeration, two published jets that are not, and plans."""

import itertools
import math

import pytest
import torch

from kjet.jets import Plan, quantity, reference
from kjet.jets.curves import curve_terms, unique_sparse_tangent


def truncated(a, b, order):
    """Product of two series, as lists of coefficients."""
    return [sum(a[i] * b[k - i] for i in range(k + 1)) for k in range(order + 1)]


@pytest.mark.parametrize("orders", [(2, 3), (3, 4, 7), (1, 2), (2, 5), (4, 6, 7)])
@pytest.mark.parametrize("k", [5, 6, 7, 9, 11, 13])
def test_terms_of_a_coefficient(orders, k):
    """Against monomials: along the curve, ``x^m`` is ``prod (t^j / j!)^m``, whose derivatives at 0 are m! or none."""
    terms = curve_terms(orders, k)
    for m in itertools.product(range(4), repeat=len(orders)):
        series = [1.0] + [0.0] * k
        for j, power in zip(orders, m, strict=True):
            tangent = [1 / math.factorial(j) if i == j else 0.0 for i in range(k + 1)]
            for _ in range(power):
                series = truncated(series, tangent, k)
        # Only the derivative m of x^m is not zero at the origin; it is m!.
        found = terms.get(m, 0) * math.prod(map(math.factorial, m))
        assert found == pytest.approx(math.factorial(k) * series[k], rel=1e-12)


@pytest.mark.parametrize(
    ("index", "order", "multiple"),
    [((1, 1), 5, 10), ((2, 1), 7, 105), ((3, 1), 11, 6930), ((2, 2), 14, 1051050), ((4, 1), 13, 135135),
     ((3, 2), 17, None), ((1, 1, 1), 17, 4084080)],
)  # fmt: skip
def test_lowest_unique_orders(index, order, multiple):
    orders = unique_sparse_tangent(index, most=17)
    assert sum(a * j for a, j in zip(index, orders, strict=True)) == order
    terms = curve_terms(orders, order)
    assert set(terms) == {index}
    assert multiple is None or terms[index] == multiple
    assert unique_sparse_tangent(index, most=order - 1) is None


def test_the_published_jet_of_order_thirteen_is_rejected():
    """With tangents of orders 3, 4 and 7 for x, y and t, four of its coefficients hold more than one derivative."""
    assert curve_terms((3, 4, 7), 6) == {(2, 0, 0): 10}
    assert curve_terms((3, 4, 7), 7) == {(1, 1, 0): 35, (0, 0, 1): 1}
    assert curve_terms((3, 4, 7), 11) == {(0, 1, 1): 330, (1, 2, 0): 5775}
    assert curve_terms((3, 4, 7), 13) == {(3, 1, 0): 200200, (2, 0, 1): 17160}
    for index in ((1, 1, 0), (0, 1, 1), (3, 1, 0)):
        chosen = tuple(a for a in index if a)
        orders = unique_sparse_tangent(chosen)
        assert len(curve_terms(orders, sum(a * j for a, j in zip(chosen, orders, strict=True)))) == 1


def test_the_published_jet_of_order_nine_is_rejected():
    """Its divisor 840 should be 1260, and u_yyy stands beside u_xxxy."""
    assert curve_terms((2, 3), 9) == {(3, 1): 1260, (0, 3): 280}
    assert unique_sparse_tangent((3, 1)) != (2, 3)


PLANS = {
    "alone": ([{(3, 1): 1.0}], 12),
    "beside pure ones": ([{(3, 1): 1.0, (4, 0): 2.0, (0, 1): -1.0}], 16),
    "higher": ([{(4, 1): 0.5}], 14),
    "two quantities": ([{(3, 1): 1.0}, {(3, 1): 2.0, (1, 0): 1.0}], 13),
    "not cheaper": ([{(2, 1): 1.0}], 8),
    "none": ([{(2, 2): 1.0}], 14),
}


@pytest.mark.parametrize("name", PLANS)
def test_plans_with_curves(name, network, points):
    terms, cost = PLANS[name]
    names = [quantity(part) for part in terms]
    plan = Plan.build(names, 2, curves=True)
    assert plan.cost() == cost <= Plan.build(names, 2).cost()
    f, x = network(2, 2), points(3, 2)
    values = plan(f, x)
    for part, wanted in zip(terms, names, strict=True):
        expected = reference.partials(f, x, list(part))
        total = sum(c * expected[index] for index, c in part.items())
        torch.testing.assert_close(values[wanted], total, rtol=1e-10, atol=1e-10)


def test_curves_are_explained():
    text = Plan.build([quantity({(3, 1): 1.0})], 2, curves=True).explain()
    assert "1/6652800 D^11[x + t^2 e0 + t^5 e1]" in text
