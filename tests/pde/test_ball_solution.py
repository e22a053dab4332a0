"""Laplacians of high-dimensional closed forms, against nested automatic differentiation and formulas by hand."""

import math

import pytest
import torch
from torch.func import jacrev, vmap

from kjet.errors import ConfigError
from kjet.jets import Laplacian, contract
from kjet.pde import INTERACTIONS, BallSolution, LocalSum, LowRank, ball_solution
from kjet.pde._words import words_of


def points(n, d, seed=1, radius=0.8):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return radius * x / x.norm(dim=1, keepdim=True)


def nested_laplacian(f):
    return vmap(lambda y: jacrev(jacrev(f))(y).trace())


def one(f):
    return lambda y: f(y[None])[0]


def assert_close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12 * float(expected.abs().max()))


def by_hand(name, x, c):
    """``u`` and ``lap u`` of the published solutions, from derivatives worked out on paper."""
    if name == "two_body":
        a, b = x[:, :-1], x[:, 1:]
        s = a + torch.cos(b) + b * torch.cos(a)
        ds, curve = (1 - b * torch.sin(a), torch.cos(a) - torch.sin(b)), -b * torch.cos(a) - torch.cos(b)
        g, slope = torch.sin(s), torch.cos(s) * (a * ds[0] + b * ds[1])
        bend = torch.cos(s) * curve - torch.sin(s) * (ds[0] ** 2 + ds[1] ** 2)
    else:
        p, q, r = x[:, :-2], x[:, 1:-1], x[:, 2:]
        g = torch.exp(p * q * r)
        slope, bend = 3 * p * q * r * g, g * ((q * r) ** 2 + (p * r) ** 2 + (p * q) ** 2)
    w, (g, slope, bend) = 1 - x.square().sum(1), (part @ c for part in (g, slope, bend))
    return w * g, w * bend - 4 * slope - 2 * x.shape[1] * g


@pytest.mark.parametrize("name", INTERACTIONS)
@pytest.mark.parametrize("d", [5, 11, 20])
def test_laplacian_matches_nested_autograd(name, d):
    u, x = ball_solution(d, name, seed=3), points(4, d)
    value, laplacian = u.laplacians(x)
    assert torch.equal(value, u.value(x))
    assert_close(laplacian, nested_laplacian(one(u.value))(x))


@pytest.mark.parametrize("name", INTERACTIONS)
@pytest.mark.parametrize("power", [1, 2, 3])
def test_bilaplacian_matches_nested_autograd(name, power):
    u, x = ball_solution(5, name, power=power), points(2, 5)
    value, laplacian, twice = u.laplacians(x, order=2)
    inner = nested_laplacian(one(u.value))
    assert_close(laplacian, inner(x))
    assert_close(twice, nested_laplacian(one(inner))(x))
    assert_close(value, u.value(x))


@pytest.mark.parametrize("name", ["two_body", "three_body"])
@pytest.mark.parametrize("d", [20, 1000])
def test_published_solutions_by_hand(name, d):
    u, x = ball_solution(d, name, seed=5), points(7, d)
    value, laplacian = u.laplacians(x)
    expected = by_hand(name, x, u.profile.coefficients)
    assert_close(value, expected[0])
    assert_close(laplacian, expected[1])


