"""The compiled step gives what the eager one gives, follows what is drawn, and never falls back without a word."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest
import torch

import kjet
from kjet.constraints import Draw
from kjet.data import Uniform
from kjet.errors import ConfigError
from kjet.jets.estimators import STDE, Hutchinson
from kjet.operators import MLPConfig
from kjet.optim import LBFGS, Adam, SelfScaledBroyden
from kjet.pde import PointFunction, Poisson
from kjet.problem import Problem
from kjet.problems import BurgersProblem, HeatInverseProblem, SineGordonHDProblem
from kjet.training import ConstraintConfig, SamplerConfig
from kjet.training.compiling import CompiledGradient, _compare
from kjet.training.estimation import Estimation
from kjet.training.setup import build_model, build_objective

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # from within torch

SMALL = MLPConfig(width=6, depth=2)
BALL = SineGordonHDProblem(dim=12).build()
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}


def build(problem: Problem, source: Any, dtype: torch.dtype, unbiased: bool = False) -> tuple[Any, Draw]:
    generator = torch.Generator().manual_seed(0)
    model, soft = build_model(problem, SMALL, ConstraintConfig(), generator=generator, dtype=dtype, device="cpu")
    draw = Draw(Uniform(), generator, dtype)
    sampler = SamplerConfig(points=9, boundary_points=4)
    return build_objective(problem, model, soft, sampler, draw, None, Estimation(source, unbiased)), draw


def assert_the_same(problem: Problem, source: Any, dtype: torch.dtype, backend: str, unbiased: bool = False) -> None:
    """Compare at several points, directions and parameters; one program serves them all."""
    made, draw = build(problem, source, dtype, unbiased)
    compiled, theta = CompiledGradient(backend), made.model.flat()
    frames = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for step in range(3):
        new = {"equation": draw.boundary(problem.domain, 9, "interior")}
        made = made.with_points(new).drawn(draw.generator)
        theta = theta + 0.01 * (step + 1)
        loss, gradient = made.value_and_gradient(theta)
        found, slope = compiled(made, theta)
        assert float((found - loss).abs() / loss.abs()) < TOLERANCE[dtype]
        assert float((slope - gradient).norm() / gradient.norm()) < TOLERANCE[dtype]
        assert not found.requires_grad
        assert not slope.requires_grad
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == frames + 1


CASES = {
    "sparse": (BALL, STDE(4), False),
    "dense_unbiased": (BALL, Hutchinson(3), True),
    "conditions_and_unknowns": (HeatInverseProblem().build(), None, False),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_is_traced_is_what_is_evaluated(case):
    problem, source, unbiased = case
    assert_the_same(problem, source, torch.float64, "aot_eager", unbiased)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_compiled_equals_eager(case, dtype):
    problem, source, unbiased = case
    assert_the_same(problem, source, dtype, "inductor", unbiased)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "options", "tolerance"),
    [
        (BALL, {"estimator": STDE(4), "optimizer": "auto"}, 1e-2),  # SOAP moves along arbitrary vectors of null spaces
        (BALL, {"estimator": STDE(4), "optimizer": Adam()}, 1e-8),
        (BurgersProblem().build(), {"optimizer": Adam()}, 1e-8),
        (BurgersProblem().build(), {"optimizer": LBFGS()}, 1e-8),
        (BurgersProblem().build(), {"optimizer": SelfScaledBroyden()}, 1e-8),
    ],
)
def test_a_compiled_run_is_the_eager_run(caplog, problem, options, tolerance):
    """Rounding grows from step to step; after a few steps in float64 it is still small."""
    settings = {"network": SMALL, "max_steps": 6, "dtype": "float64", "progress": False, "test_points": 50}
    settings |= {"sampler": SamplerConfig(points=20, boundary_points=8), **options}
    eager = kjet.solve(problem, **settings)
    with caplog.at_level(logging.INFO, "kjet"):
        compiled = kjet.solve(problem, compile=True, **settings)
    assert "compiled the step in " in caplog.text
    assert compiled.info["loss"] == pytest.approx(eager.info["loss"], rel=tolerance)
    difference = compiled.model.flat() - eager.model.flat()
    assert float(difference.norm()) < tolerance * float(eager.model.flat().norm())


def untraceable(x: torch.Tensor) -> torch.Tensor:
    torch._dynamo.graph_break()
    return x.sum(-1)


def test_a_program_with_another_gradient_is_refused():
    plain = torch.ones(5, dtype=torch.float64)
    loss = torch.zeros((), dtype=torch.float64)
    _compare((loss, plain * (1 + 1e-12)), (loss, plain))
    for wrong in (plain * 1.001, plain * float("nan")):
        with pytest.raises(ConfigError, match=r"differs from the plain one .* trainer\.compile=false"):
            _compare((loss, wrong), (loss, plain))


def test_what_cannot_be_compiled_is_said():
    source = PointFunction(untraceable, BALL.domain.coords, taylor=False)
    problem = dataclasses.replace(BALL, equation=Poisson(coords=BALL.domain.coords, source=source))
    options: dict[str, Any] = {"network": SMALL, "max_steps": 1, "progress": False, "estimator": STDE(4)}
    assert kjet.solve(problem, **options).status == "completed"
    with pytest.raises(ConfigError, match=r"the step cannot be compiled: .* Use trainer\.compile=false") as caught:
        kjet.solve(problem, compile=True, **options)
    assert "\n" not in str(caught.value)
