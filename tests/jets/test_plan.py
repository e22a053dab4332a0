"""Derivative plans: values against nested autograd, cost, reuse and description."""

import itertools
import random

import pytest
import torch

from kjet.jets import Layout, Plan, partials, quantity, reference


def smooth(x):
    """An analytic function of any number of coordinates with values of order one, cheap to nest."""
    frequencies = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype) / 2
    phase = (x * frequencies).sum(-1, keepdim=True)
    return torch.cat([torch.sin(phase), torch.exp(0.5 * phase) * x[..., :1]], -1)


def random_indices(d, order, count, seed):
    options = [index for index in itertools.product(range(order + 1), repeat=d) if sum(index) <= order]
    return random.Random(seed).sample(options, min(count, len(options)))


def compare(f, x, indices, tolerance):
    found, expected = partials(f, x, indices), reference.partials(f, x, indices)
    assert list(found) == list(indices)
    for index in indices:
        scale = float(expected[index].abs().max()) + 1
        torch.testing.assert_close(found[index] / scale, expected[index] / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("d", "order", "count"), [(1, 8, 5), (2, 5, 6), (3, 4, 6)])
def test_random_sets_match_nested_autograd(d, order, count, seed, points):
    # Interpolation weights of order 5 add about two digits to the rounding of float64.
    compare(smooth, points(3, d), random_indices(d, order, count, seed), 1e-11)


@pytest.mark.parametrize(
    ("d", "indices"),
    [
        (2, [(6, 2), (3, 5), (8, 0), (1, 1)]),
        (2, [(4, 4), (0, 7)]),
        (3, [(2, 2, 4), (1, 0, 0)]),
        (3, [(3, 3, 1), (0, 1, 1)]),
    ],
)
def test_order_eight_matches_nested_autograd(d, indices, points):
    compare(smooth, points(2, d), indices, 1e-8)


@pytest.mark.parametrize(("d", "order", "count"), [(1, 6, 4), (2, 4, 6), (3, 3, 8)])
def test_networks_match_nested_autograd(d, order, count, network, points):
    compare(network(d, 2), points(4, d), random_indices(d, order, count, 7), 1e-10)


@pytest.mark.parametrize("d", [1, 2, 3, 10, 50])
def test_laplacian_costs_one_sum(d):
    laplacian = quantity({tuple(2 * (i == axis) for i in range(d)): 1.0 for axis in range(d)})
    plan = Plan.build([laplacian], d)
    assert plan.cost() == 1 + d + 1
    assert plan.layout.order == 2


COSTS = {
    "value": (1, [{(0,): 1.0}], 1),
    "gradient": (3, [{(1, 0, 0): 1.0}, {(0, 1, 0): 1.0}, {(0, 0, 1): 1.0}], 4),
    "divergence": (3, [{(1, 0, 0): 1.0, (0, 1, 0): 1.0, (0, 0, 1): 1.0}], 2),
    "burgers": (2, [{(0, 0): 1.0}, {(1, 0): 1.0}, {(0, 1): 1.0}, {(2, 0): 1.0}], 4),
    "heat": (3, [{(0, 0, 1): 1.0}, {(2, 0, 0): 1.0, (0, 2, 0): 1.0}], 5),
    "wave": (3, [{(0, 0, 2): 1.0}, {(2, 0, 0): 1.0, (0, 2, 0): 1.0}], 6),
    "kdv": (2, [{(0, 0): 1.0}, {(1, 0): 1.0}, {(0, 1): 1.0}, {(3, 0): 1.0}], 5),
    "mixed": (2, [{(1, 1): 1.0}], 4),
    "hessian": (2, [{(2, 0): 1.0}, {(1, 1): 1.0}, {(0, 2): 1.0}], 7),
    "beam": (1, [{(4,): 1.0}], 5),
    "biharmonic": (2, [{(4, 0): 1.0, (2, 2): 2.0, (0, 4): 1.0}], 14),
}


@pytest.mark.parametrize("name", COSTS)
def test_cost(name):
    d, terms, cost = COSTS[name]
    assert Plan.build([quantity(t) for t in terms], d).cost() == cost


def test_directions_are_reused():
    """With both second derivatives there already, u_xy takes one more direction in place of two."""
    pure = [quantity({(2, 0): 1.0}), quantity({(0, 2): 1.0})]
    mixed = quantity({(1, 1): 1.0})
    assert len(Plan.build([mixed], 2).directions) == 2
    assert len(Plan.build([*pure, mixed], 2).directions) == 3
    # The order in which they are asked for does not matter.
    assert Plan.build([mixed, *pure], 2).cost() == Plan.build([*pure, mixed], 2).cost()


def test_lower_orders_along_a_direction_are_free():
    high = quantity({(4, 0): 1.0})
    lower = [quantity({(k, 0): 1.0}) for k in range(4)]
    assert Plan.build([high, *lower], 2).cost() == Plan.build([high], 2).cost() == 5


def test_repeated_quantities_are_planned_once():
    laplacian = quantity({(2, 0): 1.0, (0, 2): 1.0})
    assert Plan.build([laplacian, laplacian], 2).quantities == (laplacian,)


