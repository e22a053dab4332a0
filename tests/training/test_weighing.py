"""Weights of points: their values, that every optimizer sees them, and that runs resume."""

from __future__ import annotations

import math

import pytest
import torch

import kjet
from kjet.constraints import Dirichlet, Draw, Initial
from kjet.data import Interval, Rectangle, Time
from kjet.errors import ConfigError, RunError
from kjet.operators import MLPConfig
from kjet.optim import LBFGS, SOAP, Adam, Auto, GaussNewton, LevenbergMarquardt, SelfScaledBroyden
from kjet.optim.balance import Causal, SelfAdaptive
from kjet.pde import Heat, Poisson
from kjet.problem import Problem
from kjet.training import ConstraintConfig, SamplerConfig, Trainer, TrainerConfig
from kjet.training.checkpoint import load_checkpoint
from kjet.training.run_directory import RunDirectory
from kjet.training.setup import build_model, build_objective
from kjet.training.weighing import point_weighing

SMALL = MLPConfig(width=5, depth=2)
RULES = {"causal": Causal(slices=4, eps=(0.1, 1.0)), "self_adaptive": SelfAdaptive(rate=0.1)}
OPTIMIZERS = {
    "auto": Auto(), "gauss_newton": GaussNewton(), "lm": LevenbergMarquardt(),
    "broyden": SelfScaledBroyden(), "lbfgs": LBFGS(), "adam": Adam(), "soap": SOAP(),
}  # fmt: skip


def rod(start: bool = True) -> Problem:
    conditions = [Dirichlet("left", u=0.0), *([Initial(u=lambda x: torch.sin(math.pi * x))] if start else [])]
    domain = Interval(0.0, 1.0) * Time(0.0, 2.0)
    return Problem(Heat(), domain, conditions, points=40, boundary_points=8, condition_weight=3.0)


def trainer(rule, optimizer, run=None, problem=None, adaptive="auto", **limits) -> Trainer:
    problem, generator = problem or rod(), torch.Generator().manual_seed(0)
    sampling, settings = SamplerConfig(every=2, adaptive=adaptive), TrainerConfig(**limits)
    options = {"generator": generator, "dtype": torch.float64, "device": "cpu"}
    model, soft = build_model(problem, SMALL, ConstraintConfig("soft"), **options)
    draw = Draw(sampling.sampler(2), generator)
    objective = build_objective(problem, model, soft, sampling, draw)
    weighing = point_weighing(rule, problem)
    return Trainer(problem, objective, optimizer, sampling, settings, draw, run=run, weighing=weighing)


def squares(loop: Trainer) -> torch.Tensor:
    return loop.objective.values(loop.objective.terms[0])[0].detach().square()


@pytest.mark.parametrize("start", [True, False])
def test_causal_weights_by_hand(start):
    loop = trainer(Causal(slices=4, eps=(0.5,)), Adam(), problem=rod(start))
    loop._weigh()
    r2, t = squares(loop), loop.objective.terms[0].points.column("t")
    slices = (t / 0.5).long()
    means = torch.stack([r2[slices == i].mean() for i in range(4)])
    first = loop.objective.parts(loop.theta)["initial"] if start else 0.0
    weights = torch.stack([torch.exp(-0.5 * (first + means[:i].sum())) for i in range(4)])
    torch.testing.assert_close(loop.objective.terms[0].factors, weights[slices])


def test_self_adaptive_weights_by_hand():
    loop = trainer(SelfAdaptive(rate=0.1, power=2.0), GaussNewton())
    loop._weigh()
    assert torch.equal(loop.objective.terms[0].factors, torch.ones(40, dtype=torch.float64))
    r2, loop.step = squares(loop), 2
    loop._weigh()
    levels = torch.ones(40, dtype=torch.float64)
    for _ in range(2):
        levels = levels + 0.1 * 2 * levels * r2 / r2.mean()
    torch.testing.assert_close(loop.objective.terms[0].factors, levels.square() / levels.square().mean())


