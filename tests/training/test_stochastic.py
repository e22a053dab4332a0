"""Runs with random directions: every estimator, resuming bit for bit, the unbiased loss, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from typing import Any

import pytest
import torch

import kjet
from kjet.constraints import Dirichlet, Draw, Initial
from kjet.data import Sphere, Time, Uniform
from kjet.errors import ConfigError, RunError
from kjet.jets.estimators import STDE, EstimatorError, Hutchinson
from kjet.operators import MLPConfig
from kjet.optim import (
    LBFGS,
    Adam,
    Auto,
    GaussNewton,
    GaussNewtonBlock,
    LevenbergMarquardt,
    NysNewtonCG,
    SelfScaledBroyden,
)
from kjet.pde import Equation, Poisson, bilap, lap
from kjet.problem import Problem
from kjet.problems import BurgersProblem, SineGordonHDProblem, SineGordonParabolicHDProblem
from kjet.training import (
    AutoEstimatorConfig,
    ConstraintConfig,
    HutchinsonConfig,
    SamplerConfig,
    Solution,
    STDEConfig,
    TrainerConfig,
)
from kjet.training.checkpoint import load_checkpoint
from kjet.training.estimation import Estimation
from kjet.training.setup import build_model, build_objective

SMALL = MLPConfig(width=12, depth=2)
STEADY = SineGordonHDProblem(dim=20).build()
ESTIMATORS = {
    "stde": STDEConfig(samples=4),
    "replacement": STDEConfig(samples=4, replacement=True),
    "per_point": STDEConfig(samples=4, per_point=True),
    "unbiased": STDEConfig(samples=4, unbiased=True),
    "hutchinson": HutchinsonConfig(samples=4),
    "gaussian": HutchinsonConfig(samples=4, law="gaussian", unbiased=True),
    "auto": AutoEstimatorConfig(samples=4, every=3),
}


def solve(problem: Problem = STEADY, **options: Any) -> Solution:
    settings = {"network": SMALL, "max_steps": 30, "progress": False, "test_points": 300}
    return kjet.solve(problem, **settings | options)


@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS.keys())
def test_a_small_run_with_each_estimator(estimator):
    made = solve(estimator=estimator, optimizer=Adam(learning_rate=1e-2, schedule="linear"), max_steps=60)
    assert made.info["stochastic"]
    assert made.info["dtype"] == "float32"
    assert made.errors["u"]["rel_l2"] < 0.5
    assert made.history[0]["error"] > 0.9
    assert json.loads(json.dumps(made.summary()))["estimator"]["samples"] == 4


def test_another_seed_draws_other_directions():
    a, b, c = (solve(estimator="stde", max_steps=3, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(a.model.flat(), b.model.flat())
    assert not torch.equal(a.model.flat(), c.model.flat())


def test_points_and_directions_are_drawn_at_each_step():
    made = solve(estimator="stde", max_steps=1)
    after = solve(estimator="stde", max_steps=2)
    for (first,), (second,) in [(made.objective.terms, after.objective.terms)]:
        assert not torch.equal(first.points.x, second.points.x)
        assert not torch.equal(first.draws[0].columns, second.draws[0].columns)
    kept = solve(estimator="stde", sampler=SamplerConfig(adaptive="none"), max_steps=5)
    again = solve(estimator="stde", sampler=SamplerConfig(adaptive="none"), max_steps=6)
    assert torch.equal(kept.objective.terms[0].points.x, again.objective.terms[0].points.x)
    assert not torch.equal(kept.objective.terms[0].draws[0].columns, again.objective.terms[0].draws[0].columns)


@pytest.mark.parametrize("sampler", [SamplerConfig(every=4), SamplerConfig("sobol", adaptive="rad", every=4)])
def test_directions_stay_as_long_as_the_user_says(sampler):
    a, b, c = (solve(estimator="stde", sampler=sampler, max_steps=steps) for steps in (5, 7, 8))
    columns = [made.objective.terms[0].draws[0].columns for made in (a, b, c)]
    assert torch.equal(columns[0], columns[1])
    assert not torch.equal(columns[1], columns[2])


@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS.keys())
def test_resuming_is_bit_for_bit(tmp_path, estimator):
    optimizer = Auto(steps=12)
    whole = solve(estimator=estimator, optimizer=optimizer, max_steps=12)
    solve(estimator=estimator, optimizer=optimizer, max_steps=5, run_dir=tmp_path / "run")
    rest = solve(estimator=estimator, optimizer=optimizer, max_steps=12, run_dir=tmp_path / "run", resume=True)
    assert torch.equal(whole.model.flat(), rest.model.flat())
    for key in ("loss", "errors", "terms", "steps", "optimizer", "trivial_error"):
        assert whole.info[key] == rest.info[key], key
    for mine, other in zip(whole.objective.terms, rest.objective.terms, strict=True):
        assert torch.equal(mine.points.x, other.points.x)
    assert len(rest.history) == 3


def test_resuming_a_parabolic_problem_with_soft_conditions(tmp_path):
    problem = SineGordonParabolicHDProblem(dim=10).build()
    options = {"estimator": HutchinsonConfig(3, per_point=True), "optimizer": Adam()}
    whole = solve(problem, max_steps=8, **options)
    assert set(whole.info["terms"]) == {"equation", "initial", "boundary"}
    solve(problem, max_steps=3, run_dir=tmp_path / "run", **options)
    rest = solve(problem, max_steps=8, run_dir=tmp_path / "run", resume=True, **options)
    assert torch.equal(whole.model.flat(), rest.model.flat())


def test_an_adaptive_estimator_keeps_what_it_has_learnt(tmp_path):
    estimator = AutoEstimatorConfig(samples=4, every=2)
    solve(estimator=estimator, max_steps=7, run_dir=tmp_path / "run")
    stored = load_checkpoint(tmp_path / "run").meta
    (record,) = stored["estimator"]["records"].values()
    assert set(record["directions"]) == {"sparse", "rademacher"}
    assert stored["last_comparison"] == 6


def test_a_checkpoint_of_another_estimator(tmp_path):
    solve(estimator="stde", max_steps=2, run_dir=tmp_path / "run")
    with pytest.raises(RunError, match=r"this run has 421 in torch.float64. Resume with the operator and dtype"):
        solve(estimator="exact", max_steps=3, run_dir=tmp_path / "run", resume=True)
    with pytest.raises(RunError, match=r"has directions for 1 sums .* this run estimates 0"):
        solve(estimator="exact", max_steps=3, run_dir=tmp_path / "run", resume=True, dtype="float32", optimizer="auto")


# what is chosen where nothing is said


def test_adam_is_chosen_and_says_why(caplog):
    with caplog.at_level(logging.INFO, "kjet"):
        made = solve(estimator="stde", max_steps=4)
    assert made.info["optimizer"] == (
        "soap: random directions give no curvature that lasts; rate 0.003, falling linearly to 0 at step 4"
    )
    assert made.info["optimizer"] in caplog.text
    assert "best predictor without a network: " in caplog.text
    timed = solve(estimator="stde", max_steps=None, max_seconds=0.02)
    assert timed.info["optimizer"].endswith("falling to a tenth every 10000 steps")


def test_the_problems_suggestions_hold_for_random_directions_only():
    problem = dataclasses.replace(STEADY, steps=3, seconds=0.05)
    random = solve(problem, estimator="stde", max_steps=None)
    assert (random.reason, random.info["dtype"]) == ("3 steps", "float32")
    exact = solve(problem, max_steps=None)
    assert (exact.reason, exact.info["dtype"]) == ("0.05 seconds", "float64")
    double = solve(problem, estimator="stde", trainer=TrainerConfig(dtype="float64"), max_seconds=0.02, max_steps=None)
    assert (double.reason, double.info["dtype"]) == ("0.02 seconds", "float64")


def test_all_coordinates_are_no_chance():
    made = solve(estimator=STDE(samples=20), max_steps=2)
    exact = solve(max_steps=2, dtype="float32")
    assert not made.info["stochastic"]
    assert made.info["optimizer"] == exact.info["optimizer"]
    torch.testing.assert_close(made.model.flat(), exact.model.flat(), rtol=1e-3, atol=1e-4)


def test_an_estimator_for_an_equation_without_such_sums(caplog):
    with caplog.at_level(logging.WARNING, "kjet"):
        made = solve(BurgersProblem().build(), estimator="stde", max_steps=1, sampler=SamplerConfig(points=20))
    assert "estimator stde has nothing to estimate: burgers has no sum over coordinates written as lap" in caplog.text
    assert not made.info["stochastic"]
    caplog.clear()
    solve(estimator="stde", max_steps=1)
    assert "nothing to estimate" not in caplog.text


# what a run reports


def test_a_run_reports_the_bar_that_it_has_to_be_compared_with(tmp_path):
    made = solve(estimator="stde", max_steps=2, run_dir=tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert 0.0 < summary["trivial_error"] < 0.2
    assert {line["trivial_error"] for line in lines} == {summary["trivial_error"]}
    assert summary["test_points"] == 300
    assert lines[-1]["error"] == pytest.approx(made.errors["u"]["rel_l2"])
    low = kjet.solve(BurgersProblem().build(), max_steps=1, progress=False, network=SMALL)
    assert low.info["trivial_error"] is None
    assert "trivial_error" not in low.history[0]


def test_a_solution_is_saved_loaded_and_drawn(tmp_path):
    made = solve(estimator=STDEConfig(4, per_point=True), max_steps=3)
    again = kjet.load(made.save(tmp_path / "ball"), problem=STEADY)
    assert again.objective.terms[0].recorded.estimator == STDE(4, per_point=True)
    x = STEADY.domain.interior(250, generator=torch.Generator().manual_seed(0), dtype=torch.float64).x
    assert torch.equal(again.predict(x)["u"], made.predict(x)["u"])
    estimated, exact = made.residual(x)["residual"], made.residual(x, exact=True)["residual"]
    assert estimated.shape == exact.shape == (250,)
    assert not torch.equal(estimated, exact)
    other = kjet.load(tmp_path / "ball", problem=STEADY, estimator="exact")
    torch.testing.assert_close(other.residual(x)["residual"], exact, rtol=1e-4, atol=1e-2)
    assert {"solution", "residual", "loss", "points"} <= set(made.figures(resolution=20))
    with pytest.raises(ConfigError, match='unknown estimator "Mine"'):
        kjet.load(renamed(made).save(tmp_path / "mine"), problem=STEADY)


def renamed(made: Solution) -> Solution:
    return dataclasses.replace(made, info={**made.info, "estimator": {"name": "Mine"}})


def test_prediction_in_parts(monkeypatch):
    made = solve(estimator="stde", max_steps=1)
    x = torch.rand(1000, 20)
    whole = made.predict(x)["u"]
    monkeypatch.setattr("kjet.training.reference._NUMBERS", 20 * 33)
    torch.testing.assert_close(made.predict(x)["u"], whole)
    x[900, 3] = math.nan
    with pytest.raises(ConfigError, match="1 points are not finite"):
        made.predict(x)


# the unbiased loss


def objective(source: Any, unbiased: bool, problem: Problem = STEADY, n: int = 8) -> Any:
    generator = torch.Generator().manual_seed(2)
    model, soft = build_model(
        problem, SMALL, ConstraintConfig(), generator=generator, dtype=torch.float64, device="cpu"
    )
    draw = Draw(Uniform(), generator, torch.float64)
    return build_objective(problem, model, soft, SamplerConfig(points=n), draw, None, Estimation(source, unbiased))


@pytest.mark.parametrize("source", [STDE(2), Hutchinson(2)], ids=str)
def test_the_loss_of_two_draws_has_no_bias(source):
    """On a Laplacian whose terms nearly cancel, so that the variance of its estimate is most of the biased loss."""
    generator, count = torch.Generator().manual_seed(4), 400
    problem = Problem(Poisson(coords=STEADY.domain.coords), STEADY.domain, [])
    pair, single, exact = (objective(each, both, problem, 4) for each, both in
                           ((source, True), (source, False), (None, False)))  # fmt: skip
    points = {"equation": pair.terms[0].points}
    single, exact = single.with_points(points), exact.with_points(points)
    theta = exact.model.flat()
    loss, gradient = exact.value_and_gradient(theta)
    draws = [pair.drawn(generator).value_and_gradient(theta) for _ in range(count)]
    for values, expected in (
        (torch.stack([d[0] for d in draws]), loss),
        (torch.stack([d[1] for d in draws]), gradient),
    ):
        error = (values.mean(0) - expected) / (values.std(0) / math.sqrt(count)).clamp(min=1e-300)
        assert float(error.abs().max()) < 5.5  # of 422 numbers
    residuals = torch.stack([single.drawn(generator).residual(theta) for _ in range(count)])
    biased, variance = residuals.square().sum(1), residuals.var(0).sum()
    assert float(biased.mean() - loss) == pytest.approx(float(variance), rel=0.1)
    assert float(biased.mean() - loss) > 5.5 * float(biased.std()) / math.sqrt(count)


def test_two_draws_in_one_objective():
    pair = objective(STDE(3), True)
    (term,) = pair.terms
    assert not torch.equal(term.draws[0].columns, term.others[0].columns)
    theta = pair.model.flat()
    single = objective(STDE(3), False)
    a, b = (
        single.with_terms([dataclasses.replace(term, draws=draws, others=None)]).residual(theta)
        for draws in (term.draws, term.others)
    )
    loss = float(a @ b)
    assert float(pair.loss(theta)) == pytest.approx(loss, rel=1e-12)
    assert float(pair.value_and_gradient(theta)[0]) == pytest.approx(loss, rel=1e-12)
    assert pair.parts(theta) == {"equation": pytest.approx(loss, rel=1e-12)}
    for method in (pair.residual, pair.residual_and_jacobian):
        with pytest.raises(ConfigError, match="a mean of products of two residuals and no sum of squares"):
            method(theta)


@pytest.mark.parametrize(
    "optimizer",
    [GaussNewton(), LevenbergMarquardt(), SelfScaledBroyden(), LBFGS(), GaussNewtonBlock(), NysNewtonCG()],
)
def test_curvature_methods_refuse_the_unbiased_loss(tmp_path, optimizer):
    name = type(optimizer).__name__
    with pytest.raises(
        ConfigError, match=f"{name} cannot minimise the unbiased loss: .* Use optimizer=soap, adam or auto"
    ):
        solve(estimator=ESTIMATORS["unbiased"], optimizer=optimizer, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_tolerance_and_the_unbiased_loss():
    with pytest.raises(ConfigError, match=r"trainer\.tolerance cannot be combined with estimator\.unbiased"):
        solve(estimator=ESTIMATORS["unbiased"], tolerance=1e-3)


@pytest.mark.parametrize("optimizer", [SelfScaledBroyden(), LBFGS()])
def test_curvature_methods_keep_their_directions(optimizer):
    """Chosen by hand they work on one draw until points are drawn anew."""
    a, b = (solve(estimator="stde", optimizer=optimizer, max_steps=steps, dtype="float64") for steps in (2, 4))
    assert torch.equal(a.objective.terms[0].draws[0].columns, b.objective.terms[0].draws[0].columns)
    assert b.info["loss"] < a.info["loss"] < a.history[0]["loss"] * 1.001


@pytest.mark.parametrize("source", [STDE(3), STDE(3, per_point=True), Hutchinson(3), Hutchinson(3, per_point=True)])
def test_the_jacobian_along_drawn_directions(source):
    made = objective(source, False, n=5)
    theta = made.model.flat()
    shapes = {name: p.shape for name, p in made.model.named_parameters()}

    class Rows(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = made.model

        def forward(self) -> torch.Tensor:
            return torch.cat([row for term in made.terms for row in made.rows(term)])

    def rows(vector: torch.Tensor) -> torch.Tensor:
        parts = vector.split([math.prod(shape) for shape in shapes.values()])
        values = {f"model.{n}": p.reshape(s) for (n, s), p in zip(shapes.items(), parts, strict=True)}
        return torch.func.functional_call(Rows(), values, ())

    expected = torch.func.jacrev(rows)(theta)
    residual, jacobian = made.residual_and_jacobian(theta)
    torch.testing.assert_close(residual, rows(theta).detach(), rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(jacobian, expected, rtol=1e-10, atol=1e-8)
    _, gradient = made.value_and_gradient(theta)
    torch.testing.assert_close(gradient, 2 * residual @ jacobian, rtol=1e-10, atol=1e-8)


# mistakes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "sdte"}, 'unknown estimator "sdte".*Did you mean "stde"'),
        ({"estimator": STDE(21)}, "21 samples without replacement, but the operator has 20 coordinates; take at most"),
        ({"estimator": "stde", "optimizer": Adam(schedule="linear"), "max_steps": None, "max_seconds": 1.0},
         "a linear schedule needs the number of steps; limit the run by trainer.max_steps"),
    ],
)  # fmt: skip
def test_mistakes_are_found_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        solve(run_dir=tmp_path / "run", **options)
    written = list((tmp_path / "run").rglob("*.safetensors")) if (tmp_path / "run").exists() else []
    assert not written


class Triharmonic(Equation):
    fields, coords = ("u",), tuple(f"x{i}" for i in range(6))

    def residual(self, u, p):
        return lap(bilap(u))


def test_a_biased_estimate_is_refused():
    problem = Problem(Triharmonic(), Sphere([0.0] * 6, 1.0, coords=Triharmonic.coords), [Dirichlet(u=1.0)])
    with pytest.raises(EstimatorError, match="biased for power 3"):
        solve(problem, estimator=Hutchinson(3))


def test_the_measure_of_a_ball_may_leave_the_range_of_float64():
    ball = Sphere([0.0] * 2000, 1.0)
    assert ball.measure == 0.0
    Initial(u=0.0).check(ball * Time(0.0, 1.0))
    Dirichlet(u=0.0).check(ball)
