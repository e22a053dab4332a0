"""Residuals, gradients and Jacobians against torch.func.jacrev over the flat parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn

from kjet.constraints import (
    Condition,
    Dirichlet,
    DirichletAnsatz,
    Draw,
    Initial,
    Integral,
    Neumann,
    Observations,
    On,
    Periodic,
    Robin,
)
from kjet.data import Box, Interval, Parameters, Points, Rectangle, Time, make_sampler
from kjet.decomposition import decomposed
from kjet.errors import ConfigError, DivergenceError
from kjet.operators import (
    FBPINNConfig,
    FourierConfig,
    HyperNetworkConfig,
    MLPConfig,
    ModifiedMLPConfig,
    PirateNetConfig,
    SirenConfig,
    SPINNConfig,
)
from kjet.optim import Objective
from kjet.pde import Burgers, Equation, Heat, KdV, NavierStokes2D, Plate, Poisson, Unknown
from kjet.problem import Problem
from kjet.training import ConstraintConfig, ResidualObjective, SamplerConfig
from kjet.training.setup import build_model, build_objective

SLAB = Interval(-1.0, 1.0) * Time(0.0, 1.0)
SQUARE = Rectangle(x=(0.0, 1.0), y=(0.0, 2.0))
SMALL = MLPConfig(width=6, depth=2)
START = Initial(u=lambda x: -torch.sin(math.pi * x))
OBSERVED = Observations({"x": [0.1, 0.4, -0.7], "t": [0.3, 0.8, 0.5]}, u=[0.1, -0.2, 0.4])


def burgers(*conditions: Condition, **parameters: Any) -> Problem:
    return Problem(Burgers(nu=parameters.pop("nu", 0.1)), SLAB, list(conditions), parameters)


def poisson(*conditions: Condition, **options: Any) -> Problem:
    return Problem(Poisson(source=lambda x, y: x * y, **options), SQUARE, list(conditions))


def parametric() -> Problem:
    domain = SLAB * Parameters(nu=(0.1, 0.5))
    return Problem(Burgers(), domain, [START, Dirichlet("left", u=lambda t, nu: nu * t), Periodic("x", order=1)])


class Scaled(nn.Module):
    """Trained factors outside linear layers, one layer that is frozen, and one that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.last = nn.Linear(2, 5), nn.Linear(5, 5), nn.Linear(5, 1, bias=False)
        self.slope = nn.Parameter(torch.tensor([0.7, 0.8, 0.9, 1.0, 1.1]))
        self.first.requires_grad_(False)

    def forward(self, x: Any) -> Any:
        h = torch.tanh(self.first(x) * self.slope)
        h = torch.tanh(self.again(h))
        return self.last(torch.tanh(self.again(h)))


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.a, self.b, self.last = nn.Linear(2, 5), nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 1)
        self.b.weight = self.a.weight

    def forward(self, x: Any) -> Any:
        return self.last(torch.tanh(self.b(torch.sin(self.a(torch.tanh(self.first(x)))))))


def sharing_frozen() -> nn.Module:
    """Everything up to the last hidden layer is frozen."""
    network = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 1))
    network[0].requires_grad_(False)
    network[2].requires_grad_(False)
    return network


@dataclass(frozen=True)
class Case:
    problem: Callable[[], Problem]
    network: Any = SMALL
    constraint: str = "soft"
    tolerance: float = 1e-12


