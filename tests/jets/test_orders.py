"""High orders in several variables against closed forms, and operators of every kind of coefficient."""

import itertools
import math
import random
import time

import pytest
import torch

from kjet.jets import STDE, Operator, Plan, Trace, contract, partials, quantity, reference
from kjet.jets.estimators import Weighted
from kjet.jets.plan import _build


class Exponential:
    """``exp(a . x)``: derivative alpha is ``a^alpha`` times the value."""

    def __init__(self, d):
        self.a = torch.linspace(-1.0, 1.2, d, dtype=torch.float64)

    def __call__(self, x):
        return torch.exp(torch.matmul(x, self.a.to(x.dtype)[:, None]))

    def derivative(self, x, index):
        return math.prod(float(a) ** k for a, k in zip(self.a, index, strict=True)) * self(x)


class Product:
    """``sin(x) exp(y / 2) (1 + z)^3``: a product, whose derivatives are products."""

    def __call__(self, x):
        return torch.sin(x[..., :1]) * torch.exp(x[..., 1:2] / 2) * (1 + x[..., 2:]) ** 3

    def derivative(self, x, index):
        i, j, k = index
        power = math.perm(3, k) * (1 + x[:, 2:]) ** (3 - k) if k <= 3 else torch.zeros_like(x[:, 2:])
        return torch.sin(x[:, :1] + i * math.pi / 2) * 0.5**j * torch.exp(x[:, 1:2] / 2) * power


class Gaussian:
    """``exp(-|x|^2 / 2)``, by Hermite polynomials."""

    def __call__(self, x):
        return torch.exp(-0.5 * (x**2).sum(-1, keepdim=True))

    def derivative(self, x, index):
        value = self(x)
        for i, k in enumerate(index):
            value = value * (-1) ** k * hermite(x[:, i : i + 1], k)
        return value


def hermite(x, k):
    below, value = torch.zeros_like(x), torch.ones_like(x)
    for i in range(k):
        below, value = value, x * value - i * below
    return value


def box(n, d, seed=0):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.5


EVERY = [index for index in itertools.product(range(7), repeat=3) if sum(index) <= 6]


@pytest.mark.parametrize("f", [Exponential(3), Product(), Gaussian()], ids=lambda f: type(f).__name__)
def test_every_derivative_to_order_six_in_three_variables(f):
    x = box(4, 3)
    for index in EVERY:
        wanted = f.derivative(x, index)
        # Derivatives of the same order are of the size of this one or larger; weights amplify rounding up to 30 times.
        scale = max(float(f.derivative(x, other).abs().max()) for other in EVERY if sum(other) == sum(index))
        found = partials(f, x, [index])[index]
        assert float((found - wanted).abs().max()) <= 2e-13 * scale, index


def test_all_of_them_in_one_pass():
    f, x = Gaussian(), box(3, 3)
    found = partials(f, x, EVERY)
    for index in EVERY:
        scale = max(float(f.derivative(x, other).abs().max()) for other in EVERY if sum(other) == sum(index))
        assert float((found[index] - f.derivative(x, index)).abs().max()) <= 1e-12 * scale, index


SAMPLES = [
    (2, 2, 2, 2, 0, 0),
    (3, 1, 1, 1, 1, 1),
    (2, 2, 1, 1, 1, 1),
    (4, 4, 0, 0, 0, 0),
    (1, 1, 1, 1, 1, 3),
    (0, 8, 0, 0, 0, 0),
    (7, 0, 0, 0, 0, 1),
    (3, 3, 2, 0, 0, 0),
]


@pytest.mark.parametrize("index", SAMPLES)
@pytest.mark.parametrize("f", [Exponential(6), Gaussian()], ids=lambda f: type(f).__name__)
def test_order_eight_in_six_variables(index, f):
    x = box(4, 6)
    wanted = f.derivative(x, index)
    # Pure derivatives of the same order bound the mixed ones of these functions.
    scale = max(float(f.derivative(x, tuple(8 * (i == j) for i in range(6))).abs().max()) for j in range(6))
    assert float((partials(f, x, [index])[index] - wanted).abs().max()) <= 1e-12 * scale