@pytest.mark.parametrize("optimizer", [Adam(), GaussNewton()])
def test_first_order_methods_weigh_each_step_and_curvature_methods_each_renewal(optimizer):
    loop, seen = trainer(RULES["causal"], optimizer), []
    for _ in range(4):
        loop._advance()
        seen.append(loop._last_weighing)
    assert seen == [0, 2, 2, 4]
    factors = loop.objective.terms[0].factors
    loop._advance()
    assert torch.equal(loop.objective.terms[0].factors, factors)  # weighed a moment ago
    loop._last_draw = loop.step  # no renewal now
    loop._advance()
    assert torch.equal(loop.objective.terms[0].factors, factors) == isinstance(optimizer, GaussNewton)


def test_self_adaptive_points_stay():
    loop = trainer(RULES["self_adaptive"], Adam(), max_steps=6)
    before = loop.objective.terms[0].points.x
    loop.fit()
    assert torch.equal(loop.objective.terms[0].points.x, before)
    assert float(loop.objective.terms[0].factors.max()) > 1.5


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_every_optimizer_lowers_the_weighed_loss_and_resumes_bit_for_bit(tmp_path, rule, optimizer):
    whole = trainer(rule, optimizer, max_steps=8)
    whole.fit()
    fair = whole.objective.loss(trainer(rule, optimizer).theta)  # the first parameters, weighed as at the end
    assert whole.loss < float(fair)
    with RunDirectory.create(tmp_path / "run") as run:
        trainer(rule, optimizer, run, max_steps=5).fit()
        resumed = trainer(rule, optimizer, run, max_steps=8)
        resumed.restore(load_checkpoint(run.path))
        resumed.fit()
    assert torch.equal(whole.theta, resumed.theta)
    assert torch.equal(whole.objective.terms[0].factors, resumed.objective.terms[0].factors)
    assert whole._weights.keys() == resumed._weights.keys()


def test_a_run_without_weights_is_not_resumed_with_them(tmp_path):
    with RunDirectory.create(tmp_path / "run") as run:
        trainer(RULES["causal"], Adam(), run, max_steps=1).fit()
        with pytest.raises(RunError, match="written with CausalWeighing and no curriculum, this run has SelfAdaptive"):
            trainer(RULES["self_adaptive"], Adam()).restore(load_checkpoint(run.path))


def test_jacobian_and_gradient_know_the_weights():
    loop = trainer(RULES["causal"], GaussNewton())
    loop._weigh()
    loop.objective = loop.objective.weighed(torch.linspace(0.1, 3.0, 40, dtype=torch.float64))
    residual, jacobian = loop.objective.residual_and_jacobian(loop.theta)
    loss, gradient = loop.objective.value_and_gradient(loop.theta)
    torch.testing.assert_close(residual.square().sum(), loss)
    torch.testing.assert_close(2 * jacobian.t() @ residual, gradient)
    share = (torch.linspace(0.1, 3.0, 40, dtype=torch.float64) * squares(loop)).mean()
    assert loop.objective.parts(loop.theta)["equation"] == pytest.approx(float(share), rel=1e-13)


def test_small_weights_do_not_end_training():
    """The tolerance is that of the loss without weights."""
    loop = trainer(Causal(slices=4, eps=(1e6,)), Adam(), tolerance=1e-3, max_steps=3)
    loop.fit()
    assert loop.reason == "3 steps"
    loop.objective = loop.objective.weighed(torch.zeros(40, dtype=torch.float64))
    loop.loss = 0.0
    assert not loop._tolerable()


@pytest.mark.parametrize("balance", ["causal", "self_adaptive"])
@pytest.mark.parametrize("optimizer", ["gauss_newton", "adam"])
def test_by_name(balance, optimizer):
    solution = kjet.solve(
        rod(), network=SMALL, balance=balance, optimizer=optimizer, max_steps=3, progress=False
    )  # fmt: skip
    assert 0 <= solution.history[-1]["least_weight"] <= 1.1


def test_problems_without_time_have_no_order():
    problem = Problem(Poisson(coords=("x", "y"), source=1.0), Rectangle(), [Dirichlet(u=0.0)])
    with pytest.raises(ConfigError, match="causal weights order the points by time"):
        kjet.solve(problem, balance="causal", progress=False)


def test_attached_weights_refuse_points_that_move():
    with pytest.raises(ConfigError, match=r"sampler\.adaptive=rad draws others"):
        kjet.solve(rod(), network=SMALL, balance="self_adaptive", sampler=SamplerConfig(adaptive="rad"), progress=False)
