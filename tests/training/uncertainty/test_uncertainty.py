"""Ensembles, Laplace approximations and conformal intervals, against closed forms and counted coverage."""

from __future__ import annotations

import math
from importlib import import_module

import pytest
import torch
from torch import nn

import kjet
from kjet.constraints import Dirichlet, Observations
from kjet.data import Interval
from kjet.decomposition import coupled
from kjet.errors import ConfigError, RunError
from kjet.operators import HyperNetworkConfig, MLPConfig
from kjet.pde import Equation, Poisson
from kjet.problem import Problem
from kjet.problems import BurgersParametricProblem, BurgersProblem, Poisson2DProblem
from kjet.training import SamplerConfig, conformal, ensemble, laplace, load_ensemble
from kjet.training.tangent import field_change, field_jacobian
from kjet.training.uncertainty import Ensemble, Prediction
from kjet.training.uncertainty.conformal import conformal_quantile
from kjet.training.uncertainty.evidence import log_evidence, maximise_evidence

SMALL = MLPConfig(width=8, depth=2)
FIXED = SamplerConfig(points=80, boundary_points=30, adaptive="none")


def solve(problem, **options):
    settings = {"network": SMALL, "sampler": FIXED, "optimizer": "gauss_newton", "max_steps": 6, "progress": False}
    return kjet.solve(problem, **settings | options)


@pytest.fixture(scope="module")
def members():
    options = {"network": SMALL, "sampler": FIXED, "optimizer": "gauss_newton", "max_steps": 6, "progress": False}
    return ensemble(Poisson2DProblem().build(), 3, seed=5, **options)


@pytest.fixture(scope="module")
def solution(members):
    return members.members[0]


def points(n=40, d=2, seed=0):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# tangents


def test_tangents_are_those_of_finite_differences(solution):
    model, x = solution.model, points(5)
    theta = model.flat()
    direction = torch.randn(theta.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y, change = field_change(model, x, direction)
    step = 1e-5
    ends = []
    for sign in (-1, 1):
        model.load_flat(theta + sign * step * direction)
        ends.append(model(x).detach())
    model.load_flat(theta)
    assert torch.allclose(change, (ends[1] - ends[0]) / (2 * step), rtol=1e-6, atol=1e-8)
    assert torch.equal(y, model(x).detach())
    assert field_jacobian(model, x)[1].shape == (1, 5, theta.numel())


# ensembles


def test_members_differ_and_their_moments_are_reported(members):
    x = points()
    found = members.predict(x)
    each = torch.stack([member.predict(x)["u"] for member in members.members])
    assert members.seeds == (5, 6, 7)
    assert torch.allclose(found.mean["u"], each.mean(0))
    assert torch.allclose(found.std["u"], each.std(0))
    assert bool((found.std["u"] > 0).all())


def test_an_ensemble_comes_back(members, tmp_path):
    path = members.save(tmp_path / "five")
    x = points()
    again = load_ensemble(path, Poisson2DProblem().build())
    assert again.seeds == members.seeds
    assert torch.equal(again.predict(x).mean["u"], members.predict(x).mean["u"])


def test_ensembles_repeat():
    options = {"network": SMALL, "sampler": FIXED, "optimizer": "gauss_newton", "max_steps": 2, "progress": False}
    first, second = (ensemble(Poisson2DProblem().build(), 2, **options) for _ in range(2))
    assert torch.equal(first.predict(points()).std["u"], second.predict(points()).std["u"])


def test_mistakes_with_ensembles(solution, tmp_path):
    problem = Poisson2DProblem().build()
    with pytest.raises(ConfigError, match="two members or more"):
        ensemble(problem, 1)
    with pytest.raises(ConfigError, match="would share"):
        ensemble(problem, 2, network=nn.Linear(2, 1))
    with pytest.raises(ConfigError, match="two members or more"):
        Ensemble((solution,), (0,))
    with pytest.raises(RunError, match="no ensemble"):
        load_ensemble(tmp_path)


# Laplace, on a problem that is Bayesian linear regression


class Straight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1, dtype=torch.float64)

    def forward(self, x):
        return self.layer(x)


def regression(n=30, sigma=0.2):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(n, generator=generator, dtype=torch.float64)
    y = 1.0 + 3.0 * x + sigma * torch.randn(n, generator=generator, dtype=torch.float64)
    problem = Problem(_Flat(), Interval(0.0, 1.0), [Observations({"x": x}, u=y)], name="regression")
    return solve(problem, network=Straight(), max_steps=20), x, y


