"""The benchmark of the Taylor core at its smallest size."""

import importlib.util
import json
import math

import numpy as np
import pytest
import torch

from benchmarks import taylor
from benchmarks._taylor_kjet import KjetStep
from benchmarks._taylor_problem import Step, coefficients, inputs, weights
from benchmarks._taylor_processes import SideError, Worker
from kjet.jets import jet

SMALL = Step(dim=7, points=4, samples=3, width=6)


def _second_derivatives(u, x, columns):
    slope = torch.autograd.grad(u(x).sum(), x, create_graph=True)[0]
    return [torch.autograd.grad(slope[:, i].sum(), x, create_graph=True)[0][:, i] for i in columns]


def _by_autograd(step):
    """Loss and gradient in float64 by nested autograd alone."""
    x, axes = inputs(step)
    x = torch.from_numpy(x).double().requires_grad_()
    c = torch.from_numpy(coefficients(step)).double()
    layers = [tuple(torch.from_numpy(a).double().requires_grad_() for a in layer) for layer in weights(step)]

    def exact(x):
        a, b = x[:, :-1], x[:, 1:]
        return (1 - (x**2).sum(1)) * (c * torch.sin(a + b.cos() + b * a.cos())).sum(1)

    def u(x):
        y = x
        for weight, bias in layers[:-1]:
            y = torch.tanh(y @ weight.T + bias)
        y = (y @ layers[-1][0].T + layers[-1][1])[:, 0]
        return (1 - (x**2).sum(1)) * y if step.factor else y

    source = sum(_second_derivatives(exact, x, range(step.dim))) + torch.sin(exact(x))
    laplacian = step.dim / step.samples * sum(_second_derivatives(u, x, axes.tolist()))
    loss = (laplacian + torch.sin(u(x)) - source.detach()).square().mean()
    return loss.item(), torch.autograd.grad(loss, [a for layer in layers for a in layer])


def _furthest(found, expected):
    size = max(float(b.abs().max()) for b in expected)
    return max(float((torch.tensor(a).double() - b).abs().max()) for a, b in zip(found, expected, strict=True)) / size


@pytest.mark.parametrize("factor", [True, False])
def test_the_step_has_the_gradient_of_nested_autograd(factor):
    step = Step(**SMALL.options() | {"factor": factor, "dtype": "float64"})
    loss, gradient = KjetStep(step, "cpu", compiled=False).evaluate()
    expected, slopes = _by_autograd(step)
    assert loss == pytest.approx(expected, rel=1e-12)
    assert _furthest(gradient, slopes) < 1e-12


def test_a_step_moves_the_parameters_by_the_learning_rate():
    side = KjetStep(SMALL, "cpu", compiled=False)
    before = [parameter.detach().clone() for parameter in side.parameters]
    side()
    moved = max(float((a - b).detach().abs().max()) for a, b in zip(side.parameters, before, strict=True))
    assert moved == pytest.approx(SMALL.rate, rel=1e-2)  # Adam's first step


@pytest.mark.slow  # XLA takes its time
# jax warns of what it will change; that is none of this benchmark's business.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("factor", [True, False])
def test_jax_computes_the_same_step(factor):
    pytest.importorskip("jax")
    from benchmarks._jax_sine_gordon import JaxStep

    step = Step(**SMALL.options() | {"factor": factor})
    side = JaxStep(step, "cpu", "highest")
    loss, gradient = side.evaluate()
    expected, slopes = _by_autograd(step)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert _furthest(gradient, slopes) < 1e-5
    before = [np.array(weight) for weight, _ in side.parameters]
    side()
    moved = max(float(np.abs(a - b).max()) for (a, _), b in zip(side.parameters, before, strict=True))
    assert moved == pytest.approx(step.rate, rel=1e-2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("order", [1, 3, 5])
def test_jax_computes_the_same_derivatives(order):
    pytest.importorskip("jax")
    from benchmarks._jax_directional import derivative

    layers = [(a.astype(np.float32), b.astype(np.float32)) for a, b in weights(SMALL)]
    x, direction = inputs(SMALL)[0], np.full(SMALL.dim, 1 / math.sqrt(SMALL.dim), dtype=np.float32)
    expected = jet(
        KjetStep(Step(**SMALL.options() | {"dtype": "float64"}), "cpu", compiled=False).net,
        torch.from_numpy(x).double(), torch.from_numpy(direction).double()[None], order,
    )[order, 0, :, 0].detach()  # fmt: skip
    found = torch.from_numpy(derivative(layers, x, direction, order).copy()).double()
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


def test_a_side_that_needs_too_much_memory_is_ended():
    options = SMALL.options() | {"device": "cpu", "mode": None, "precision": "highest"}
    worker = Worker("benchmarks._taylor_worker", ["kjet", json.dumps(options)], memory_gb=0.02, seconds=60)
    with worker, pytest.raises(SideError, match=r"needs more than 0.0 GB"):
        worker.ask(do="first")


def test_a_side_that_fails_says_why():
    worker = Worker("benchmarks._taylor_worker", ["kjet", "{"], memory_gb=8.0, seconds=60)
    with worker, pytest.raises(SideError, match="JSONDecodeError"):
        worker.ask(do="first")


@pytest.mark.slow
# torch.func.jvp within jvp compiles a decomposition by torch.jit.script, which torch itself calls deprecated.
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore::DeprecationWarning:jax")
def test_quick_run_stores_and_draws_every_case(tmp_path):
    out = tmp_path / "taylor.json"
    taylor.main(["--quick", "--out", str(out)])
    content = json.loads(out.read_text())
    assert {"command", "machine", "versions", "date", "seed"} <= content.keys()
    assert content["cases"].keys() == taylor.CASES.keys()
    (step,) = content["cases"]["step"]
    sides = {"kjet", "kjet compiled"} | ({"jax"} if importlib.util.find_spec("jax") else set())
    assert step["sides"].keys() == sides
    for side in step["sides"].values():
        assert side["min_ms"] > 0
        assert side["peak_mb"] > 100
        assert side["error_to_float64"]["gradient"] < 1e-4
    assert sum(content["cases"]["accuracy"][-1]["not_finite"].values()) == 0
    assert out.with_suffix(".png").stat().st_size > 10_000
