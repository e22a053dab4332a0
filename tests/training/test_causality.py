"""Loss of causality: seen where it is made on purpose, not seen where it is not."""

from __future__ import annotations

import logging
import math

import pytest
import torch
from torch import nn

import kjet
from kjet.constraints import Dirichlet, Draw, Initial
from kjet.data import Interval, Rectangle, Time, make_sampler
from kjet.errors import ConfigError, RunError
from kjet.operators import MLPConfig
from kjet.pde import Heat, Poisson, Wave
from kjet.problem import Problem
from kjet.training import Model, SamplerConfig, causality
from kjet.training.setup import build_objective
from kjet.training.timing import time_orders

RATE = 0.1 * math.pi**2


class Closed(nn.Module):
    """A closed form, with a parameter so that it counts as a network."""

    def __init__(self, function):
        super().__init__()
        self.function, self.one = function, nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x):
        return (self.one * self.function(x[..., 0], x[..., 1]))[..., None]


def rod() -> Problem:
    conditions = [Initial(u=lambda x: torch.sin(math.pi * x)), Dirichlet("left", u=0.0)]
    return Problem(Heat(diffusivity=0.1), Interval(0.0, 1.0) * Time(0.0, 4.0), conditions)


def look(function, problem=None, **options):
    problem = problem or rod()
    model = Model(Closed(function), problem.all_parameters, problem.fields, problem.domain.coords)
    draw = Draw(make_sampler("sobol"), torch.Generator().manual_seed(0))
    objective = build_objective(problem, model, [], SamplerConfig(points=50), draw)
    return causality(objective, problem, **options)


def exact(x, t):
    return torch.sin(math.pi * x) * torch.exp(-RATE * t)


def test_the_exact_solution_keeps_the_order():
    found = look(exact)
    assert not found.lost
    assert max(found.losses) < 1e-20
    assert found.least == pytest.approx(1.0)
    assert found.edges[0] == 0.0
    assert found.edges[-1] == 4.0
    assert "keep to the order of time" in found.explain()


def test_a_state_that_drops_to_rest_is_seen():
    """Zero satisfies the equation; the fall from the initial state at t = 0.5 is no solution."""
    found = look(lambda x, t: torch.sin(math.pi * x) * (0.5 - 0.5 * torch.tanh(10 * (t - 0.6))))
    assert found.lost
    assert found.worst == 2  # t from 0.5 to 0.75
    assert found.losses[2] > 0.1
    assert found.least < 0.9
    assert "the residual from time 0.5 to 0.75" in found.explain()


def test_errors_that_grow_with_time_are_no_loss_of_causality():
    found = look(lambda x, t: exact(x, t) + 0.3 * t**2 * x)
    assert not found.lost
    assert found.least < 0.99


def test_small_residuals_are_none_wherever_they_are():
    found = look(lambda x, t: exact(x, t) + 1e-4 * torch.exp(-20 * t))
    assert not found.lost


def test_losses_by_hand():
    """``u = exact + c t``: the residual is c everywhere, over the mean square of u_t."""
    found = look(lambda x, t: exact(x, t) + 0.2 * t, slices=4, points=20000)
    x = torch.linspace(0, 1, 201, dtype=torch.float64)[:, None]
    t = torch.linspace(0, 4, 401, dtype=torch.float64)[None]
    rate = (0.2 - RATE * exact(x, t)).square().mean()
    assert found.losses == pytest.approx([0.04 / float(rate)] * 4, rel=0.05)  # of 20,000 random points
    sums = [sum(found.losses[:i]) for i in range(4)]
    assert found.weights == pytest.approx([math.exp(-s) for s in sums])


def test_the_highest_time_derivative_counts():
    domain = Interval(0.0, 1.0) * Time(0.0, 1.0)
    wave = Problem(Wave(speed=1.0), domain, [])
    assert time_orders(wave) == {"u": 2}
    found = look(lambda x, t: torch.cos(math.pi * t) * torch.sin(math.pi * x), wave)
    assert max(found.losses) < 1e-20
    found = look(lambda x, t: t**2 + 0 * x, wave)  # u_tt = 2 is all of the residual
    assert found.losses == pytest.approx([1.0] * 16)


def test_the_same_points_each_time():
    assert look(exact) == look(exact)
    other = look(lambda x, t: t * x, generator=torch.Generator().manual_seed(5))
    assert other != look(lambda x, t: t * x)


def test_a_run_warns(caplog):
    """A network that is frozen at a state of rest, but for a scale that training may change."""
    network = Closed(lambda x, t: torch.sin(math.pi * x) * (0.5 - 0.5 * torch.tanh(10 * (t - 0.6))))
    with caplog.at_level(logging.WARNING, "kjet"):
        solution = kjet.solve(rod(), network=network, optimizer="adam", max_steps=1, progress=False)
    assert "later times were fitted to a state that was not reached. Use trainer.windows=5" in caplog.text
    assert solution.info["causality"]["lost"]
    assert causality(solution).lost


def test_what_it_needs(tmp_path):
    problem = Problem(Poisson(coords=("x", "y"), source=1.0), Rectangle(), [Dirichlet(u=0.0)])
    solution = kjet.solve(problem, network=MLPConfig(width=4, depth=1), optimizer="adam", max_steps=1, progress=False)
    assert "causality" not in solution.info
    with pytest.raises(ConfigError, match="there is no time"):
        causality(solution)
    again = kjet.load(solution.save(tmp_path / "saved"))
    with pytest.raises(RunError, match="causality needs the problem"):
        causality(again)