class _Flat(Equation):
    """Says next to nothing: only observations count."""

    fields, coords = ("u",), ("x",)

    def residual(self, u, p):
        return u.xx + 1e-12 * u


@pytest.mark.parametrize("kind", ["full", "last_layer"])
def test_the_posterior_is_that_of_linear_regression(kind):
    fitted, x, _ = regression()
    beta, alpha = 100.0, 2.0
    found = fitted.laplace(kind, noise=beta, prior=alpha)
    design = torch.stack([x, torch.ones_like(x)], -1)
    # rows are scaled by n^(-1/2); the equation's are zero
    covariance = torch.linalg.inv(beta * design.T @ design / len(x) + alpha * torch.eye(2, dtype=torch.float64))
    assert torch.allclose(found.covariance, covariance, rtol=1e-9)
    new = torch.tensor([[0.3], [2.0]], dtype=torch.float64)
    rows = torch.cat([new, torch.ones_like(new)], 1)
    expected = (rows @ covariance * rows).sum(-1).sqrt()
    assert torch.allclose(found.predict(new).std["u"], expected, rtol=1e-9)
    assert torch.allclose(found.predict(new).mean["u"], fitted.predict(new)["u"])


def test_evidence_is_the_marginal_likelihood():
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(12, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(12, generator=generator, dtype=torch.float64)
    beta, alpha = 1.7, 0.6
    eye = torch.eye(12, dtype=torch.float64)
    covariance = eye / beta + A @ A.T / alpha
    law = torch.distributions.MultivariateNormal(torch.zeros(12, dtype=torch.float64), covariance)
    mean = torch.linalg.solve(beta * A.T @ A + alpha * torch.eye(3, dtype=torch.float64), beta * A.T @ y)
    found = log_evidence(
        torch.linalg.eigvalsh(A.T @ A),
        12,
        float((y - A @ mean).square().sum()),
        float(mean.square().sum()),
        beta,
        alpha,
    )
    assert found == pytest.approx(float(law.log_prob(y)), rel=1e-10)


def test_no_other_precision_has_more_evidence():
    eigenvalues = torch.tensor([50.0, 5.0, 0.1], dtype=torch.float64)
    found = maximise_evidence(eigenvalues, 40, 0.5, 3.0)
    for factor in (0.8, 0.95, 1.05, 1.25):
        for noise, prior in ((found.noise * factor, found.prior), (found.noise, found.prior * factor)):
            assert log_evidence(eigenvalues, 40, 0.5, 3.0, noise, prior) < found.value


@pytest.mark.parametrize("given", [{"noise": -1.0}, {"noise": 0.0}, {"prior": 0.0}, {"prior": math.inf}])
def test_precisions_are_positive(solution, given):
    with pytest.raises(ConfigError, match="precision, a positive number"):
        laplace(solution, **given)


@pytest.mark.parametrize("kind", ["full", "last_layer"])
def test_regions_are_uncertain_each_by_itself(kind):
    line = {"coords": ("x",)}
    materials = {"left": (Interval(-1, 0), Poisson(**line, coefficient=4.0)), "right": (None, Poisson(**line))}
    problem = coupled(Interval(-1, 1), materials, [Dirichlet("left", u=0.0), Dirichlet("right", u=1.0)])
    found = laplace(solve(problem), kind)
    x = {"x": [-0.9, -0.5, 0.5, 0.9]}
    prediction = found.predict(x)
    assert prediction.mean.keys() == prediction.std.keys() == {"u"}
    assert torch.allclose(prediction.mean["u"], found.solution.predict(x)["u"])
    assert bool((prediction.std["u"] > 0).all())
    assert conformal(found, x, found.solution.predict(x), level=0.5).radius["u"] < 1e-6


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("film", "network.layers.2.linear"), ("low_rank", "network.layers.2.linear"), ("last", "network.hyper.layers.1")],
)
def test_the_last_layer_of_a_hypernetwork_is_that_of_the_fields(weights, expected):
    network = HyperNetworkConfig(weights=weights, width=6, depth=2, hyper_width=4, hyper_depth=1)
    found = laplace(solve(BurgersParametricProblem().build(), network=network, max_steps=1), "last_layer")
    names = {name for name, p in found.model.named_parameters() if p.requires_grad}
    assert names == {f"{expected}.weight", f"{expected}.bias"}


def test_the_least_score_is_the_first():
    assert conformal_quantile(torch.arange(1.0, 10.0), 1e-12) == 1.0


