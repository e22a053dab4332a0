"""Fisher information of unknown parameters: closed forms, coverage, and what cannot be told apart."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

import kjet
from kjet.constraints import Initial, Observations
from kjet.data import Interval, Time
from kjet.decomposition import decomposed
from kjet.errors import ConfigError, RunError
from kjet.operators import MLPConfig
from kjet.pde import Equation, Heat, Unknown
from kjet.problem import Problem
from kjet.problems import Poisson2DProblem
from kjet.problems.heat_inverse import HeatInverseProblem
from kjet.training import SamplerConfig
from kjet.training.identifiability import identifiability, marginal_information, profile
from kjet.training.identifiability.profile import _around

SMALL = MLPConfig(width=8, depth=2)
FIXED = SamplerConfig(points=200, boundary_points=30, adaptive="none")


def solve(problem, **options):
    settings = {
        "network": SMALL, "sampler": FIXED, "optimizer": "levenberg_marquardt", "max_steps": 50, "progress": False,
    }  # fmt: skip
    return kjet.solve(problem, **settings | options)


# the Schur complement, against dense inverses


def matrices(r=30, k=3, q=7):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(r, n, generator=generator, dtype=torch.float64) for n in (k, q)]


def test_marginal_information_is_the_inverse_of_the_block_of_the_inverse():
    A, B = matrices()
    J = torch.cat([A, B], 1)
    expected = torch.linalg.inv(torch.linalg.inv(J.T @ J)[:3, :3])
    assert torch.allclose(marginal_information(A, B).information, expected, rtol=1e-8)


def test_the_response_is_that_of_least_squares():
    A, B = matrices()
    J = torch.cat([A, B], 1)
    assert torch.allclose(marginal_information(A, B).response, torch.linalg.pinv(J)[:3], rtol=1e-7, atol=1e-10)


def test_leverages_are_the_diagonal_of_the_projection():
    A, B = matrices()
    projection = B @ torch.linalg.pinv(B)
    assert torch.allclose(marginal_information(A, B).nuisance, projection.diagonal(), rtol=1e-8)


def test_without_nuisance_nothing_is_lost():
    A, _ = matrices()
    found = marginal_information(A, A[:, :0])
    assert torch.allclose(found.information, A.T @ A)


def test_redundant_weights_do_no_harm():
    A, B = matrices()
    found = marginal_information(A, torch.cat([B, B, 1e-9 * B], 1))
    assert torch.allclose(found.information, marginal_information(A, B).information, rtol=1e-6)


# a linear problem whose Fisher matrix is known: u = w t in a network of one weight, u_t = a + b t


class Line(nn.Module):
    """``u = c_0 + c_1 t + c_2 t^2``."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1, bias=False, dtype=torch.float64)

    def forward(self, x):
        t = x[..., 0]
        return self.layer(torch.stack([0 * t + 1, t, t * t], -1) if isinstance(t, torch.Tensor) else _powers(t))


def _powers(t):
    return torch.stack([0 * t + 1, t, t * t], -1)


class Growth(Equation):
    fields, coords = ("u",), ("t",)
    a: float = 1.0
    b: float = 1.0

    def residual(self, u, p):
        return u.t - p.a - p.b * p.t


