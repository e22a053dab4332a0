"""Sums over the coordinates kept by name: what they are, which way they are taken, where an estimate is refused."""

import itertools
import time

import pytest
import torch

from kjet.jets import EstimatorError
from kjet.jets.estimators import STDE, Auto, Hutchinson, two_sample_loss
from kjet.pde import Frame, Values, Vector, advect, d, dt, grad, grad_dot, grad_squared, lap, record
from kjet.problems import BlackScholesBarenblattProblem, HJBProblem

FRAME = Frame(("x", "y", "z", "t"), ("u", "v"), ("x", "y", "z"), "t", ("a",))
PARAMETERS = {"a": 0.7}


def network(x):
    weights = torch.tensor([[1.0, -0.5, 0.3, 0.8], [0.2, 0.9, -1.1, 0.4]], dtype=x.dtype)
    return torch.sin(x @ weights.T) + (x**3 * weights[0]).sum(-1, keepdim=True)


@pytest.fixture
def x():
    return torch.rand(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def values(recorded, x, f=network, draws=()):
    return recorded(Values(x, recorded.field_values(recorded.plan(f, x, draws)), PARAMETERS))


PAIRS = {
    "fields": lambda u, v, p: (grad_dot(u, v), grad(u) @ grad(v)),
    "squared": lambda u, v, p: (grad_squared(u), grad(u) @ grad(u)),
    "sums": lambda u, v, p: (grad_dot(u + 2 * v, u - v), grad(u + 2 * v) @ grad(u - v)),
    "products": lambda u, v, p: (grad_dot(u * v, p.a * u), grad(u * v) @ grad(p.a * u)),
    "coordinates": lambda u, v, p: (grad_dot(p.x * p.t, u) + grad_dot(v, p.t), p.t * u.x),
    "constants": lambda u, v, p: (grad_dot(u, p.a + 0 * u.x), 0.0 * u),
    "functions": lambda u, v, p: (grad_dot(torch.sin(u), v), torch.cos(u) * (grad(u) @ grad(v))),
    "derivatives": lambda u, v, p: (grad_dot(u.x, v.t), grad(u.x) @ grad(v.t)),
    "differentiated": lambda u, v, p: (d(grad_dot(u, v), "x"), d(grad(u) @ grad(v), "x")),
    "differentiated in time": lambda u, v, p: (dt(grad_squared(u)), dt(grad(u) @ grad(u))),
    "twice": lambda u, v, p: (lap(grad_squared(u)), lap(grad(u) @ grad(u))),
    "in a function": lambda u, v, p: (torch.sqrt(1 + grad_squared(u)).x, torch.sqrt(1 + grad(u) @ grad(u)).x),
}


def spin(x):
    return torch.sin(x) + x.roll(1, -1) if isinstance(x, torch.Tensor) else torch.sin(x) + x[..., [2, 0, 1]]


def by_hand(weight, u, p, order):
    """The same sum with coefficients by name."""
    axes = (p.x, p.y, p.z)
    a = {"square": [c**2 for c in axes], "spin": [torch.sin(c) + b for c, b in zip(axes, (p.z, p.x, p.y), strict=True)]}
    slopes = [d(u, *name * order) for name in ("x", "y", "z")]
    return sum(c * s for c, s in zip(a[weight], slopes, strict=True))


PAIRS |= {
    "weighted laplacian": lambda u, v, p: (lap(u, torch.square, positive=True), by_hand("square", u, p, 2)),
    "of both signs": lambda u, v, p: (lap(v, spin), by_hand("spin", v, p, 2)),
    "advected": lambda u, v, p: (advect(spin, u), by_hand("spin", u, p, 1)),
    "advected by a vector": lambda u, v, p: (advect(Vector((v, p.x, p.t)), u), v * u.x + p.x * u.y + p.t * u.z),
    "weighted, of products": lambda u, v, p: (lap(u * v, spin), by_hand("spin", u * v, p, 2)),
    "advected functions": lambda u, v, p: (advect(spin, torch.exp(u)), by_hand("spin", torch.exp(u), p, 1)),
    "weighted and differentiated": lambda u, v, p: (d(lap(u, spin), "y"), d(by_hand("spin", u, p, 2), "y")),
    "advected in time": lambda u, v, p: (dt(advect(spin, u)), dt(by_hand("spin", u, p, 1))),
    "weighted, of multiples": lambda u, v, p: (lap(2 * u - p.a * v, spin), by_hand("spin", 2 * u - p.a * v, p, 2)),
    "lists of weights": lambda u, v, p: (
        lap(u * v, lambda x: [1.0, -2.0, 0.5]),
        d(u * v, "x", "x") - 2 * d(u * v, "y", "y") + 0.5 * d(u * v, "z", "z"),
    ),
    "constant weights": lambda u, v, p: (
        lap(u, lambda x: 2.0).x + advect(lambda x: 1.0, v),
        2 * lap(u).x + v.x + v.y + v.z,
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_they_are(name, x):
    found, wanted = values(record(PAIRS[name], FRAME), x)
    torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-11)


def test_they_are_one_node_and_free_beside_a_laplacian():
    recorded = record(lambda u, v: lap(u) - grad_squared(u) + grad_dot(u, v) + grad_dot(v, u), FRAME)
    assert len(recorded.totals) == 2  # the order of the two does not matter
    assert recorded.plan.cost() == 1 + 3 + 1
    assert recorded.estimated(STDE(2)).plan.cost() == 1 + 2 + 1
    assert "|grad u|^2" in recorded.describe()
    assert "grad u . grad v" in recorded.describe()
    assert record(lambda u, v: grad_squared(u), FRAME).order == 1


def test_multiples_stay_one_node():
    recorded = record(lambda u, v: lap(2 * u - 3.0 * v, torch.square, positive=True), FRAME)
    assert len(recorded.totals) == 2
    assert len(recorded.estimated(STDE(2)).plan.sources) > 0


def test_mean_over_all_outcomes(x):
    """A residual that is linear in its estimates has its exact value as its mean, whatever else it holds."""

    def residual(u, v):
        return u.t - u**2 * lap(u) + torch.exp(v) * grad_squared(u) + torch.where(u > 0, grad_dot(u, v), lap(v))

    (wanted,) = values(record(residual, FRAME), x)
    for estimator, outcomes in (
        (STDE(2), [[torch.tensor(c)] for c in itertools.combinations(range(3), 2)]),
        (Hutchinson(1), [[torch.tensor([c]).double()] for c in itertools.product((1, -1), repeat=3)]),
    ):
        recorded = record(residual, FRAME).estimated(estimator)
        (family,) = recorded.plan.sources
        draws = [family.build(numbers, x.dtype, x.device) for numbers in outcomes]
        found = torch.stack([values(recorded, x, draws=(seeds,))[0] for seeds in draws])
        torch.testing.assert_close(found.mean(0), wanted, rtol=1e-11, atol=1e-11)
        assert (found - wanted).abs().max() > 1e-2


NONLINEAR = {
    "root": lambda u, v: torch.sqrt(grad_squared(u)),
    "square": lambda u, v: lap(u) ** 2,
    "product": lambda u, v: u.t - lap(u) * lap(v),
    "product of kinds": lambda u, v: lap(u) * grad_squared(v),
    "quotient": lambda u, v: u / grad_squared(u),
    "square of a weighted sum": lambda u, v: lap(u, spin) ** 2,
    "condition": lambda u, v: torch.where(lap(u) > 0, u, v),
}


@pytest.mark.parametrize("name", NONLINEAR)
def test_nonlinear_use_of_an_estimate_is_refused(name):
    recorded = record(NONLINEAR[name], FRAME)
    for estimator in (STDE(2), Hutchinson(4), Auto(2).choice()):
        with pytest.raises(EstimatorError, match=r"no linear function of .* estimated.*Use estimator=exact"):
            recorded.estimated(estimator)
    recorded.estimated(STDE(3))  # all coordinates: nothing is left to chance
    assert recorded.estimated(None).plan.cost() > 1


def test_sums_by_hand_are_exact():
    recorded = record(lambda u, v: u.t - lap(u) + torch.sqrt(grad(u) @ grad(u)) + advect(spin, u) ** 2, FRAME)
    assert recorded.estimated(STDE(2)).plan.random


def residual_of(dim, estimator, options=HJBProblem):
    """Residuals of the reference along given draws."""
    problem = options(dim=dim).build()
    known = problem.equation.parameters()
    recorded = problem.equation.record(problem.domain.coords).gathered(known).estimated(estimator)
    generator = torch.Generator().manual_seed(1)
    points = problem.domain.interior(6, sampler="uniform", generator=generator, dtype=torch.float64).x

    def residual(draws=()):
        y = recorded.plan(lambda z: problem.reference.at(z)[..., None], points, draws)
        return recorded(Values(points, recorded.field_values(y), known))[0]

    return recorded.plan, points, residual


PROBLEMS = {"hjb": HJBProblem, "black_scholes_barenblatt": BlackScholesBarenblattProblem}


@pytest.mark.parametrize("dim", [5, 100, 127, 128, 129, 300])
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_references_solve_exactly(problem, dim):
    """With no jump of the cost where sums become long."""
    for estimator in (None, STDE(dim)):
        plan, points, residual = residual_of(dim, estimator, problem)
        assert plan.cost() <= dim + 4 + 2 * (dim > 128) * (1 + dim // 128)
        assert residual(plan.draw(len(points), None, points.dtype)).abs().max() < 1e-10


@pytest.mark.parametrize(
    ("estimator", "outcomes"),
    [
        (STDE(2), [[torch.tensor(c)] for c in itertools.combinations(range(5), 2)]),
        (Hutchinson(1), [[torch.tensor([c]).double()] for c in itertools.product((1, -1), repeat=5)]),
    ],
    ids=["sparse", "signs"],
)
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_residuals_vanish_in_the_mean_over_all_outcomes(problem, estimator, outcomes):
    plan, points, residual = residual_of(5, estimator, problem)
    found = torch.stack([residual((plan.sources[0].build(z, points.dtype, points.device),)) for z in outcomes])
    assert found.mean(0).abs().max() < 1e-11
    # The Hessian of the quadratic payoff is diagonal, of which signs give the exact sum every time.
    exact = problem is BlackScholesBarenblattProblem and isinstance(estimator, Hutchinson)
    assert exact or found.abs().max() > 1e-4
    # The mean square is the variance; the mean of products of two draws is not biased by it.
    pairs = two_sample_loss(
        found.unsqueeze(0).expand(len(found), -1, -1), found.unsqueeze(1).expand(-1, len(found), -1)
    )
    assert pairs.mean((0, 1)).abs().max() < 1e-11


@pytest.mark.parametrize("law", ["gaussian", "sphere"])
@pytest.mark.parametrize(("problem", "rows"), [(HJBProblem, 1), (BlackScholesBarenblattProblem, 3)], ids=PROBLEMS)
def test_residuals_vanish_in_the_mean(problem, rows, law):
    plan, points, residual = residual_of(40, Hutchinson(8, law), problem)
    generator = torch.Generator().manual_seed(3)
    found = torch.stack([residual(plan.draw(len(points), generator, points.dtype)) for _ in range(300)])
    assert bool((found.mean(0).abs() < 5 * found.std(0) / 300**0.5).all())
    assert plan.cost() == 1 + 8 + rows


@pytest.mark.parametrize(("problem", "cost"), [(HJBProblem, 18), (BlackScholesBarenblattProblem, 20)], ids=PROBLEMS)
def test_many_dimensions(problem, cost):
    """Recorded in O(1) nodes: names of coordinates are all that is as long as their number."""
    start = time.process_time()
    built = problem(dim=100_000).build()
    known = built.equation.parameters()
    recorded = built.equation.record(built.domain.coords).estimated(STDE(16)).gathered(known)
    assert recorded.plan.cost() == cost
    assert len(recorded._order) < 20
    assert time.process_time() - start < 5  # 0.3 s