def random_operator(d, order, terms, seed):
    generator = random.Random(seed)
    every = [index for index in itertools.product(range(order + 1), repeat=d) if 0 < sum(index) <= order]
    return {index: generator.gauss(0, 1) for index in generator.sample(every, terms)}


RANDOM = [(2, 8, 10), (3, 6, 20), (3, 8, 60), (4, 6, 25), (5, 5, 40), (6, 8, 1), (6, 8, 4), (6, 8, 20)]


@pytest.mark.parametrize(("d", "order", "terms"), RANDOM)
def test_random_operators(d, order, terms):
    f, x = Exponential(d), box(3, d)
    operator = random_operator(d, order, terms, seed=terms)
    wanted = sum(c * f.derivative(x, index) for index, c in operator.items())
    scale = float(sum(abs(c) for c in operator.values()) * f(x).max()) * 1.2**order
    assert float((contract(f, x, Operator(operator)) - wanted).abs().max()) <= 1e-12 * scale


CLOSED_FORMS = {
    "u_xxxy": (2, {(3, 1): 1.0}),
    "lap^2 in 3": (3, {Trace(range(3), 2): 1.0}),
    "lap^3 in 3": (3, {Trace(range(3), 3): 1.0}),
    "lap^4 in 4": (4, {Trace(range(4), 4): 1.0}),
    "xxyyzzww": (4, {(2, 2, 2, 2): 1.0}),
    "ten terms": (6, random_operator(6, 8, 10, seed=3)),
    "two hundred terms": (6, random_operator(6, 8, 200, seed=3)),
    "dense, order six": (6, random_operator(6, 6, 923, seed=3)),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_planning_is_fast_and_remembered(name):
    """Exact weights of hundreds of directions take a second or two of processor time, once."""
    d, terms = CLOSED_FORMS[name]
    wanted = quantity(terms)
    began = time.process_time()
    plan = Plan.build([wanted], d)
    first = time.process_time() - began
    assert first < 30  # a second or two on an idle machine; minutes where the cost grows with the wrong power
    assert Plan.build([quantity(terms)], d) is plan
    f, x = Exponential(d), box(2, d)
    total = sum(c * f.derivative(x, index) for index, c in wanted.dense(d).items())
    scale = sum(abs(c) * float(f.derivative(x, index).abs().max()) for index, c in wanted.dense(d).items())
    assert float((plan(f, x)[wanted] - total).abs().max()) <= 1e-11 * max(scale, 1.0)


@pytest.mark.slow
def test_every_term_to_order_eight_in_six_variables():
    terms = random_operator(6, 8, 3002, seed=0)
    wanted, f, x = quantity(terms), Exponential(6), box(2, 6)
    _build.cache_clear()
    plan = Plan.build([wanted], 6)
    assert len(plan.directions) == 1287  # the simplex serves all orders
    total = sum(c * f.derivative(x, index) for index, c in terms.items())
    scale = sum(abs(c) * float(f.derivative(x, index).abs().max()) for index, c in terms.items())
    assert float((plan(f, x)[wanted] - total).abs().max()) <= 1e-12 * scale


@pytest.mark.parametrize(
    ("index", "tolerance"), [((1, 1), 1e-6), ((2, 2), 1e-6), ((3, 1), 2e-5), ((1, 3), 2e-6), ((2, 1), 1e-6)]
)
def test_scales_keep_digits_in_float32(index, tolerance):
    lengths = (20.0, 0.2)
    size = torch.tensor(lengths, dtype=torch.float64)

    def f(x):
        y = x / size.to(x.dtype)
        return torch.sin(y[..., :1] + 2 * y[..., 1:])

    x = (box(200, 2) + 0.5) * size
    y, k = x / size, sum(index)
    wanted = 2 ** index[1] * torch.sin(y[:, :1] + 2 * y[:, 1:] + k * math.pi / 2)
    name = quantity({index: math.prod(s**a for s, a in zip(lengths, index, strict=True))})

    def error(scales):
        found = Plan.build([name], 2, scales=scales)(f, x.float())[name]
        return float((found - wanted).abs().max() / wanted.abs().max())

    assert error(lengths) < tolerance
    assert error(lengths) < 0.1 * error(None)


def test_scaled_plans_reuse_directions_and_stay_exact(network, points):
    f, x = network(3, 2), points(4, 3)
    terms = [{(2, 0, 0): 1.0}, {(1, 1, 0): 2.0, (0, 0, 1): 1.0}, {(2, 2, 0): 0.5, (0, 4, 0): 1.0, (1, 0, 1): 1.0}]
    names = [quantity(part) for part in terms]
    plan = Plan.build(names, 3, scales=(10.0, 0.3, 1.0))
    assert plan.cost() == Plan.build(names, 3).cost()
    values = plan(f, x)
    for part, name in zip(terms, names, strict=True):
        expected = reference.partials(f, x, list(part))
        wanted = sum(c * expected[index] for index, c in part.items())
        torch.testing.assert_close(values[name], wanted, rtol=1e-9, atol=1e-9)


def test_scales_beside_an_estimate():
    """Directions that an estimator's sum brings along are not scaled, and those of mixed derivatives are."""
    f, x = Exponential(4), box(3, 4)
    names = [
        quantity({((3, 1),): 1.0}) * quantity({Trace(range(3)): 1.0}),
        quantity({(1, 0, 1, 1): 2.0, (0, 0, 0, 1): 1.0}),
    ]
    plan = Plan.build(names, 4, STDE(samples=3), scales=(8.0, 0.5, 1.0, 0.1))
    values = plan(f, x, plan.draw(3, None, x.dtype))
    for name in names:
        wanted = sum(c * f.derivative(x, index) for index, c in name.dense(4).items())
        torch.testing.assert_close(values[name], wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scales", [(1.0,), (1.0, 0.0), (1.0, -2.0), (1.0, math.inf)])
def test_scales_that_make_no_sense(scales):
    with pytest.raises(ValueError, match="scales need 2 positive numbers"):
        Plan.build([quantity({(1, 1): 1.0})], 2, scales=scales)


MATRICES = {
    "constant": Weighted(weight=torch.tensor([[2.0, 1.0, 0.0], [1.0, -0.5, 0.2], [0.0, 0.2, 1.0]]).double()),
    "definite": Weighted(weight=(lambda a: a @ a.mT + 0.1 * torch.eye(3))(box(5, 9).reshape(5, 3, 3))),
    "indefinite": Weighted(weight=(lambda a: a + a.mT)(box(5, 9).reshape(5, 3, 3))),
    "diagonal": Weighted(diagonal=box(5, 3)),
    "factor": Weighted(factor=box(5, 6).reshape(5, 3, 2), signs=(1, -1)),
    "zero": Weighted(weight=torch.zeros(3, 3, dtype=torch.float64)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_matrix_coefficients(name, network, points):
    f, x, operator = network(3, 2), points(5, 3), MATRICES[name]
    wanted = reference.contract(f, x, operator)
    torch.testing.assert_close(contract(f, x, operator), wanted, rtol=1e-9, atol=1e-10)
    written = Operator(operator.terms(3))
    torch.testing.assert_close(contract(f, x, written), wanted, rtol=1e-9, atol=1e-10)


def test_coefficients_of_traces_and_sparse_derivatives(network, points):
    f, x = network(4, 1), points(5, 4)
    a = torch.linspace(1, 2, 5, dtype=torch.float64)
    operator = Operator({Trace(range(1, 4)): a, ((0, 1),): -1.0, (0, 2, 0, 0): 3.0, ((1, 1), (3, 1)): a.flip(0)})
    torch.testing.assert_close(contract(f, x, operator), reference.contract(f, x, operator), rtol=1e-10, atol=1e-10)