def growth(sigma=0.1, n=50, seed=0) -> tuple[Problem, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    t = torch.rand(n, generator=generator, dtype=torch.float64)
    u = 0.5 + 2.0 * t + 1.5 * t**2 + sigma * torch.randn(n, generator=generator, dtype=torch.float64)
    equation = Growth(a=Unknown(1.0), b=Unknown(1.0))
    return Problem(equation, Time(0.0, 1.0), [Observations({"t": t}, u=u)], name="growth"), t


def test_a_linear_problem_has_its_fisher_matrix():
    sigma = 0.1
    problem, t = growth(sigma)
    found = solve(problem, network=Line()).identifiability(noise=sigma)
    # u = c + a t + b t^2 / 2 with c unknown, too
    design = torch.stack([t, t**2 / 2, torch.ones_like(t)], -1)
    covariance = torch.linalg.inv(design.T @ design)[:2, :2] * sigma**2
    assert torch.allclose(found.fisher, torch.linalg.inv(covariance), rtol=1e-5)
    for i, name in enumerate(("a", "b")):
        assert found.errors[name] == pytest.approx(float(covariance[i, i].sqrt()), rel=1e-5)
    expected = covariance[0, 1] / (covariance[0, 0] * covariance[1, 1]).sqrt()
    assert float(found.correlation[0, 1]) == pytest.approx(float(expected), abs=1e-6)
    low, high = found.intervals["a"]
    assert (high - low) / 2 == pytest.approx(1.959964 * found.errors["a"], rel=1e-5)
    assert found.freedom == pytest.approx(3.0, abs=1e-4)
    assert not found.flags


def test_the_noise_is_found():
    problem, t = growth(sigma=0.1, n=400)
    solution = solve(problem, network=Line())
    design = torch.stack([t, t**2, torch.ones_like(t)], -1)
    y = problem.conditions[0].values["u"]
    rest = y - design @ torch.linalg.lstsq(design, y[:, None]).solution[:, 0]
    found = solution.identifiability()
    assert found.noise["u"] == pytest.approx(float((rest.square().sum() / 397).sqrt()), rel=1e-4)


# heat


@pytest.fixture(scope="module")
def rod():
    return solve(HeatInverseProblem(noise=0.05, sensors=60).build())


def exact_error(problem, places):
    """Standard error where the equation holds exactly: noise over the sensitivity du/da of the closed form."""
    x, t = places
    a, clean = problem.diffusivity, problem._solution(x, t)
    rate = math.pi**2 * t
    slope = rate * torch.sin(math.pi * x) * torch.exp(-a * rate)
    slope = slope + 2 * rate * torch.sin(2 * math.pi * x) * torch.exp(-4 * a * rate)
    return float(problem.noise * clean.std() / slope.norm())


def test_the_error_of_the_diffusivity_is_that_of_the_exact_solution(rod):
    places = torch.rand(2, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    problem = HeatInverseProblem(noise=0.05, sensors=60)
    found = rod.identifiability()
    assert found.errors["diffusivity"] == pytest.approx(exact_error(problem, places), rel=0.2)
    assert not found.flags


def test_intervals_cover_the_truth():
    inside = []
    for seed in range(8):
        problem = HeatInverseProblem(noise=0.05, sensors=40, data_seed=seed).build()
        low, high = solve(problem, max_steps=30).identifiability(level=0.8).intervals["diffusivity"]
        inside.append(low <= 0.3 <= high)
    # of eight, 6.4 are expected; four or fewer have a probability of 6 %
    assert sum(inside) >= 5


class Product(Equation):
    fields, coords = ("u",), ("x", "t")
    a: float = 1.0
    b: float = 1.0
    c: float = 1.0

    def residual(self, u, p):
        return p.c * u.t - p.a * p.b * u.xx


def pair(**unknown) -> Problem:
    x, t = torch.rand(2, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u = torch.sin(math.pi * x) * torch.exp(-0.3 * math.pi**2 * t)
    conditions = [Initial(u=lambda x: torch.sin(math.pi * x)), Observations({"x": x, "t": t}, u=u + 0.01 * (x - t))]
    return Problem(Product(**unknown), Interval(0.0, 1.0) * Time(0.0, 1.0), conditions, name="pair")


def test_a_product_cannot_be_told_apart():
    found = solve(pair(a=Unknown(0.5, low=0.0), b=Unknown(0.5, low=0.0))).identifiability()
    assert set(found.flags) == {"a", "b"}
    assert "cannot be told apart" in found.flags["a"]
    assert math.isinf(found.errors["a"])
    assert found.intervals["b"][0] == 0.0
    (direction,) = found.blind
    # a and b relative to their values, in opposite directions
    assert direction["a"] == pytest.approx(-direction["b"], rel=1e-3)
    assert "cannot be told apart" in str(found)


def test_other_parameters_are_not_flagged_with_them():
    problem = pair(a=Unknown(0.5, low=0.0), b=1.0)
    assert not solve(problem).identifiability().flags


def test_observations_of_regions_carry_noise_too():
    solution = solve(decomposed(pair(a=Unknown(0.5, low=0.0), b=1.0), x=[0.5]), max_steps=10)
    found = solution.identifiability()
    assert math.isfinite(found.errors["a"])
    assert found.noise["u"] > 0
    assert len(solution.profile("a", [0.28, 0.3], steps=1).deviance) == 2


class Idle(Equation):
    """One parameter has no influence at all."""

    fields, coords = ("u",), ("x",)

    def parameters(self):
        return {"k": Unknown(0.5), "idle": Unknown(2.0, low=0.0)}

    def residual(self, u, p):
        return p.k * u.xx + torch.sin(3.0 * p.x) + p.idle * torch.relu(p.x - 5.0)


def test_a_parameter_without_influence_leaves_the_others_as_they_are():
    x = torch.linspace(0.1, 0.9, 20, dtype=torch.float64)
    data = Observations({"x": x}, u=torch.sin(3.0 * x) + 0.01 * torch.cos(50.0 * x))
    found = solve(Problem(Idle(), Interval(0.0, 1.0), [data]), max_steps=10).identifiability()
    assert math.isinf(found.errors["idle"])
    assert torch.equal(found.correlation, torch.eye(2, dtype=torch.float64))
    expected = torch.tensor([[found.errors["k"] ** -2, 0.0], [0.0, 0.0]], dtype=torch.float64)
    assert torch.allclose(found.fisher, expected, rtol=1e-6)


def test_bounds_are_noted():
    problem = pair(a=Unknown(0.5, low=0.45, high=1.0))
    found = solve(problem, max_steps=80).identifiability()
    assert "bound" in found.flags["a"]


# profile


def test_the_profile_of_a_linear_problem_is_a_parabola():
    problem, _ = growth()
    solution = solve(problem, network=Line())
    before = solution.model.flat()
    report = solution.identifiability(noise=0.1)
    found = profile(solution, "a", noise=0.1)
    for value, deviance in zip(found.values, found.deviance, strict=True):
        assert deviance == pytest.approx(((value - report.values["a"]) / report.errors["a"]) ** 2, rel=0.05, abs=0.02)
    assert found.interval == pytest.approx(report.intervals["a"], rel=0.02)
    assert torch.equal(solution.model.flat(), before)


def test_the_profile_of_a_rod_agrees_with_its_curvature(rod):
    found = rod.profile("diffusivity", steps=4)
    assert found.interval[0] < rod.parameters["diffusivity"] < found.interval[1]
    assert min(found.deviance) == 0.0


# reports and mistakes


@pytest.mark.parametrize(
    ("bounds", "value"), [((None, None), 2.0), ((0.0, None), 2.0), ((1.9, 4.0), 2.0), ((0.0, 2.1), 2.0)]
)
def test_a_profile_keeps_within_the_bounds(bounds, value):
    low, high = bounds
    values = _around(Unknown(2.0, low=low, high=high), value, 0.6)
    assert len(set(values)) == 9
    assert values == sorted(values)
    assert values[4] == value
    assert low is None or low < values[0]
    assert high is None or values[-1] < high
    assert values[0] >= value - 0.6
    assert values[-1] <= value + 0.6


def test_a_parameter_at_its_bound_has_a_profile():
    solution = solve(pair(a=Unknown(0.5, low=0.45, high=1.0)), max_steps=20)
    found = solution.profile("a", steps=1)
    assert min(found.values) > 0.45
    assert max(found.values) < 1.0


def test_a_report_reads_and_stores(rod):
    found = rod.identifiability()
    assert "diffusivity" in str(found)
    assert "diffusivity" in found._repr_html_()
    assert json.loads(json.dumps(found.plain())) == found.plain()


@pytest.mark.parametrize(
    ("options", "words"),
    [({"level": 1.5}, "between 0 and 1"), ({"noise": -1.0}, "positive"), ({"points": 10}, "fewer points")],
)
def test_mistakes(rod, options, words):
    with pytest.raises(ConfigError, match=words):
        identifiability(rod, **options)


def test_what_has_no_unknowns_is_refused(rod, tmp_path):
    with pytest.raises(ConfigError, match="no unknown parameters"):
        solve(Poisson2DProblem().build(), max_steps=1).identifiability()
    domain = Interval(0.0, 1.0) * Time(0.0, 1.0)
    blind = Problem(Heat(diffusivity=Unknown(1.0)), domain, [Initial(u=1.0)])
    with pytest.raises(ConfigError, match="Observations"):
        solve(blind, max_steps=1).identifiability()
    with pytest.raises(RunError, match="without its problem"):
        kjet.load(rod.save(tmp_path / "rod")).identifiability()
    with pytest.raises(ConfigError, match='Did you mean "diffusivity"'):
        rod.profile("difusivity")
    with pytest.raises(ConfigError, match="not between its bounds"):
        rod.profile("diffusivity", [-1.0])