def test_the_last_layer_of_each_window_counts():
    found = laplace(solve(BurgersProblem().build(), windows=2), "last_layer")
    assert bool((found.predict({"x": [0.2, 0.2], "t": [0.1, 0.9]}).std["u"] > 0).all())


def test_kinds_and_their_limits(solution):
    found = laplace(solution)
    assert found.kind == "full"
    assert len(found.eigenvalues) == solution.model.flat().numel()
    last = laplace(solution, "last_layer")
    assert len(last.eigenvalues) == 9
    x = points()
    assert bool((last.predict(x).std["u"] > 0).all())
    # the layers before stay trainable in the solution itself
    assert all(p.requires_grad for p in solution.model.parameters())
    with pytest.raises(ConfigError, match='Did you mean "last_layer"'):
        laplace(solution, "last_layr")


def test_curvature_in_parts_is_that_of_the_whole(solution, monkeypatch):
    module = import_module("kjet.training.uncertainty.laplace")
    monkeypatch.setattr(module, "_ENTRIES", 17 * solution.model.flat().numel())
    parts = laplace(solution, "full").eigenvalues
    monkeypatch.undo()
    assert torch.allclose(parts, laplace(solution, "full").eigenvalues, rtol=1e-9, atol=1e-9)


# conformal intervals


class Fixed:
    """A prediction that is wrong everywhere, with a scale that knows where."""

    def __init__(self, scaled: bool) -> None:
        self.scaled = scaled

    def predict(self, x):
        u = torch.zeros(len(x), dtype=torch.float64)
        return Prediction({"u": u}, {"u": 0.1 + x[:, 0]}) if self.scaled else {"u": u}


def truth(n, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 1, generator=generator, dtype=torch.float64)
    return x, (0.1 + x[:, 0]) * torch.randn(n, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_coverage_is_what_was_promised(scaled, level):
    n, trials, fresh = 19, 400, 50
    covered = 0
    for seed in range(trials):
        x, y = truth(n + fresh, seed)
        found = conformal(Fixed(scaled), x[:n], {"u": y[:n]}, level=level).predict(x[n:])
        covered += int(((found.lower["u"] <= y[n:]) & (y[n:] <= found.upper["u"])).sum())
    share = covered / (trials * fresh)
    expected = math.ceil((n + 1) * level - 1e-9) / (n + 1)  # exactly, for scores without ties
    # coverage given the calibration is a Beta law; four standard deviations of its mean
    deviation = math.sqrt(expected * (1 - expected) / (n + 2) / trials)
    assert share == pytest.approx(expected, abs=4 * deviation + 0.005)


def test_scales_make_intervals_follow_the_error():
    x, y = truth(500, 0)
    found = conformal(Fixed(True), x, {"u": y}).predict(torch.tensor([[0.0], [1.0]], dtype=torch.float64))
    width = found.upper["u"] - found.lower["u"]
    assert float(width[1] / width[0]) == pytest.approx(11.0)


@pytest.mark.parametrize("kind", ["solution", "ensemble", "laplace"])
def test_solutions_are_calibrated_on_references(solution, members, kind):
    predictor = {"solution": solution, "ensemble": members, "laplace": laplace(solution)}[kind]
    x = points(300)
    exact = torch.sin(math.pi * x[:, 0]) * torch.sin(math.pi * x[:, 1])
    found = conformal(predictor, x[:150], {"u": exact[:150]}, level=0.8).predict(x[150:])
    inside = (found.lower["u"] <= exact[150:]) & (exact[150:] <= found.upper["u"])
    assert 0.65 < float(inside.double().mean()) < 0.95
    assert torch.allclose(solution.conformal(x, {"u": exact}).predict(x).mean["u"], solution.predict(x)["u"])


def test_mistakes_with_intervals(solution):
    x = points(5)
    values = {"u": torch.zeros(5)}
    with pytest.raises(ConfigError, match=r"too few for a level of 0\.9; at least 9"):
        conformal(solution, x, values)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        conformal(solution, x, values, level=1.0)
    with pytest.raises(ConfigError, match="unknown field"):
        conformal(solution, x, {"v": torch.zeros(5)}, level=0.5)
    with pytest.raises(ConfigError, match="one each"):
        conformal(solution, x, {"u": torch.zeros(4)}, level=0.5)
    with pytest.raises(ConfigError, match="known values"):
        conformal(solution, x, {}, level=0.5)
    with pytest.raises(ConfigError, match="not finite"):
        conformal_quantile(torch.tensor([math.nan] * 20), 0.5)