def test_two_sums_over_the_same_directions(network, points):
    f, x = network(3, 2), points(4, 3)
    sums = [quantity({(2, 0, 0): 1.0, (0, 2, 0): -2.0, (0, 0, 2): 0.5}), quantity({(2, 0, 0): 1.0, (0, 2, 0): 1.0})]
    plan = Plan.build(sums, 3)
    assert plan.cost() == 1 + 3 + 2
    values = plan(f, x)
    expected = reference.partials(f, x, [(2, 0, 0), (0, 2, 0), (0, 0, 2)])
    for terms in sums:
        wanted = sum(c * expected[index] for index, c in terms.dense(3).items())
        torch.testing.assert_close(values[terms], wanted, rtol=1e-11, atol=1e-12)


def test_inhomogeneous_sum(network, points):
    """One quantity may mix orders, the value itself among them."""
    f, x = network(2, 1), points(4, 2)
    terms = quantity({(0, 0): 2.0, (1, 0): -1.0, (0, 2): 0.25, (1, 1): 3.0, (4, 0): 0.1})
    expected = reference.partials(f, x, list(terms.dense(2)))
    wanted = sum(c * expected[index] for index, c in terms.dense(2).items())
    torch.testing.assert_close(Plan.build([terms], 2)(f, x)[terms], wanted, rtol=1e-10, atol=1e-11)


def test_functions_that_ignore_the_points(points):
    x, ones = points(3, 2), torch.ones(3, 1, dtype=torch.float64)
    names = [quantity({(0, 0): 1.0}), quantity({(2, 1): 1.0})]
    values = Plan.build(names, 2)(lambda _: ones, x)
    assert values[names[0]].tolist() == ones.tolist()
    assert values[names[1]].tolist() == [[0.0]] * 3


def test_linear_functions_have_no_curvature(points):
    layer = torch.nn.Linear(2, 3).double()
    second = quantity({(2, 0): 1.0, (0, 2): 1.0})
    value = Plan.build([second], 2)(layer, points(4, 2))[second]
    assert value.shape == (4, 3)
    assert float(value.abs().max()) == 0.0


def test_only_the_value_is_one_plain_pass(network, points):
    f, x = network(2, 1), points(4, 2)
    value = quantity({(0, 0): 1.0})
    plan = Plan.build([value], 2)
    assert plan.cost() == 1
    torch.testing.assert_close(plan(f, x)[value], f(x))


def test_summary():
    plan = Plan.build([quantity({(2, 0): 1.0, (0, 2): 1.0}), quantity({(1, 0): 1.0})], 2)
    assert plan.summary().splitlines() == [
        "2 derivatives from 4 channels, order 2",
        "order 1: 2 kept",
        "order 2: 0 kept, 1 sums over 2 directions",
        "directions: (1, 0), (0, 1)",
    ]


@pytest.mark.parametrize("index", [(1,), (1, 0, 0), (-1, 2)])
def test_multi_indices_that_do_not_fit(index):
    with pytest.raises(ValueError, match="needs 2 non-negative entries"):
        Plan.build([quantity({index: 1.0})], 2)


def test_layouts_that_make_no_sense():
    with pytest.raises(ValueError, match="order 2 uses 3 directions but order 1 keeps 2"):
        Layout((2, 3), (None, None))
    with pytest.raises(ValueError, match="2 kept counts but 1 weights"):
        Layout((2, 2), (None,))


CURVED = {
    "heat": ([{(2, 0, 0): -0.1, (0, 2, 0): -0.1, (0, 0, 1): 1.0}, {(1, 0, 0): 1.0}, {(0, 1, 0): 1.0}], 4),
    "two first derivatives": ([{(3, 0, 0): 0.2, (0, 1, 0): 2.0, (0, 0, 1): -1.0}, {(1, 0, 0): 1.0}], 4),
    "a part of the sum is wanted, too": ([{(2, 0, 0): 0.2, (0, 0, 1): 1.0}, {(2, 0, 0): 1.0}], 4),
    "the same sum with other weights": ([{(2, 0, 0): 0.2, (0, 0, 1): 1.0}, {(2, 0, 0): 0.4, (0, 0, 1): 1.0}], 4),
    "lower orders beside": ([{(4, 0, 0): 0.2, (2, 0, 0): 1.0, (0, 0, 1): 1.0, (0, 0, 0): 3.0}], 5),
    "a direction that goes on": ([{(2, 0, 0): 0.2, (0, 0, 1): 1.0}, {(4, 0, 0): 0.4}], 6),
    "mixed": ([{(2, 1, 0): 0.2, (1, 0, 0): 0.5, (0, 0, 1): 1.0}], 8),
}  # fmt: skip


@pytest.mark.parametrize("name", CURVED)
def test_first_derivatives_ride_along_with_higher_ones(name, network, points):
    terms, cost = CURVED[name]
    names = [quantity(part) for part in terms]
    plan = Plan.build(names, 3)
    assert plan.cost() == cost
    f, x = network(3, 2), points(5, 3)
    values = plan(f, x)
    for part, quantity_ in zip(terms, names, strict=True):
        expected = reference.partials(f, x, list(part))
        total = sum(c * expected[index] for index, c in part.items())
        torch.testing.assert_close(values[quantity_], total, rtol=1e-12, atol=1e-12)


def test_a_carried_derivative_saves_a_channel_and_is_explained():
    burgers = [quantity({(0, 1): 1.0, (2, 0): -0.01}), quantity({(1, 0): 1.0}), quantity({(0, 0): 1.0})]
    plan = Plan.build(burgers, 2)
    assert plan.cost() == 3
    assert "carried along" in plan.explain()
    apart = [quantity({(0, 1): 1.0}), quantity({(2, 0): 1.0}), quantity({(1, 0): 1.0})]
    assert Plan.build(apart, 2).cost() == 4
