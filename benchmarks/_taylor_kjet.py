"""The training step of ``_taylor_problem`` by kjet, eager or compiled."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kjet.data import Sphere
from kjet.jets import Derivative, Plan, Trace, quantity
from kjet.jets.estimators import STDE
from kjet.jets.seeds import OneHot
from kjet.pde import BallSolution, LocalSum, ball_solution

from ._taylor_problem import Step, coefficients, inputs, weights

__all__ = ["KjetStep"]

Draws = tuple[Any, ...]


class KjetStep:
    """kjet's side: steps that go on from each other.

    Points and axes are drawn outside of what is compiled, which is one graph of source, residual and gradient.

    Args:
        step: Sizes.
        device: Where it runs.
        compiled: Whether by torch.compile.
        mode: Mode of torch.compile.
    """

    def __init__(self, step: Step, device: str, compiled: bool, mode: str | None = None) -> None:
        self.sizes, self.device = step, torch.device(device)
        self.dtype = getattr(torch, step.dtype)
        self.net = _network(step, self.device)
        self.solution = _solution(step).to(device=self.device)
        self.ball = Sphere([0.0] * step.dim, 1.0, law="radius")
        self.generator = torch.Generator(self.device).manual_seed(step.seed)
        self.laplacian, self.value = quantity({Trace(range(step.dim)): 1.0}), quantity({Derivative(): 1.0})
        self.plan = Plan.build([self.laplacian, self.value], step.dim, STDE(step.samples))
        self.parameters = list(self.net.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=step.rate, fused=True)
        self.gradient: Callable[[Tensor, Draws], tuple[Tensor, tuple[Tensor, ...]]] = self._gradient
        if compiled:
            # Where Dynamo can, it takes torch.autograd.grad into the graph: nothing is kept between two graphs then.
            whole = hasattr(torch._dynamo.config, "trace_autograd_ops")
            if whole:
                torch._dynamo.config.trace_autograd_ops = True
            self.gradient = torch.compile(self._gradient, fullgraph=whole, dynamic=False, mode=mode)
        self.stages = (("sample", self._sample), ("gradient", self._differentiate), ("update", self._update))

    def __call__(self) -> None:
        """Take one step and wait for it."""
        for _, stage in self.stages:
            stage()
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _sample(self) -> None:
        options: dict[str, Any] = {"generator": self.generator, "dtype": self.dtype, "device": self.device}
        self.x = self.ball.interior(self.sizes.points, sampler="uniform", **options).x
        self.draws = self.plan.draw(self.sizes.points, **options)

    def _differentiate(self) -> None:
        _, gradients = self.gradient(self.x, self.draws)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient

    def _update(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _source(self, x: Tensor) -> Tensor:
        value, laplacian = self.solution.laplacians(x)
        return laplacian + torch.sin(value)

    def _u(self, x: Any) -> Any:
        return (1 - (x * x).sum(-1, keepdim=True)) * self.net(x) if self.sizes.factor else self.net(x)

    def _gradient(self, x: Tensor, draws: Draws) -> tuple[Tensor, tuple[Tensor, ...]]:
        with torch.no_grad():
            source = self._source(x)
        found = self.plan(self._u, x, draws)
        residual = found[self.laplacian] + torch.sin(found[self.value]) - source[:, None]
        loss = residual.square().mean()
        return loss.detach(), torch.autograd.grad(loss, self.parameters)

    def evaluate(self) -> tuple[float, list[np.ndarray]]:
        """Loss and gradient in all parameters, on the inputs that all sides share."""
        x, axes = (torch.from_numpy(a).to(self.device) for a in inputs(self.sizes))
        with torch.no_grad():
            for parameter, initial in zip(self.parameters, itertools.chain(*weights(self.sizes)), strict=True):
                parameter.copy_(torch.from_numpy(initial))
        loss, gradients = self.gradient(x, (OneHot(axes),))
        return float(loss), [gradient.cpu().numpy() for gradient in gradients]

    def peak_mb(self) -> float | None:
        """Peak memory of a GPU; None on a CPU."""
        return torch.cuda.max_memory_allocated() / 2**20 if self.device.type == "cuda" else None

    @staticmethod
    def versions() -> dict[str, str]:
        """Versions of what is measured."""
        return {"torch": torch.__version__}


def _network(step: Step, device: torch.device) -> nn.Sequential:
    """Make a tanh network that shares memory with the drawn weights on a CPU."""
    layers: list[nn.Module] = []
    for weight, bias in weights(step):
        layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")  # not initialised twice
        layer.weight = nn.Parameter(torch.from_numpy(weight).to(device))
        layer.bias = nn.Parameter(torch.from_numpy(bias).to(device))
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def _solution(step: Step) -> BallSolution:
    profile = ball_solution(step.dim, "two_body").profile
    assert isinstance(profile, LocalSum)
    return BallSolution(replace(profile, coefficients=torch.from_numpy(coefficients(step))))
