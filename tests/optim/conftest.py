"""Analytic sums of squares, and what the tests of all optimizers share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from kjet.optim import (
    LBFGS,
    PSGD,
    SOAP,
    Adam,
    GaussNewton,
    GaussNewtonBlock,
    GaussNewtonCG,
    GaussNewtonNystrom,
    LevenbergMarquardt,
    Muon,
    NysNewtonCG,
    SelfScaledBroyden,
    Shampoo,
    StochasticGaussNewton,
)

MONOTONE = {
    "gauss_newton": GaussNewton(),
    "gauss_newton_residual": GaussNewton(space="residual"),
    "gauss_newton_parameter": GaussNewton(space="parameter"),
    "gauss_newton_fixed": GaussNewton(damping=1e-6, adaptive=False),
    "spring": GaussNewton(momentum=0.9),
    "levenberg_marquardt": LevenbergMarquardt(),
    "broyden": SelfScaledBroyden(),
    "bfgs": SelfScaledBroyden(variant="bfgs"),
    "lbfgs": LBFGS(history=5),
    "gauss_newton_cg": GaussNewtonCG(),
    "gauss_newton_cg_nystrom": GaussNewtonCG(rank=10, sketch_every=4),
    "gauss_newton_nystrom": GaussNewtonNystrom(rank=8),
    "gauss_newton_sketch": GaussNewtonNystrom(rank=8, iterations=1),
    "gauss_newton_block": GaussNewtonBlock(),
    "stochastic_gauss_newton": StochasticGaussNewton(),
    "stochastic_gauss_newton_momentum": StochasticGaussNewton(momentum=0.5),
    "nncg": NysNewtonCG(rank=12, sketch_every=4),
}
ALL = MONOTONE | {
    "adam": Adam(learning_rate=1e-2),
    "soap": SOAP(learning_rate=1e-2),
    "muon": Muon(learning_rate=1e-2),
    "shampoo": Shampoo(learning_rate=1e-2),
    "psgd": PSGD(learning_rate=1e-2),
}


@dataclass
class Residuals:
    """A sum of squares from a residual function, with calls counted."""

    function: Callable[[Tensor], Tensor]
    calls: dict[str, int] = field(default_factory=lambda: {"loss": 0, "gradient": 0, "jacobian": 0})

    def loss(self, theta: Tensor) -> Tensor:
        self.calls["loss"] += 1
        return self.function(theta).square().sum()

    def value_and_gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        self.calls["gradient"] += 1
        gradient, value = torch.func.grad_and_value(lambda x: self.function(x).square().sum())(theta)
        return value, gradient

    def residual(self, theta: Tensor) -> Tensor:
        return self.function(theta)

    def residual_and_jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        self.calls["jacobian"] += 1
        return self.function(theta), torch.func.jacrev(self.function)(theta)

    def products(self, theta: Tensor) -> Expansion:
        return Expansion(self.function(theta), torch.func.jacrev(self.function)(theta))

    def hessian(self, theta: Tensor) -> Expansion:
        gradient = torch.func.grad(lambda x: self.function(x).square().sum())
        return Expansion(gradient(theta), torch.func.jacrev(gradient)(theta))


@dataclass(frozen=True)
class Expansion:
    """A function and its derivative at one point, the residual or the gradient."""

    value: Tensor
    matrix: Tensor

    @property
    def residual(self) -> Tensor:
        return self.value

    @property
    def gradient(self) -> Tensor:
        return self.value

    def jvp(self, v: Tensor) -> Tensor:
        return v @ self.matrix.T

    def vjp(self, z: Tensor) -> Tensor:
        return z @ self.matrix

    hvp = jvp


@dataclass(frozen=True)
class Case:
    objective: Residuals
    theta: Tensor


def linear(r: int, p: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Case:
    """|A theta - c|^2 with a random, moderately conditioned A."""
    generator = torch.Generator().manual_seed(seed)
    A, c, theta = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((r, p), (r,), (p,)))
    A, c = A.to(dtype), c.to(dtype)
    return Case(Residuals(lambda x: A @ x - c), theta.to(dtype))


def rosenbrock(dtype: torch.dtype = torch.float64) -> Case:
    def function(x: Tensor) -> Tensor:
        return torch.stack([10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]])

    return Case(Residuals(function), torch.tensor([-1.2, 1.0], dtype=dtype))


def tanh_regression(dtype: torch.dtype = torch.float64, points: int = 40, width: int = 8, noise: float = 0.0) -> Case:
    """A network with one hidden layer, 3 width + 1 parameters, fitted to a sine."""
    generator = torch.Generator().manual_seed(1)
    x = torch.linspace(-1.0, 1.0, points, dtype=dtype)
    extra = torch.randn(points, generator=generator, dtype=torch.float64).to(dtype)
    y = torch.sin(3.0 * x) + noise * extra

    def function(theta: Tensor) -> Tensor:
        a, b, c, d = theta[:width], theta[width : 2 * width], theta[2 * width : 3 * width], theta[3 * width]
        return (torch.tanh(x[:, None] * a + b) @ c + d - y) / points**0.5

    theta = torch.randn(3 * width + 1, generator=generator, dtype=torch.float64)
    return Case(Residuals(function), theta.to(dtype))


def through_files(state: dict) -> dict:
    """Write the tensors as safetensors and the rest as JSON, and read them back."""
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    rest = {key: value for key, value in state.items() if not isinstance(value, Tensor)}
    assert all(type(value) in (int, float, bool, str) for value in rest.values())
    return load(save(tensors)) | json.loads(json.dumps(rest, allow_nan=False))


def run(optimizer, case: Case, steps: int) -> list:
    """Take steps while the status is OK; return all Steps."""
    theta, state, history = case.theta, optimizer.init(case.theta), []
    for _ in range(steps):
        history.append(optimizer.step(case.objective, theta, state))
        theta, state = history[-1].theta, history[-1].state
        if history[-1].status != "ok":
            break
    return history


class Kit:
    """The helpers of this folder, since test modules are imported one by one."""

    Case, Residuals, optimizers = Case, Residuals, ALL
    linear, rosenbrock, tanh_regression = staticmethod(linear), staticmethod(rosenbrock), staticmethod(tanh_regression)
    through_files, run = staticmethod(through_files), staticmethod(run)


@pytest.fixture
def kit() -> type[Kit]:
    return Kit


@pytest.fixture(params=ALL.values(), ids=ALL.keys())
def optimizer(request):
    return request.param


@pytest.fixture(params=MONOTONE.values(), ids=MONOTONE.keys())
def monotone(request):
    return request.param
