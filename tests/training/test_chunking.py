"""A loss over chunks of points is the loss over all, and keeps less."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import kjet
from kjet.constraints import Dirichlet, Draw, Initial, Integral, Neumann, Observations, Periodic
from kjet.data import Interval, Rectangle, Time, Uniform
from kjet.errors import ConfigError
from kjet.jets.estimators import STDE, Hutchinson
from kjet.operators import MLPConfig
from kjet.optim import Adam
from kjet.pde import Burgers, Poisson, Unknown
from kjet.problem import Problem
from kjet.problems import Poisson2DProblem, SineGordonHDProblem
from kjet.training import ChunkedGradient, ConstraintConfig, SamplerConfig
from kjet.training.estimation import Estimation
from kjet.training.setup import build_model, build_objective

SMALL = MLPConfig(width=16, depth=2)
BALL = SineGordonHDProblem(dim=12).build()
SLAB = Interval(-1.0, 1.0) * Time(0.0, 1.0)
OBSERVED = Observations({"x": [0.1, 0.4, -0.7, 0.2], "t": [0.3, 0.8, 0.5, 0.9]}, u=[0.1, -0.2, 0.4, 0.0])
START = Initial(u=lambda x: -torch.sin(x))
SQUARE = Problem(
    Poisson(source=lambda x, y: x * y),
    Rectangle(x=(0.0, 1.0), y=(0.0, 2.0)),
    [Dirichlet("left", u=0.0), Neumann("top", u=lambda x: x), Integral("u", target=0.7)],
)
INVERSE = Problem(Burgers(nu=Unknown(0.3)), SLAB, [START, Periodic("x", order=1), OBSERVED])

CASES: dict[str, tuple[Problem, Any, bool]] = {
    "sparse": (BALL, STDE(4), False),
    "sparse, per point": (BALL, STDE(4, per_point=True), False),
    "dense, per point, unbiased": (BALL, Hutchinson(3, per_point=True), True),
    "shared, unbiased": (BALL, Hutchinson(3), True),
    "exact": (BALL, None, False),
    "normals and an integral": (SQUARE, None, False),
    "pairs, data and an unknown": (INVERSE, None, False),
}


def build(problem: Problem, source: Any, unbiased: bool = False, points: int = 23) -> Any:
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64, "device": "cpu"}
    model, soft = build_model(problem, SMALL, ConstraintConfig("soft"), **options)
    sampler = SamplerConfig(points=points, boundary_points=10)
    draw = Draw(Uniform(), generator, torch.float64)
    return build_objective(problem, model, soft, sampler, draw, 3.0, Estimation(source, unbiased))


def close(found: Any, expected: Any) -> bool:
    return all(float((a - b).norm() / b.norm()) < 1e-12 for a, b in zip(found, expected, strict=True))


class Live:
    """Bytes that autograd keeps, now and at most; the parameters, kept by all, are left out."""

    def __init__(self, objective: Any) -> None:
        self.at: dict[int, list[int]] = {}
        self.most = 0
        self.shared = {p.untyped_storage().data_ptr() for p in objective.model.parameters()}
        self.shared |= {term.points.x.untyped_storage().data_ptr() for term in objective.terms}

    def pack(self, tensor: torch.Tensor) -> Kept:
        storage = tensor.untyped_storage()
        kept = Kept(self, tensor, storage.data_ptr())
        if kept.place not in self.shared:
            self.at.setdefault(kept.place, [0, storage.nbytes()])[0] += 1
            self.most = max(self.most, sum(size for _, size in self.at.values()))
        return kept

    def measure(self, call: Any) -> int:
        with torch.autograd.graph.saved_tensors_hooks(self.pack, lambda kept: kept.tensor):
            call()
        return self.most


class Kept:
    """One tensor of a graph."""

    def __init__(self, live: Live, tensor: torch.Tensor, place: int) -> None:
        self.live, self.tensor, self.place = live, tensor, place

    def __del__(self) -> None:
        entry = self.live.at.get(self.place)
        if entry is not None:
            entry[0] -= 1
            if not entry[0]:
                del self.live.at[self.place]


@pytest.mark.parametrize("points", [1, 5, 22, 23, 100])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_chunks_add_up(case, points):
    objective = build(*case)
    theta = objective.model.flat()
    expected = objective.value_and_gradient(theta)
    found = ChunkedGradient(points=points)(objective, theta)
    assert close(found, expected)
    assert not any(tensor.requires_grad for tensor in found)


def test_every_part_matters():
    """What the comparison would not see: a chunk left out, or one along the directions of other points."""
    objective = build(BALL, STDE(2, per_point=True))
    theta = objective.model.flat()
    expected = objective.value_and_gradient(theta)
    term = objective.terms[0]
    other = objective.with_terms([term.part(0, 22), *objective.terms[1:]])
    assert not close(other.value_and_gradient(theta), expected)
    turned = torch.arange(22, -1, -1)
    moved = type(term)(**(vars(term) | {"draws": tuple(seeds.points(turned) for seeds in term.draws)}))
    assert not close(objective.with_terms([moved, *objective.terms[1:]]).value_and_gradient(theta), expected)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("source", [STDE(4), Hutchinson(3, per_point=True)], ids=["sparse", "dense"])
def test_a_budget_is_kept(source, unbiased):
    objective = build(BALL, source, unbiased, points=600)
    theta = objective.model.flat()
    whole = Live(objective).measure(lambda: objective.value_and_gradient(theta))
    budget = whole // 8
    chunked = ChunkedGradient(budget)
    most = Live(objective).measure(lambda: chunked(objective, theta))
    assert budget / 3 < most <= budget
    assert close(chunked(objective, theta), objective.value_and_gradient(theta))


def test_new_points_and_directions_are_followed():
    objective, generator = build(BALL, STDE(4, per_point=True)), torch.Generator().manual_seed(3)
    theta, chunked = objective.model.flat(), ChunkedGradient(points=4)
    for _ in range(2):
        objective = objective.drawn(generator)
        theta = theta + 0.01
        expected = objective.value_and_gradient(theta)
        assert close(chunked(objective, theta), expected)


def test_training_in_chunks_is_training():
    options = {"network": SMALL, "optimizer": Adam(), "estimator": STDE(4), "max_steps": 5, "dtype": "float64"}
    sampler = SamplerConfig(points=200)
    runs = [kjet.solve(BALL, sampler=sampler, progress=False, memory_mb=memory, **options) for memory in (None, 0.05)]
    losses = [run.history[-1]["loss"] for run in runs]
    assert losses[1] == pytest.approx(losses[0], rel=1e-9)
    assert isinstance(runs[1].objective.gradient, ChunkedGradient)
    with pytest.raises(ConfigError, match="a single point of"):
        kjet.solve(BALL, sampler=sampler, progress=False, memory_mb=1e-4, **options)


def test_what_does_not_fit_is_said():
    objective = build(BALL, STDE(4))
    with pytest.raises(ConfigError, match=r'a single point of "equation" keeps .* MB.*raise trainer.memory_mb'):
        ChunkedGradient(100.0)(objective, objective.model.flat())
    for wrong in ({}, {"budget": 1.0, "points": 1}, {"budget": -1.0}):
        with pytest.raises(ConfigError, match="give a budget in bytes or a number of points"):
            ChunkedGradient(**wrong)
    with pytest.raises(ConfigError, match=r"trainer.compile .* use one of them"):
        kjet.solve(BALL, compile=True, memory_mb=1.0)


@pytest.mark.parametrize(
    "optimizer",
    ["gauss_newton", "levenberg_marquardt", "gauss_newton_nystrom", "gauss_newton_block", "stochastic_gauss_newton"],
)
def test_methods_that_need_the_whole_jacobian_are_refused(optimizer):
    with pytest.raises(ConfigError, match=r"needs the whole Jacobian; use optimizer=soap, lbfgs or adam"):
        kjet.solve(Poisson2DProblem().build(), optimizer=optimizer, memory_mb=100.0, max_steps=2, progress=False)


@pytest.mark.parametrize("optimizer", ["gauss_newton_cg", "nncg"])
def test_methods_that_keep_the_whole_graph_are_refused(optimizer):
    with pytest.raises(ConfigError, match=r"needs the whole graph of all residuals; use optimizer=soap"):
        kjet.solve(Poisson2DProblem().build(), optimizer=optimizer, memory_mb=100.0, max_steps=2, progress=False)
