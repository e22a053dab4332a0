"""What is measured of a solution, against values known otherwise."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

import kjet
from kjet.constraints import Dirichlet, Initial
from kjet.data import Interval, Rectangle, Time
from kjet.errors import RunError
from kjet.operators import MLPConfig
from kjet.pde import Burgers, Equation, Heat, Poisson
from kjet.problem import Problem
from kjet.problems import BurgersProblem, HeatInverseProblem, Poisson2DProblem
from kjet.training import SamplerConfig, TrainerConfig
from kjet.training.causality import Causality
from kjet.training.diagnosis import brief, estimate_error
from kjet.training.diagnosis.advice import Advice, advise
from kjet.training.diagnosis.fitting import Fit, float32_noise, residuals_at
from kjet.training.diagnosis.gradients import term_gradients
from kjet.training.diagnosis.sampling import fresh, squares, thinned
from kjet.training.diagnosis.spectrum import effective_rank, tangent_spectrum
from kjet.training.reference import reference_values

SMALL = MLPConfig(width=10, depth=2)
FIXED = SamplerConfig(points=200, boundary_points=40, adaptive="none")


def solve(problem, **options):
    settings = {"network": SMALL, "sampler": FIXED, "optimizer": "gauss_newton", "max_steps": 10, "progress": False}
    return kjet.solve(problem, **settings | options)


@pytest.fixture(scope="module")
def solution():
    return solve(Poisson2DProblem().build())


@pytest.fixture(scope="module")
def objective(solution):
    return squares(solution.objective)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# gradients and tangent kernel, against the Jacobian


def test_gradients_are_those_of_the_terms(objective):
    theta = objective.model.flat()
    residual, jacobian = objective.residual_and_jacobian(theta)
    found = term_gradients(objective)
    count = objective.terms[0].rows
    rows = [2 * jacobian[part].T @ residual[part] for part in (slice(0, count), slice(count, None))]
    for name, row in zip(("equation", "boundary"), rows, strict=True):
        assert found.norms[name] == pytest.approx(float(row.norm()))
    cosine = rows[0] @ rows[1] / (rows[0].norm() * rows[1].norm())
    assert found.cosines == {"equation | boundary": pytest.approx(float(cosine))}
    assert found.total == pytest.approx(float((rows[0] + rows[1]).norm()))


def test_the_spectrum_is_that_of_the_kernel(objective):
    few = thinned(objective, 20, generator=generator())
    found = tangent_spectrum(few)
    _, jacobian = few.residual_and_jacobian(few.model.flat())
    values = torch.linalg.eigvalsh(jacobian @ jacobian.T)
    assert found.largest == pytest.approx(float(values[-1]))
    assert sum(found.rates.values()) == pytest.approx(float(values.sum()))
    assert found.rows == 40
    assert found.deciles[0] == found.largest
    assert 1 <= found.effective_rank <= 40


def test_the_effective_rank_counts_equal_eigenvalues():
    assert effective_rank(torch.tensor([2.0, 2.0, 2.0, 0.0])) == pytest.approx(3.0)
    assert effective_rank(torch.zeros(3)) == 0.0


def test_fewer_points_have_the_same_mean(objective):
    theta = objective.model.flat()
    losses = [float(thinned(objective, 100, generator=generator(i)).loss(theta)) for i in range(40)]
    assert sum(losses) / 40 == pytest.approx(float(objective.loss(theta)), rel=0.05)


# parts of the equation


class Exact(nn.Module):
    """A known function as a network."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function, self.idle = function, nn.Linear(1, 1, dtype=torch.float64)

    def forward(self, x):
        return self.function(x)[..., None] + 0 * self.idle(x[..., :1])


def test_parts_have_the_size_of_the_closed_form():
    a = 0.1
    problem = Problem(Heat(diffusivity=a), Interval(0.0, 1.0) * Time(0.0, 1.0), [Dirichlet("left", u=0.0)])

    def decay(x):
        return torch.sin(math.pi * x[..., 0]) * torch.exp(-a * math.pi**2 * x[..., 1])

    found = solve(problem, network=Exact(decay), max_steps=1, optimizer="adam").diagnose(points=4000)
    balance = found.balance["residual"]
    rate = a * math.pi**2
    expected = rate * math.sqrt(0.5 * (1 - math.exp(-2 * rate)) / (2 * rate))
    assert balance.parts == {
        "u_t": pytest.approx(expected, rel=0.05), "-diffusivity u_xx": pytest.approx(expected, rel=0.05)
    }  # fmt: skip
    assert balance.relative < 1e-12


# the error