@pytest.mark.parametrize("name", INTERACTIONS)
def test_single_precision(name):
    """Round-off of a sum of d terms of random signs."""
    d = 3000
    u, x = ball_solution(d, name), points(5, d, radius=0.6)
    for found, expected in zip(u.laplacians(x.float()), u.laplacians(x), strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected, rtol=3e-5, atol=3e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", INTERACTIONS)
def test_value_takes_jets(name):
    u, x = ball_solution(6, name), points(3, 6)
    assert_close(contract(lambda z: u.value(z)[..., None], x, Laplacian())[:, 0], u.laplacians(x)[1])


@pytest.mark.parametrize("name", INTERACTIONS)
def test_compiles_in_one_graph(name):
    u, x = ball_solution(40, name), points(3, 40)
    compiled = torch.compile(u.laplacians, fullgraph=True, backend="aot_eager")
    for found, expected in zip(compiled(x), u.laplacians(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-10)


def test_chunks_change_nothing(monkeypatch):
    u, x = ball_solution(50, "two_body"), points(3, 50)
    whole = u.laplacians(x, order=2)
    monkeypatch.setattr("kjet.pde.profiles._CHUNK", 3 * 7)
    for found, expected in zip(u.laplacians(x, order=2), whole, strict=True):
        assert_close(found, expected)


def test_a_hundred_thousand_dimensions():
    """Against a few windows at a time: what the sum is made of."""
    d = 100_000
    u, x = ball_solution(d), points(2, d)
    value, laplacian = u.laplacians(x)
    expected = by_hand("two_body", x, u.profile.coefficients)
    assert_close(value, expected[0])
    assert_close(laplacian, expected[1])


@pytest.mark.parametrize("name", INTERACTIONS)
def test_coefficients_come_from_the_seed_alone(name):
    before = torch.get_rng_state()
    first, again, other = (ball_solution(9, name, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    x = points(3, 9)
    assert torch.equal(first.value(x), again.value(x))
    assert not torch.allclose(first.value(x), other.value(x))


def test_coefficients_of_the_hard_solutions():
    zero_mean, low_rank = (ball_solution(500, name).profile for name in ("zero_mean", "low_rank"))
    assert abs(float(zero_mean.coefficients.sum())) < 1e-14
    assert float(zero_mean.coefficients.norm()) == pytest.approx(1.0)
    assert zero_mean.scale == pytest.approx(math.sqrt(1000))
    torch.testing.assert_close(low_rank.rows @ low_rank.rows.T, torch.eye(4, dtype=torch.float64))


def test_values_vanish_on_the_sphere():
    x = points(5, 12, radius=1.0)
    for name in INTERACTIONS:
        assert float(ball_solution(12, name).value(x).abs().max()) < 1e-13


def test_other_types_and_devices():
    u = ball_solution(8, "low_rank").to(torch.float32)
    assert u.profile.rows.dtype == torch.float32
    assert ball_solution(8).to(torch.float32).profile.coefficients.dtype == torch.float32
    torch.testing.assert_close(u.value(points(2, 8).float()).double(), ball_solution(8, "low_rank").value(points(2, 8)))


def test_words():
    """On ``a^3 b``, by hand: L = 6ab, E = 4, E^2 = 16, L E = 4 L, L^2 = 0."""
    a, b = torch.tensor([0.7, -1.1]), torch.tensor([0.4, 2.0])
    g, bend = a**3 * b, 6 * a * b
    found = words_of(lambda x, y: x**3 * y, [a, b], [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)])
    expected = {(0, 0): g, (0, 1): 4 * g, (1, 0): bend, (0, 2): 16 * g, (1, 1): 4 * bend, (2, 0): torch.zeros(2)}
    for word, value in expected.items():
        torch.testing.assert_close(found[word], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ball_solution(10, "twobody"), r'unknown interaction "twobody".*Did you mean "two_body"'),
        (lambda: ball_solution(2, "three_body"), "three_body.* needs at least 3 dimensions; got 2"),
        (lambda: ball_solution(5, power=0), "must be a positive whole number; got 0"),
        (lambda: LocalSum(torch.sin, 1, torch.ones(0)), "one coefficient for each"),
        (lambda: LowRank(torch.sin, torch.ones(1, 3)), "must be orthonormal"),
        (lambda: ball_solution(5).laplacians(torch.zeros(2, 6)), r"shape \(2, 6\) .* function of 5 coordinates"),
        (lambda: words_of(torch.sin, [torch.ones(1)], [(3, 0)]), r"the word \(3, 0\) is not one of"),
        (lambda: BallSolution(ball_solution(5).profile, 1.5), "positive whole number; got 1.5"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
