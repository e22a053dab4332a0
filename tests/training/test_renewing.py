"""Training on points that are renewed: growing, retained, weighed; resumed bit for bit, never with stale targets."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

import kjet
from kjet.constraints import Dirichlet, Draw, Initial
from kjet.data import Interval, Points, Time
from kjet.errors import ConfigError
from kjet.operators import MLPConfig
from kjet.optim import Adam, GaussNewton
from kjet.pde import Heat
from kjet.problem import Problem
from kjet.training import ConstraintConfig, SamplerConfig, Trainer, TrainerConfig
from kjet.training.checkpoint import load_checkpoint
from kjet.training.run_directory import RunDirectory
from kjet.training.setup import build_model, build_objective

SMALL = MLPConfig(width=5, depth=2)


def rod() -> Problem:
    source = lambda x, t: torch.sin(3 * x) * t  # noqa: E731
    conditions = [Initial(u=lambda x: torch.sin(math.pi * x)), Dirichlet("left", u=lambda t: 0.1 * t)]
    return Problem(Heat(source=source), Interval(0.0, 1.0) * Time(0.0, 1.0), conditions, points=30, boundary_points=8)


def trainer(adaptive: str, optimizer=None, run=None, **limits) -> Trainer:
    problem, generator = rod(), torch.Generator().manual_seed(0)
    sampling, settings = SamplerConfig(adaptive=adaptive, every=2), TrainerConfig(**limits)
    options = {"generator": generator, "dtype": torch.float64, "device": "cpu"}
    model, soft = build_model(problem, SMALL, ConstraintConfig("soft"), **options)
    draw = Draw(sampling.sampler(2), generator)
    objective = build_objective(problem, model, soft, sampling, draw)
    return Trainer(problem, objective, optimizer or GaussNewton(), sampling, settings, draw, run=run)


@pytest.mark.parametrize("optimizer", [GaussNewton(momentum=0.9), Adam()], ids=["spring", "adam"])
@pytest.mark.parametrize("adaptive", ["rar_d", "r3", "importance", "none"])
def test_resuming_is_bit_for_bit(tmp_path, adaptive, optimizer):
    whole = trainer(adaptive, optimizer, max_steps=9)
    whole.fit()
    with RunDirectory.create(tmp_path / "run") as run:
        trainer(adaptive, optimizer, run, max_steps=5).fit()
        resumed = trainer(adaptive, optimizer, run, max_steps=9)
        resumed.restore(load_checkpoint(run.path))
        resumed.fit()
    assert torch.equal(whole.theta, resumed.theta)
    assert whole.loss == resumed.loss
    for a, b in zip(whole.objective.terms, resumed.objective.terms, strict=True):
        assert torch.equal(a.points.x, b.points.x)
        assert (a.points.weights is None) == (b.points.weights is None)
        assert a.points.weights is None or torch.equal(a.points.weights, b.points.weights)


def test_refinement_grows_from_step_to_step_up_to_twice_the_points():
    loop = trainer("rar_d", max_steps=200)
    counts = []
    for _ in range(70):
        loop._advance()
        counts.append(len(loop.objective.terms[0].points))
    assert counts[0] == 30
    assert counts[2] == 31  # a twentieth of 30, every other step
    assert counts[-1] == 60
    assert loop.objective.size == 60 + 2 * 8


@pytest.mark.parametrize("adaptive", ["rad", "rar_d", "r3", "importance", "uniform"])
def test_targets_are_those_of_the_new_points(adaptive):
    """Residuals after a renewal, against those of an objective that is made of the new points alone."""
    loop = trainer(adaptive)
    before = [t.points.x for t in loop.objective.terms]
    loop.resample()
    for term, x in zip(loop.objective.terms, before, strict=True):
        assert not torch.equal(term.points.x, x)
        bare = replace(term, points=Points(term.points.x.clone(), term.points.coords))
        fresh = torch.stack(loop.objective.values(bare))
        assert torch.equal(torch.stack(loop.objective.values(term)), fresh)


def weighed() -> Trainer:
    loop = trainer("importance")
    loop.resample()
    return loop


def test_weights_of_points_enter_the_loss():
    """``mean(w r^2)`` with w relative to equal weights, by hand."""
    loop = weighed()
    term = loop.objective.terms[0]
    r = loop.objective.values(term)[0].detach()
    w = term.points.weights / term.points.measure * len(term.points)
    expected = float((w * r.square()).mean())
    assert loop.objective.parts(loop.theta)["equation"] == pytest.approx(expected, rel=1e-13)
    assert abs(expected / float(r.square().mean()) - 1) > 1e-3


def test_residuals_jacobian_and_gradient_belong_to_one_loss():
    loop = weighed()
    theta = loop.theta.clone()
    residual, jacobian = loop.objective.residual_and_jacobian(theta)
    loss, gradient = loop.objective.value_and_gradient(theta)
    torch.testing.assert_close(residual, loop.objective.residual(theta))
    torch.testing.assert_close(residual.square().sum(), loss)
    torch.testing.assert_close(2 * jacobian.t() @ residual, gradient)


def test_parts_of_a_weighed_term_make_the_whole():
    loop = weighed()
    term = loop.objective.weighed(torch.linspace(0.5, 2.0, 30, dtype=torch.float64)).terms[0]
    whole = loop.objective.with_terms([term]).total()
    parts = [(b - a) / 30 * loop.objective.with_terms([term.part(a, b)]).total() for a, b in ((0, 7), (7, 30))]
    torch.testing.assert_close(sum(parts), whole)


def test_a_maximum_below_the_first_points_is_refused():
    with pytest.raises(ConfigError, match="max_points=5 is below"):
        SamplerConfig(points=10, max_points=5)


def test_growing_points_are_not_compiled():
    with pytest.raises(ConfigError, match="adaptive=rar_d adds to them"):
        kjet.solve(
            rod(), network=SMALL, sampler=SamplerConfig(adaptive="rar_d"), optimizer="adam", compile=True, max_steps=1,
            progress=False,
        )  # fmt: skip