@pytest.mark.parametrize("steps", [5, 25])
def test_the_estimate_is_the_error_of_a_linear_problem(steps):
    solution = solve(Poisson2DProblem().build(), max_steps=steps)
    found = estimate_error(squares(solution.objective), solution.problem, generator=generator())
    exact = reference_values(solution.problem, found.points)["u"]
    error = solution.predict(found.points)["u"] - exact
    assert float(torch.cosine_similarity(error, found.change[:, 0], dim=0)) > 0.99
    assert found.relative["u"] == pytest.approx(
        float(error.norm() / solution.predict(found.points)["u"].norm()), rel=0.1
    )
    assert found.explained > 0.9


def test_the_estimate_follows_the_error_of_burgers():
    estimates, errors = [], []
    for steps in (40, 120, 300):
        solution = solve(BurgersProblem(nu=0.05).build(), optimizer="ssbroyden", max_steps=steps)
        found = estimate_error(squares(solution.objective), solution.problem, generator=generator())
        exact = reference_values(solution.problem, found.points)["u"]
        error = solution.predict(found.points)["u"] - exact
        estimates.append(found.relative["u"])
        errors.append(float(error.norm() / exact.norm()))
    assert estimates == sorted(estimates, reverse=True)
    assert errors == sorted(errors, reverse=True)
    # once the linearisation holds, point by point
    assert float(torch.cosine_similarity(error, found.change[:, 0], dim=0)) > 0.9
    assert estimates[-1] == pytest.approx(errors[-1], rel=0.5)


# points, rounding


def test_fitted_points_are_told_from_fresh_ones():
    few = SamplerConfig(points=15, boundary_points=20, adaptive="none")
    solution = solve(Poisson2DProblem().build(), sampler=few, max_steps=60)
    found = solution.diagnose(points=500)
    assert found.fit["equation"].ratio > 10
    assert any(advice.setting.startswith("sampler.points=") for advice in found.advice)


def test_fresh_points_are_inside_and_others_stay(objective, solution):
    other = fresh(objective, solution.problem, 50, 20, generator=generator())
    assert bool(solution.problem.domain.inside(other.terms[0].points.x).all())
    fits = residuals_at(objective, other)
    assert set(fits) == {"equation", "boundary"}


def test_the_noise_of_float32_is_that_of_rounding(objective):
    noise = float32_noise(objective)
    size = 2 * math.pi**2
    assert 1e-9 * size < noise["equation"] < 1e-5 * size


def test_float32_at_its_floor_is_noted():
    trainer = TrainerConfig(dtype="float32")
    solution = solve(Poisson2DProblem().build(), trainer=trainer, max_steps=40)
    found = solution.diagnose()
    # the floor is taken from what was measured: only then the advice has a reason
    near = any(found.fit[name].training < 5 * noise for name, noise in found.noise.items())
    assert near == any(advice.setting == "trainer.dtype=float64" for advice in found.advice)


def test_other_points_are_advised_only_where_they_would_be_others():
    few = {"points": 15, "boundary_points": 20}
    fixed = solve(Poisson2DProblem().build(), sampler=SamplerConfig(**few, adaptive="none"), max_steps=60)
    assert any("never drawn anew" in advice.reason for advice in fixed.diagnose(points=500).advice)
    found = fixed.diagnose(points=500)
    found.fit = {"equation": Fit(1.0, 1.0, 1e3)}
    for adaptive, expected in {"none": True, "uniform": True, "rad": False, "auto": False}.items():
        advice = advise(found, {"sampler": {"adaptive": adaptive}}, [])
        assert any(a.setting == "sampler.adaptive=rad" for a in advice) == expected


