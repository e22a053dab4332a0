"""The last layer before training: what is linear is solved, and nothing else is touched."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import kjet
from kjet.constraints import Dirichlet, Draw, Initial, Neumann, Periodic
from kjet.data import Interval, Rectangle, Time, make_sampler
from kjet.operators import MLPConfig, PirateNetConfig, SPINNConfig
from kjet.pde import Burgers, Equation, Heat, Poisson, Unknown
from kjet.problem import Problem
from kjet.training import ConstraintConfig, SamplerConfig
from kjet.training.setup import build_model, build_objective
from kjet.training.starting import fit_start

SLAB = Interval(-1.0, 1.0) * Time(0.0, 1.0)
SQUARE = Rectangle(x=(0.0, 1.0), y=(0.0, 1.0))
START = Initial(u=lambda x: -torch.sin(math.pi * x))
PIRATE = PirateNetConfig(width=40, depth=1)


def build(problem, network=PIRATE, constraint="auto", dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    config = ConstraintConfig(constraint)
    model, soft = build_model(problem, network, config, generator=generator, dtype=dtype, device="cpu")
    draw = Draw(make_sampler("sobol"), generator, dtype)
    return build_objective(problem, model, soft, SamplerConfig(points=300, boundary_points=60), draw)


def poisson(*conditions):
    source = lambda x, y: 2 * math.pi**2 * torch.sin(math.pi * x) * torch.sin(math.pi * y)  # noqa: E731
    return Problem(Poisson(source=source), SQUARE, list(conditions))


def burgers(*conditions, **options):
    return Problem(Burgers(**options), SLAB, list(conditions))


def loss(objective):
    return float(objective.loss(objective.model.flat()))


@pytest.mark.parametrize(
    ("problem", "constraint"),
    [
        (lambda: poisson(Dirichlet(u=0.0)), "soft"),
        (lambda: poisson(Dirichlet(u=0.0)), "hard"),
        (lambda: poisson(Dirichlet("left", u=0.0), Neumann("right", u=0.0)), "soft"),
        (lambda: Problem(Heat(), SLAB, [START, Periodic("x")]), "auto"),
        (lambda: Problem(Heat(), SLAB, [START, Dirichlet("left", u=0.0)]), "hard"),
    ],
    ids=["soft", "hard", "flux", "periodic", "initial_hard"],
)
def test_linear_problems_are_solved_by_least_squares(problem, constraint):
    """At the minimum over the last layer, the gradient by it is zero."""
    objective = build(problem(), constraint=constraint)
    before = loss(objective)
    assert fit_start(problem(), objective) == tuple(term.name for term in objective.terms)
    assert loss(objective) < 1e-2 * before
    theta = objective.model.flat()
    residual, jacobian = objective.residual_and_jacobian(theta)
    last = [p for name, p in objective.model.named_parameters() if name.split(".")[-2] == "last"]
    slices = torch.cat([torch.full((p.numel(),), any(p is q for q in last)) for p in objective.model.trainable()])
    columns = jacobian[:, slices]
    assert columns.shape[1] == 41
    assert float((columns.T @ residual).norm() / (columns.norm() * residual.norm())) < 1e-6


def test_a_nonlinear_equation_starts_as_its_initial_state():
    problem = burgers(START, Dirichlet("left", u=0.0))
    objective = build(problem)
    assert fit_start(problem, objective) == ("initial", "left", "initial at all times")
    x = 2 * torch.rand(50, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1
    x[:, 1] = x[:, 1].abs()
    torch.testing.assert_close(objective.model(x)[:, 0], -torch.sin(math.pi * x[:, 0]), rtol=0, atol=1e-2)


def test_conditions_that_are_not_linear_are_left_out():
    def slope(u):
        return u.x**2 - 1.0

    problem = burgers(START, kjet.constraints.On("left", slope, name="slope"))
    assert fit_start(problem, build(problem)) == ("initial", "initial at all times")


class Riccati(Equation):
    fields, coords = ("u",), ("x", "t")

    def residual(self, u, p):
        return u.t + u * u


def test_nothing_linear(caplog):
    problem = Problem(Riccati(), SLAB, [])
    objective = build(problem)
    before = objective.model.flat()
    assert fit_start(problem, objective) == ()
    assert torch.equal(objective.model.flat(), before)
    assert "no residual that is linear" in caplog.text


def test_nothing_but_the_last_layer_changes():
    problem = burgers(START, nu=Unknown(0.3, low=0.0))
    objective = build(problem)
    model = objective.model
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    fit_start(problem, objective)
    changed = [name for name, p in model.named_parameters() if not torch.equal(before[name], p)]
    assert changed == ["network.last.weight", "network.last.bias"]
    assert all(p.requires_grad for p in model.parameters())
    assert model.found() == pytest.approx({"nu": 0.3})


def test_frozen_parameters_stay_frozen():
    problem = burgers(START)
    network = PIRATE.build(2, 1, dtype=torch.float64)
    network.gate_u.requires_grad_(False)
    fit_start(problem, build(problem, network))
    assert not network.gate_u.weight.requires_grad
    assert network.gate_v.weight.requires_grad


@pytest.mark.parametrize(
    "network",
    [MLPConfig(width=6, depth=1), SPINNConfig(width=6, depth=1, rank=3), PirateNetConfig(width=6, fit=False)],
)
def test_networks_that_do_not_ask(network):
    problem = burgers(START)
    objective = build(problem, network)
    before = objective.model.flat()
    assert fit_start(problem, objective) == ()
    assert torch.equal(objective.model.flat(), before)


class Ridge(nn.Module):
    """A network of one's own that asks."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(2, 50), nn.Linear(50, 1)

    def forward(self, x):
        return self.last(torch.tanh(3 * self.first(x)))

    def start_layer(self):
        return self.last


