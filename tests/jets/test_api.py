"""The public functions of the Taylor core against nested autograd, and their errors."""

import math

import pytest
import torch

from kjet.jets import (
    Biharmonic,
    Exact,
    Laplacian,
    Operator,
    biharmonic,
    contract,
    jet,
    laplacian,
    partials,
    reference,
)


def directional(f, x, v, order):
    """Nested reverse mode along one direction, which may differ from point to point."""
    t = torch.zeros(x.shape[0], 1, dtype=x.dtype, requires_grad=True)
    columns = []
    for value in f(x + t * v).unbind(-1):
        entries = [value]
        for _ in range(order):
            (gradient,) = torch.autograd.grad(entries[-1].sum(), t, create_graph=True)
            entries.append(gradient[:, 0])
        columns.append(torch.stack(entries))
    return torch.stack(columns, -1).detach()


@pytest.mark.parametrize("order", [0, 1, 2, 3, 5])
def test_jet_matches_nested_autograd(order, network, points):
    f, x, v = network(3, 2), points(4, 3), points(2, 3, seed=5)
    found = jet(f, x, v, order)
    assert found.shape == (order + 1, 2, 4, 2)
    for s in range(2):
        torch.testing.assert_close(found[:, s], directional(f, x, v[s], order), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_jet_along_directions_of_each_point(order, network, points):
    f, x = network(3, 2), points(4, 3)
    v = torch.stack([points(4, 3, seed=5), points(4, 3, seed=6)])
    found = jet(f, x, v, order)
    assert found.shape == (order + 1, 2, 4, 2)
    for s in range(2):
        torch.testing.assert_close(found[:, s], directional(f, x, v[s], order), rtol=1e-10, atol=1e-10)


def test_jet_of_a_polynomial_ends():
    found = jet(lambda x: x**3, torch.tensor([[2.0]]), torch.tensor([[3.0]]), 5)
    assert found.flatten().tolist() == [8.0, 36.0, 108.0, 162.0, 0.0, 0.0]


def test_jet_of_a_constant():
    found = jet(lambda x: torch.ones(2, 1), torch.zeros(2, 3), torch.ones(4, 3), 2)
    assert found.shape == (3, 4, 2, 1)
    assert found[0].eq(1).all()
    assert found[1:].eq(0).all()


def test_partials_match_nested_autograd(network, points):
    f, x = network(3, 2), points(4, 3)
    indices = [(0, 0, 0), (1, 0, 0), (0, 1, 1), (2, 0, 1), (0, 4, 0)]
    expected = reference.partials(f, x, indices)
    for index, value in partials(f, x, indices).items():
        torch.testing.assert_close(value, expected[index], rtol=1e-10, atol=1e-10)


def test_partials_take_any_iterable_of_integers(network, points):
    x = points(2, 2)
    found = partials(network(2, 1), x, iter([[1, 0], torch.tensor([0, 2])]))
    assert list(found) == [(1, 0), (0, 2)]


def test_sparse_multi_indices(network, points):
    f, x = network(3, 2), points(4, 3)
    dense = partials(f, x, [(0, 0, 0), (2, 0, 1), (0, 4, 0)])
    found = partials(f, x, [(), ((2, 1), (0, 2)), [(1, 4)]])
    assert list(found) == [(), ((0, 2), (2, 1)), ((1, 4),)]
    for value, wanted in zip(found.values(), dense.values(), strict=True):
        torch.testing.assert_close(value, wanted, rtol=0, atol=0)


@pytest.mark.parametrize("per_point", [False, True])
def test_jets_in_many_dimensions(per_point, points):
    """Directions stay symbolic there; the derivatives are those of a function of one variable."""
    d = 1000
    a, x = points(d, 1, seed=3) / d**0.5, points(3, d)
    v = torch.stack([points(3, d, seed=5), points(3, d, seed=6)]) if per_point else points(2, d, seed=5)
    found = jet(lambda x: torch.sin(torch.matmul(x, a)), x, v, 3)
    slope = v @ a if per_point else (v @ a)[:, None].expand(2, 3, 1)
    for k in range(4):
        wanted = slope**k * torch.sin(x @ a + k * math.pi / 2)
        torch.testing.assert_close(found[k], wanted, rtol=1e-11, atol=1e-11)


def test_reference_of_a_known_function():
    """The oracle itself against closed form."""
    x = torch.tensor([[0.3, -0.4]], dtype=torch.float64)
    f = lambda x: torch.sin(x[:, :1]) * x[:, 1:] ** 3  # noqa: E731
    found = reference.partials(f, x, [(0, 0), (1, 0), (2, 1), (0, 3), (1, 4)])
    a, b = 0.3, -0.4
    wanted = [math.sin(a) * b**3, math.cos(a) * b**3, -math.sin(a) * 3 * b**2, 6 * math.sin(a), 0.0]
    assert [v.item() for v in found.values()] == pytest.approx(wanted, rel=1e-12)


OPERATORS = {
    "laplacian": Laplacian(),
    "some_axes": Laplacian(axes=(0, 2)),
    "weighted": Laplacian(weight=torch.tensor([[2.0, 1.0, 0.0], [-3.0, 0.5, 0.2], [0.0, 0.0, -1.0]])),
    "biharmonic": Biharmonic(),
    "biharmonic_plane": Biharmonic(axes=(0, 1)),
    "constant": Operator({(1, 0, 0): 2.0, (0, 1, 1): -0.5, (3, 0, 0): 0.25, (0, 0, 0): 1.0}),
    "variable": Operator({(2, 0, 0): torch.linspace(1, 2, 5).double(), (0, 1, 0): torch.linspace(-1, 1, 5).double()}),
    "both": Operator({(2, 0, 0): torch.linspace(1, 2, 5).double(), (0, 2, 0): 1.0, (0, 0, 2): 1.0}),
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("apply", [contract, Exact()], ids=["contract", "Exact"])
def test_operators_match_nested_autograd(name, apply, network, points):
    f, x = network(3, 2), points(5, 3)
    found = apply(f, x, OPERATORS[name])
    assert found.shape == (5, 2)
    torch.testing.assert_close(found, reference.contract(f, x, OPERATORS[name]), rtol=1e-9, atol=1e-10)


WEIGHTS = {
    "identity": torch.eye(3),
    "diagonal": torch.diag(torch.tensor([1.0, -2.0, 3.0])),
    "asymmetric": OPERATORS["weighted"].weight,
    "singular": torch.ones(3, 3),
    "zero": torch.zeros(3, 3),
    "rank_one_negative": -torch.outer(torch.arange(3.0), torch.arange(3.0)),
    "antisymmetric": torch.tensor([[0.0, 1.0, 2.0], [-1.0, 0.0, 3.0], [-2.0, -3.0, 0.0]]),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weighted_laplacian(name, network, points):
    f, x, weight = network(3, 2), points(5, 3), WEIGHTS[name].double()
    second = {}
    for i in range(3):
        for j in range(3):
            index = tuple((k == i) + (k == j) for k in range(3))
            second[i, j] = reference.partials(f, x, [index])[index]
    expected = sum(weight[i, j] * value for (i, j), value in second.items())
    # The eigenvectors bring their own rounding.
    torch.testing.assert_close(laplacian(f, x, weight), expected, rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(contract(f, x, Laplacian(weight)), expected, rtol=1e-10, atol=1e-11)


def test_short_names(network, points):
    f, x = network(2, 1), points(5, 2)
    torch.testing.assert_close(laplacian(f, x), reference.contract(f, x, Laplacian()), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(biharmonic(f, x), reference.contract(f, x, Biharmonic()), rtol=1e-10, atol=1e-10)


def test_coefficients_are_differentiable(network, points):
    f, x = network(2, 1), points(5, 2)
    a = torch.linspace(1, 2, 5).double().requires_grad_()
    value = contract(f, x, Operator({(2, 0): a, (0, 1): 1.0}))
    (gradient,) = torch.autograd.grad(value.sum(), a)
    torch.testing.assert_close(gradient, partials(f, x, [(2, 0)])[2, 0][:, 0])


def test_linearity(network, points):
    f, g, x = network(2, 1), network(2, 1, seed=4), points(5, 2)
    operator = OPERATORS["laplacian"]
    combined = contract(lambda z: 2 * f(z) - 3 * g(z), x, operator)
    torch.testing.assert_close(combined, 2 * contract(f, x, operator) - 3 * contract(g, x, operator))


def test_second_operator_terms_of_a_weight_add_up():
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert Laplacian(weight).terms(2) == {(2, 0): 1.0, (1, 1): 5.0, (0, 2): 4.0}
    assert Biharmonic().terms(2) == {(4, 0): 1.0, (2, 2): 2.0, (0, 4): 1.0}
    assert Laplacian(axes=(1,)).terms(2) == {(0, 2): 1.0}


X = torch.zeros(2, 3)
ERRORS = {
    "points_1d": (
        lambda: jet(torch.sin, torch.zeros(3), torch.ones(1, 3), 1),
        r"points must have shape \(n, d\) with d >= 1; got \(3,\)",
    ),
    "no_coordinates": (lambda: partials(torch.sin, torch.zeros(3, 0), []), r"got \(3, 0\)"),
    "integers": (
        lambda: laplacian(torch.sin, torch.zeros(2, 3, dtype=torch.long)),
        r"floating point; got torch.int64. Use x.double",
    ),
    "negative_order": (lambda: jet(torch.sin, X, torch.ones(1, 3), -1), "order must be at least 0; got -1"),
    "directions": (
        lambda: jet(torch.sin, X, torch.ones(1, 2), 1),
        r"directions of shape \(1, 2\) do not fit points of shape \(2, 3\)",
    ),
    "directions_1d": (lambda: jet(torch.sin, X, torch.ones(3), 1), r"directions of shape \(3,\) do not fit"),
    "directions_per_point": (
        lambda: jet(torch.sin, X, torch.ones(4, 5, 3), 1),
        r"directions of shape \(4, 5, 3\) do not fit",
    ),
    "index": (lambda: partials(torch.sin, X, [(1, 0)]), r"multi-index \(1, 0\) needs 3 non-negative entries"),
    "negative_index": (lambda: contract(torch.sin, X, Operator({(1, -1, 0): 1.0})), "needs 3 non-negative entries"),
    "weight": (
        lambda: laplacian(torch.sin, X, torch.eye(2)),
        r"weight of the Laplacian is \(2, 2\); expected \(3, 3\)",
    ),
    "weight_of_operator": (lambda: contract(torch.sin, X, Laplacian(torch.eye(2))), r"expected \(3, 3\)"),
    "axes": (
        lambda: contract(torch.sin, X, Laplacian(axes=(0, 3))),
        r"axes \(0, 3\) must be different columns of x, from 0 to 2",
    ),
    "axes_twice": (lambda: contract(torch.sin, X, Biharmonic(axes=(1, 1))), r"axes \(1, 1\) must be different"),
    "no_axes": (lambda: contract(torch.sin, X, Laplacian(axes=())), r"axes \(\) must be different"),
    "empty": (lambda: Operator({}), r"at least one term, such as \{\(2, 0\): 1.0\}"),
    "nan": (lambda: Operator({(1, 0): math.nan}), r"coefficient of \(1, 0\) is not finite; got nan"),
    "nan_tensor": (lambda: Operator({(1, 0): torch.tensor([1.0, math.inf])}), "not finite"),
    "coefficient": (
        lambda: contract(torch.sin, X, Operator({(1, 0, 0): torch.ones(5)})),
        r"coefficient of \(1, 0, 0\) has shape \(5,\); expected one value for each of 2 points",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    action, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        action()