CASES = {
    "mlp": Case(lambda: burgers(START, Dirichlet("left", u=0.0), Neumann("right", u=lambda t: t))),
    "no_conditions": Case(burgers),
    "hard": Case(lambda: burgers(START, Dirichlet("left", u=0.0), Dirichlet("right", u=0.0)), constraint="hard"),
    "hard_and_soft": Case(lambda: poisson(Dirichlet("left", u=lambda y: y), Robin("top", u=(1.0, 2.0, 3.0))),
                          constraint="hard"),
    "embedding": Case(lambda: burgers(START, Periodic("x")), constraint="auto"),
    "embedding_hard": Case(lambda: burgers(START, Periodic("x")), constraint="hard"),
    "periodic_rows": Case(lambda: burgers(START, Periodic("x", order=2))),
    "periodic_one_pair": Case(lambda: Problem(KdV(), SLAB, [Periodic("x", order=1)])),
    "integral": Case(lambda: poisson(Integral("u", target=0.7), Integral(lambda u: u.x * u, part="left", name="flux"))),
    "fourier": Case(lambda: poisson(Dirichlet(u=0.0)), FourierConfig(features=4, width=6, depth=2)),
    "siren": Case(lambda: burgers(START), SirenConfig(width=6, depth=2, w0=5.0, hidden_w0=5.0)),
    "modified_mlp": Case(lambda: burgers(START), ModifiedMLPConfig(width=6, depth=2)),
    "fbpinn": Case(lambda: burgers(START), FBPINNConfig(subdomains=[3, 2], width=4, depth=2)),
    "fbpinn_regions": Case(lambda: decomposed(burgers(START), x=[0.2]), FBPINNConfig(subdomains=[2], width=4, depth=1)),
    "regions": Case(lambda: decomposed(burgers(START, Dirichlet("left", u=lambda t: t), nu=Unknown(0.3)),
                                       x=[0.2], t=[0.5])),
    "factorized": Case(lambda: burgers(START), MLPConfig(width=6, depth=2, factorized=True)),
    "factorized_hard": Case(lambda: poisson(Dirichlet("left", u=lambda y: y), Robin("top", u=(1.0, 2.0, 3.0))),
                            ModifiedMLPConfig(width=5, depth=2, factorized=True), constraint="hard"),
    "pirate_net": Case(lambda: burgers(START, OBSERVED, nu=Unknown(0.3)), PirateNetConfig(width=6, depth=2, alpha=0.3)),
    "pirate_net_at_the_start": Case(lambda: burgers(START), PirateNetConfig(width=6, depth=2, embedding="dense")),
    "pirate_net_factorized": Case(lambda: burgers(START, Periodic("x")), PirateNetConfig(
        width=6, depth=1, alpha=-0.2, factorized=True), constraint="auto"),
    "spinn": Case(lambda: poisson(Dirichlet(u=0.0)), SPINNConfig(rank=4, width=6, depth=2)),
    "film": Case(parametric, HyperNetworkConfig(width=6, depth=2, hyper_width=5, hyper_depth=1)),
    "low_rank": Case(parametric, HyperNetworkConfig(weights="low_rank", rank=3, width=6, depth=2, hyper_width=5)),
    "generated": Case(parametric, HyperNetworkConfig(weights="last", width=6, depth=2, hyper_width=5)),
    "navier_stokes": Case(lambda: Problem(NavierStokes2D(reynolds=20.0), SQUARE, [
        Dirichlet("left", u=lambda y: y, v=0.0), Dirichlet("right", p=0.0), On("top", lambda u, v, p: u.y + v.x)])),
    "third_order": Case(lambda: Problem(KdV(), SLAB, [START, Periodic("x", order=2)]), constraint="auto"),
    "fourth_order": Case(lambda: Problem(Plate(load=1.0), SQUARE, [Dirichlet(w=0.0), Neumann(w=0.0)])),
    "unknown": Case(lambda: burgers(START, OBSERVED, nu=Unknown(0.3))),
    "unknown_bounded": Case(lambda: burgers(START, OBSERVED, nu=Unknown(0.3, low=0.0, high=0.5))),
    "unknown_in_conditions": Case(lambda: burgers(
        Dirichlet("left", u=lambda a: a), Robin("right", u=(1.0, lambda b: b, lambda t, a: a * t)), OBSERVED,
        nu=Unknown(0.2, low=0.0), a=Unknown(-0.4, high=1.0), b=Unknown(2.0))),
    "unknown_hard": Case(lambda: burgers(START, Dirichlet("left", u=lambda a: a), nu=Unknown(0.2), a=Unknown(0.1)),
                         constraint="hard"),
    "unknown_of_the_equation_only": Case(lambda: Problem(Heat(diffusivity=Unknown(1.0, low=0.0)), SLAB, [START])),
    "outside_linear_layers": Case(lambda: burgers(START), Scaled),
    "tied_weights": Case(lambda: burgers(START), Tied),
    "frozen_layers": Case(lambda: burgers(START, Integral("u")), sharing_frozen),
}  # fmt: skip


def build(case: Case, dtype: torch.dtype = torch.float64, n: int = 13, boundary: int = 6) -> ResidualObjective:
    generator = torch.Generator().manual_seed(3)
    problem = case.problem()
    network = case.network
    if callable(network):
        torch.manual_seed(0)
        network = network()
    model, soft = build_model(
        problem, network, ConstraintConfig(case.constraint), generator=generator, dtype=dtype, device="cpu"
    )
    sampler = SamplerConfig(points=n, boundary_points=boundary)
    objective = build_objective(problem, model, soft, sampler, Draw(make_sampler("sobol"), generator, dtype))
    weights = (1.0, 3.0, 0.5, 2.0, 1.5)
    terms = [replace(term, weight=weight) for term, weight in zip(objective.terms, weights, strict=False)]
    return ResidualObjective(model, terms)