def test_a_window_of_time_starts_with_a_loss_of_its_own():
    found = solve(Poisson2DProblem().build(), max_steps=2).diagnose(rows=40, points=100)
    settled = [{"loss": 1e-3, "window": k // 10} for k in range(20)]
    settled[0]["loss"] = settled[10]["loss"] = 1e3  # the first step of each
    falling = [{"loss": 10.0 ** -(k % 10) * (1 + 10 * (k < 10)), "window": k // 10} for k in range(20)]
    for history, expected in ((settled[:13], False), (falling, True)):
        advice = [a.setting for a in advise(found, {"seconds": 10.0}, history)]
        assert ("trainer.max_seconds=30" in advice) == expected


def test_windows_of_time_are_advised_only_where_they_are_possible():
    lost = Causality((0.0, 0.5, 1.0), (1.0, 1e-3), (1.0, 0.3), True, 0)
    cases = {
        "forward": (solve(BurgersProblem().build(), max_steps=2), True),
        "divided": (solve(BurgersProblem().build(), max_steps=2, windows=2), False),
        "inverse": (solve(HeatInverseProblem().build(), max_steps=2), False),
    }
    for name, (solution, expected) in cases.items():
        found = solution.diagnose(rows=40, points=100)
        found.causality = lost
        settings = [advice.setting for advice in advise(found, solution.info, [])]
        assert ("trainer.windows=5" in settings) == expected, name
        assert "balance=causal" in settings


# solutions that are not what was asked for


class Steady(Equation):
    fields, coords = ("u",), ("x", "t")

    def residual(self, u, p):
        return u.t + u * u.x


def test_the_trivial_solution_is_warned_of():
    domain = Interval(0.0, 1.0) * Time(0.0, 1.0)
    problem = Problem(Steady(), domain, [Initial(u=lambda x: torch.sin(2 * math.pi * x))])

    def collapsed(x):
        return 1e-4 * torch.sin(x[..., 0]) * torch.ones_like(x[..., 1])

    found = solve(problem, network=Exact(collapsed), max_steps=1, optimizer="adam").diagnose()
    assert "trivial" in found.trivial.warning
    assert found.trivial.demanded == pytest.approx(math.sqrt(0.5), rel=0.1)
    assert found.advice[0].reason == found.trivial.warning


def test_a_good_solution_is_not_warned_of(solution):
    found = solve(Poisson2DProblem().build(), max_steps=25).diagnose()
    assert found.trivial.warning is None


def test_odd_sizes_are_noted():
    domain = Interval(0.0, 2000.0) * Time(0.0, 1.0)
    problem = Problem(Heat(), domain, [Dirichlet("left", u=300.0)])
    settings = {"max_steps": 1, "optimizer": "adam"}

    def far(x):
        return 300 + 0.1 * torch.sin(x[..., 0] / 300.0) + 0 * x[..., 1]

    found = solve(problem, network=Exact(far), **settings).diagnose()
    assert found.magnitudes.odd_coords == {"x": 2000.0}
    (advice,) = [a for a in found.advice if a.setting.startswith("nondimensional")]
    assert '"x": 2e+03' in advice.setting
    assert '"u": (' in advice.setting


# words and data


def test_a_diagnosis_reads_and_stores(solution):
    found = solution.diagnose(rows=60, points=200)
    text, page, plain = str(found), found._repr_html_(), found.plain()
    for word in ("estimated error", "parts of the equation", "tangent kernel", "gradients", "float32"):
        assert word in text
        assert word in page
    assert json.loads(json.dumps(plain)) == plain
    assert plain["spectrum"]["rows"] <= 60


def test_the_summary_has_the_cheap_part(solution, tmp_path):
    run = tmp_path / "run"
    solve(Poisson2DProblem().build(), run_dir=run, max_steps=3)
    stored = json.loads((run / "summary.json").read_text())["diagnosis"]
    assert {"balance", "fit", "gradients", "magnitudes", "trivial"} <= set(stored)
    assert "indicator" not in stored


def test_a_diagnosis_repeats_and_changes_nothing(solution):
    before = solution.model.flat()
    x = torch.rand(3, 2, dtype=torch.float64)
    values = solution.predict(x)["u"]
    first, second = brief(solution), brief(solution)
    assert {k: v for k, v in first.items() if k != "seconds"} == {k: v for k, v in second.items() if k != "seconds"}
    assert torch.equal(solution.model.flat(), before)
    assert torch.equal(solution.predict(x)["u"], values)


def test_time_up_is_said(solution):
    found = brief(solution, seconds=1e-9)
    assert "spent already" in found["skipped"]["gradients"]


def test_time_problems_are_looked_at_in_order():
    found = solve(BurgersProblem(nu=0.1).build(), max_steps=3).diagnose(points=200)
    assert len(found.causality.losses) == 8


def test_without_a_problem_there_is_nothing_to_measure(solution, tmp_path):
    loaded = kjet.load(solution.save(tmp_path / "saved"))
    with pytest.raises(RunError, match="without its problem"):
        loaded.diagnose()


def test_advice_reads_as_a_line():
    assert str(Advice("constraint.weight=100", "measured")) == "constraint.weight=100: measured"


def test_settings_that_are_advised_exist():
    from kjet.config import read_command

    few = SamplerConfig(points=15, boundary_points=20, adaptive="none")
    solution = solve(Poisson2DProblem().build(), sampler=few, max_steps=40, optimizer="adam")
    settings = [a.setting for a in solution.diagnose(points=300).advice if not a.setting.startswith("nondim")]
    known = ["trainer.dtype=float64", "constraint.weight=10", "balance=ntk", "trainer.windows=5", "operator.width=8"]
    others = ["balance=causal", "sampler.adaptive=rad", "constraint=hard", "operator.output_scale=2"]
    for group in (settings, known, others, ["balance=config"]):
        assert read_command([*group, "--cfg", "job"]).for_hydra


def test_systems_and_domains_with_holes():
    problem = Problem(Poisson(coords=("x", "y"), source=1.0), Rectangle(), [Dirichlet(u=0.0)])
    assert solve(problem, max_steps=2).diagnose(points=100).balance["residual"].largest > 0
    assert solve(Problem(Burgers(), Interval(0.0, 1.0) * Time(0.0, 1.0), []), max_steps=1).diagnose(points=100).fit
