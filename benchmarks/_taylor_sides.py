"""Derivatives of one network by jets, by nested autograd and by JAX, in turn within one process."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn

from ._cases import Case, Expression
from ._timing import WARM_UP, alternate, ratio, spread, time_limit

__all__ = ["SIZES", "Step", "compare", "judge_errors", "layers"]

Step = Callable[[], tuple[Any, Any]]
"""Returns a loss and its gradients when both are there."""

SIZES = ("name", "dim", "points", "width", "depth", "order")
TOLERANCES = {"highest": 2e-3, "high": 0.2}
"""Largest difference from float64 that is taken for rounding, relative to the size, by precision of products."""


def compare(
    case: Case,
    *,
    device: str = "cpu",
    seed: int = 0,
    repetitions: int = 21,
    limit: float | None = None,
    others: Mapping[str, Step] | None = None,
) -> dict[str, Any]:
    """Time jets, eager and compiled, nested autograd, and others, after a comparison with float64.

    A step is the expression at all points, its mean square, and the gradient of that in the parameters.

    Args:
        case: What is computed.
        device: Where.
        seed: Seed of weights and points.
        repetitions: Rounds.
        limit: Seconds that the compilation may take; None to leave it out.
        others: Steps of other sides by name, on the same weights and points.

    Raises:
        RuntimeError: If a side differs from nested autograd in float64 by more than rounding.
        TimeoutError: If the compilation takes longer than it may.
    """
    with _autograd_traced():
        return _compare(case, device, seed, repetitions, limit, others or {})


def _compare(
    case: Case, device: str, seed: int, repetitions: int, limit: float | None, others: Mapping[str, Step]
) -> dict[str, Any]:
    torch.compiler.reset()
    net, x = case.network(torch.float32, seed).to(device), case.inputs(torch.float32, seed).to(device)
    expected = _step(case.sides["autograd"], copy.deepcopy(net).double(), x.double(), device)()
    steps = {"kjet": _step(case.sides["jets"], net, x, device)}
    if limit is not None:
        steps["kjet compiled"] = _compiled(case.sides["jets"], net, x, device)
    steps |= {"autograd": _step(case.sides["autograd"], net, x, device), **others}
    found: dict[str, dict[str, Any]] = {}
    for name, step in steps.items():
        begun = time.perf_counter()
        with time_limit(limit) if limit is not None else nullcontext():
            result = step()
        found[name] = {"first_call_s": round(time.perf_counter() - begun, 1)}
        found[name]["error_to_float64"] = _errors(name, result, expected)
    taken = alternate(steps, repetitions) if device == "cpu" else _on_wall_clock(steps, repetitions)
    for name, values in taken.items():
        found[name] |= {f"{key}_ms": value for key, value in spread(values).items()}
    ratios = {f"{a} / {b}": ratio(taken[a], taken[b]) for a in taken for b in taken if a != b and b.startswith("kjet")}
    return {**{key: getattr(case, key) for key in SIZES}, "sides": found, "ratios": ratios}


def _step(side: Expression, net: nn.Module, x: Any, device: str) -> Step:
    """Make the step of a side, which waits for a GPU."""
    parameters = list(net.parameters())

    def step() -> tuple[Any, Any]:
        loss = side(net, x).square().mean()
        result = loss.detach(), torch.autograd.grad(loss, parameters, allow_unused=True)
        if device == "cuda" and not torch.compiler.is_compiling():
            torch.cuda.synchronize()
        return result

    return step


def _compiled(side: Expression, net: nn.Module, x: Any, device: str) -> Step:
    """Compile the step as one graph, gradients included."""
    step = torch.compile(_step(side, net, x, "cpu"), fullgraph=True, dynamic=False)

    def run() -> tuple[Any, Any]:
        result = step()
        if device == "cuda":
            torch.cuda.synchronize()
        return result

    return run


def _autograd_traced() -> AbstractContextManager[Any]:
    """Give Dynamo leave to take ``torch.autograd.grad`` into its graphs."""
    config = torch._dynamo.config
    return config.patch(trace_autograd_ops=True) if hasattr(config, "trace_autograd_ops") else nullcontext()


def layers(net: nn.Module) -> list[tuple[np.ndarray, np.ndarray]]:
    """Copy weights and biases, layer by layer."""
    found = [module for module in net.modules() if isinstance(module, nn.Linear)]
    return [(_array(layer.weight), _array(layer.bias)) for layer in found]


def _array(values: Any) -> np.ndarray:
    """Copy numbers of either library."""
    return values.detach().cpu().numpy().copy() if isinstance(values, torch.Tensor) else np.asarray(values)


def _errors(name: str, found: tuple[Any, Any], expected: tuple[Any, Any]) -> dict[str, float]:
    """Errors of loss and gradients, relative to their size; a missing gradient is zero."""
    loss = float(expected[0])
    pairs = [(a, b) for a, b in zip(found[1], expected[1], strict=True) if b is not None]
    size = max(float(b.abs().max()) for _, b in pairs)
    furthest = max(float(np.abs((0.0 if a is None else _array(a)) - _array(b)).max()) for a, b in pairs) / size
    return judge_errors(name, abs(float(found[0]) - loss) / abs(loss), furthest)


def judge_errors(name: str, loss: float, gradient: float) -> dict[str, float]:
    """Round errors for storing.

    Raises:
        RuntimeError: If they are larger than rounding explains.
    """
    allowed = TOLERANCES[torch.get_float32_matmul_precision()]
    if not max(loss, gradient) < allowed:
        raise RuntimeError(
            f"{name} differs from float64 by {loss:.1e}, its gradient by {gradient:.1e}; not {allowed:g}"
        )
    return {"loss": float(f"{loss:.2g}"), "gradient": float(f"{gradient:.2g}")}


def _on_wall_clock(steps: Mapping[str, Step], repetitions: int) -> dict[str, list[float]]:
    """Measure milliseconds on the wall clock, for steps that wait for a GPU: one each in every round."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(-WARM_UP, repetitions):
        for name, step in steps.items():
            begun = time.perf_counter()
            step()
            if round_ >= 0:
                taken[name].append(1e3 * (time.perf_counter() - begun))
    return taken