def residual_function(objective: ResidualObjective) -> Callable[[torch.Tensor], torch.Tensor]:
    """Residuals as a pure function of the flat parameters, written with torch.func alone."""
    model = objective.model
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    # layers that share a parameter share its name
    shapes = {name: dict(model.named_parameters())[name].shape for name in names}

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self) -> torch.Tensor:
            rows = []
            for term in objective.terms:
                for value in objective.values(term):
                    n, condition = len(term.points), term.condition
                    if isinstance(condition, Integral):
                        value = (value.sum() * term.points.measure / n - condition.target).reshape(1)
                    elif isinstance(condition, Periodic):
                        value = value[: n // 2] - value[n // 2 :]
                    rows.append(value * math.sqrt(term.weight / len(value)))
            return torch.cat(rows)

    module = Rows()

    def function(theta: torch.Tensor) -> torch.Tensor:
        parts = theta.split([math.prod(shape) for shape in shapes.values()])
        values = {f"model.{n}": p.reshape(s) for (n, s), p in zip(shapes.items(), parts, strict=True)}
        return torch.func.functional_call(module, values, ())

    return function


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_against_reverse_mode_over_flat_parameters(case):
    objective = build(case)
    theta = objective.model.flat() * 1.1  # not the parameters that the model holds
    function = residual_function(objective)
    expected, matrix = function(theta), torch.func.jacrev(function)(theta)
    assert isinstance(objective, Objective)
    assert objective.size == len(expected)

    residual, jacobian = objective.residual_and_jacobian(theta)
    assert relative(residual, expected) < case.tolerance
    assert relative(jacobian, matrix) < case.tolerance
    assert relative(objective.residual(theta), expected) < case.tolerance
    loss, gradient = objective.value_and_gradient(theta)
    square = float(expected @ expected)
    assert float(loss) == pytest.approx(square, rel=1e-12)
    assert float(objective.loss(theta)) == pytest.approx(square, rel=1e-12)
    assert relative(gradient, 2.0 * expected @ matrix) < case.tolerance
    assert sum(objective.parts(theta).values()) == pytest.approx(square, rel=1e-12)
    for tensor in (residual, jacobian, loss, gradient):
        assert not tensor.requires_grad


@pytest.mark.parametrize("name", ["mlp", "embedding_hard", "integral", "navier_stokes", "unknown_bounded"])
def test_chunks_of_points_have_the_jacobian_of_all(name, monkeypatch):
    objective = build(CASES[name])
    theta = objective.model.flat()
    residual, jacobian = objective.residual_and_jacobian(theta)
    monkeypatch.setattr("kjet.training.objective._ENTRIES", 3 * theta.numel())
    found, rows = objective.residual_and_jacobian(theta)
    assert relative(found, residual) < 1e-14
    assert relative(rows, jacobian) < 1e-13


@pytest.mark.parametrize("name", ["mlp", "embedding_hard", "integral", "navier_stokes", "unknown_bounded"])
def test_single_precision(name):
    """Float32 follows float64 to its rounding, a few hundred units in the last place after some hundred operations."""
    exact, rounded = build(CASES[name]), build(CASES[name], torch.float32)
    theta = exact.model.flat().float()
    (residual, jacobian), (expected, matrix) = (
        rounded.residual_and_jacobian(theta),
        exact.residual_and_jacobian(theta.double()),
    )
    assert residual.dtype == jacobian.dtype == torch.float32
    assert relative(residual.double(), expected) < 1e-5
    assert relative(jacobian.double(), matrix) < 1e-5
    loss, gradient = rounded.value_and_gradient(theta)
    assert loss.dtype == gradient.dtype == torch.float32
    assert relative(gradient.double(), exact.value_and_gradient(theta.double())[1]) < 1e-5


def test_an_integral_of_a_single_point_keeps_its_weight():
    problem = poisson(Integral("u", target=0.0))
    objective = build(Case(lambda: problem), boundary=1)
    theta = objective.model.flat()
    matrix = torch.func.jacrev(residual_function(objective))(theta)
    assert relative(objective.residual_and_jacobian(theta)[1], matrix) < 1e-12


def test_evaluations_are_repeatable_and_leave_the_parameters_alone():
    objective = build(CASES["unknown_bounded"])
    theta = objective.model.flat()
    kept = theta.clone()
    first, jacobian = objective.residual_and_jacobian(theta)
    copies = first.clone(), jacobian.clone()
    objective.value_and_gradient(2.0 * theta)
    assert torch.equal(first, copies[0]), "what was returned is the caller's to keep"
    assert torch.equal(jacobian, copies[1])
    again, _ = objective.residual_and_jacobian(theta)
    assert torch.equal(first, again)
    assert torch.equal(theta, kept)
    assert all(p.grad is None for p in objective.model.parameters())
    assert not any(module._forward_hooks for module in objective.model.modules())


def test_weights_and_numbers_of_points_set_the_scale():
    """The loss is the sum of weighted mean squares."""
    objective = build(CASES["mlp"])
    theta = objective.model.flat()
    objective.model.load_flat(theta)
    means = [float(torch.stack(objective.values(t)).detach().square().mean()) for t in objective.terms]
    expected = sum(term.weight * mean for term, mean in zip(objective.terms, means, strict=True))
    assert float(objective.loss(theta)) == pytest.approx(expected, rel=1e-12)


def test_new_points_bring_new_targets():
    objective = build(CASES["mlp"])
    theta = objective.model.flat()
    x = torch.tensor([[0.5, 0.0], [-0.25, 0.0]], dtype=torch.float64)
    moved = objective.with_points({"initial": Points(x, ("x", "t"))})
    assert [len(term.points) for term in moved.terms] == [13, 2, 6, 6]
    moved.model.load_flat(theta)
    with torch.no_grad():
        expected = moved.model(x)[:, 0] + torch.sin(math.pi * x[:, 0])
    torch.testing.assert_close(moved.values(moved.terms[1])[0].detach(), expected)
    assert len(objective.terms[1].points) == 6, "the old objective is as it was"


def test_scores_are_the_size_of_the_residual():
    objective = build(CASES["navier_stokes"])
    objective.model.load_flat(objective.model.flat())
    points = objective.terms[0].points
    values = torch.stack(objective.values(objective.terms[0])).detach()
    expected = values.square().sum(0).sqrt()
    torch.testing.assert_close(objective.scores(points), expected)
    torch.testing.assert_close(objective.scores(points, limit=5), expected)


class Singular(Equation):
    fields, coords = ("u",), ("x", "t")

    def residual(self, u, p):
        return u.t + torch.log(p.x - 0.5)


def test_scores_that_are_not_finite():
    objective = build(Case(lambda: Problem(Heat(), SLAB, [START])))
    term = replace(objective.terms[0], recorded=Singular().record(SLAB.coords))
    broken = ResidualObjective(objective.model, [term])
    broken.model.load_flat(broken.model.flat())
    with pytest.raises(DivergenceError, match=r"not finite at \d+ of 13 new points"):
        broken.scores(term.points)


def test_residual_that_is_not_finite_before_training():
    with pytest.raises(ConfigError, match=r'residual "residual" of "equation" is not finite at \d+ of 13 points'):
        build(Case(lambda: Problem(Singular(), SLAB, [START])))


def test_sums_that_are_computed_again_in_the_backward_pass():
    """Exact sums over more than 128 coordinates go in passes of their own, whose graphs are not kept."""
    names = tuple(f"x{i}" for i in range(130))
    case = Case(lambda: Problem(Poisson(coords=names), Box([(0.0, 1.0)] * 130, coords=names), [Dirichlet(u=1.0)]))
    objective = build(case)
    assert objective.terms[0].recorded.plan.outer
    theta = objective.model.flat()
    matrix = torch.func.jacrev(residual_function(objective))(theta)
    assert relative(objective.residual_and_jacobian(theta)[1], matrix) < 1e-12


def test_an_ansatz_of_your_own_is_a_network():
    def walls(x):
        return 1.0 - x[..., 0] * x[..., 0]

    def network():
        core = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1))
        return DirichletAnsatz(core, ("x", "t"), ("u",), {"u": [(walls, 0.0)]})

    case = Case(lambda: burgers(START), network)
    objective = build(case)
    theta = objective.model.flat()
    matrix = torch.func.jacrev(residual_function(objective))(theta)
    assert relative(objective.residual_and_jacobian(theta)[1], matrix) < 1e-12