def test_a_network_of_ones_own():
    problem = poisson(Dirichlet(u=0.0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        objective = build(problem, Ridge(), constraint="soft")
    before = loss(objective)
    assert fit_start(problem, objective) == ("equation", "boundary")
    assert loss(objective) < 1e-2 * before


class Pair(nn.Module):
    """Two networks that are summed."""

    def __init__(self):
        super().__init__()
        config, options = PirateNetConfig(width=20, depth=1), {"input_range": SQUARE.bounds, "dtype": torch.float64}
        self.parts = nn.ModuleList(
            config.build(2, 1, generator=torch.Generator().manual_seed(seed), **options) for seed in (0, 1)
        )

    def forward(self, x):
        return self.parts[0](x) + self.parts[1](x)


def test_parts_are_fitted_together():
    problem = poisson(Dirichlet(u=0.0))
    objective = build(problem, Pair(), constraint="soft")
    before = [part.last.weight.detach().clone() for part in objective.model.network.parts]
    fit_start(problem, objective)
    assert not any(
        torch.equal(a, part.last.weight) for a, part in zip(before, objective.model.network.parts, strict=True)
    )
    assert loss(objective) < 1e-1


def test_reproducible_and_single_precision():
    problem = poisson(Dirichlet(u=0.0))
    found = [build(problem, dtype=dtype) for dtype in (torch.float64, torch.float64, torch.float32)]
    assert [fit_start(problem, each) for each in found] == [("equation", "boundary")] * 3
    assert torch.equal(found[0].model.flat(), found[1].model.flat())
    assert found[2].model.flat().dtype == torch.float32
    assert loss(found[2]) < 1e-2 * loss(build(problem))


def test_solve_starts_from_it():
    problem = poisson(Dirichlet(u=0.0))
    options = {"max_steps": 1, "progress": False, "optimizer": "adam"}
    fitted = kjet.solve(problem, network=PIRATE, **options)
    plain = kjet.solve(problem, network=PirateNetConfig(width=40, depth=1, fit=False), **options)
    assert fitted.info["loss"] < 1e-2 * plain.info["loss"]


def test_a_resumed_run_does_not_start_again(tmp_path):
    problem = poisson(Dirichlet(u=0.0))
    options = {"network": PIRATE, "optimizer": "adam", "progress": False, "run_dir": tmp_path / "run"}
    kjet.solve(problem, max_steps=3, **options)
    resumed = kjet.solve(problem, max_steps=6, resume=True, **options)
    whole = kjet.solve(problem, max_steps=6, **{**options, "run_dir": None})
    assert torch.equal(resumed.model.flat(), whole.model.flat())
