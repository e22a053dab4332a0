"""DeepXDE's side of the comparison: its torch backend in float64, with its derivatives, Adam and L-BFGS.

The residuals are the problem's own recorded expressions; ``self.grad.jacobian`` and ``hessian`` supply what they read.
DeepXDE is set to float64 for the whole process: run it in one of its own.
"""

from __future__ import annotations

import math
import time
from functools import cached_property
from typing import Any

import numpy as np
import torch

from kjet.jets import Derivative
from kjet.training.objective import Term

from ._zoo_task import Reading, Task, residuals

__all__ = ["library", "losses", "model_of", "run"]

ADAM_SHARE = 1 / 3
LEARNING_RATE = 1e-3
BETWEEN_LOOKS = (
    50  # iterations of L-BFGS between two looks at the clock at most, after which DeepXDE takes its losses twice
)


def library() -> Any:
    """Import DeepXDE, which may change settings of the process."""
    import deepxde

    deepxde.config.set_default_float("float64")
    return deepxde


class Network(torch.nn.Module):
    """The same network as kjet's, its map of the inputs and its factors for exact conditions included."""

    regularizer = auxiliary_vars = None  # what DeepXDE asks of a network

    def __init__(self, core: torch.nn.Module) -> None:
        super().__init__()
        self.core = core

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.core(inputs)


class Derivatives:
    """Derivatives of the outputs by DeepXDE, whose cache holds each row of each Jacobian."""

    def __init__(self, grad: Any, inputs: torch.Tensor, outputs: torch.Tensor) -> None:
        self.grad, self.inputs, self.outputs = grad, inputs, outputs
        self.known: dict[tuple[int, Derivative], torch.Tensor] = {}

    def __call__(self, field: int, wanted: Derivative) -> torch.Tensor:
        """Return a derivative at all points (n, 1)."""
        if (field, wanted) not in self.known:
            self.known[field, wanted] = self._taken(field, wanted)
        return self.known[field, wanted]

    def _taken(self, field: int, wanted: Derivative) -> torch.Tensor:
        y, component = self.outputs, field
        if not wanted.order:
            return y[:, field : field + 1]
        for axes in [trace.axes for trace in wanted.traces for _ in range(trace.power)]:
            y = sum(self.grad.hessian(y, self.inputs, component=component, i=a, j=a) for a in axes)
            component = 0
        left = [axis for axis, order in wanted.index for _ in range(order)]
        while len(left) > 1:  # j is the row of the gradient that is differentiated again
            y = self.grad.hessian(y, self.inputs, component=component, i=left[1], j=left[0])
            component, left = 0, left[2:]
        return self.grad.jacobian(y, self.inputs, i=component, j=left[0]) if left else y


class Residuals:
    """All points in one batch, as ``dde.data.PDE`` has them, and the mean square of each expression as a loss."""

    def __init__(self, task: Task, unknowns: dict[str, Any], grad: Any) -> None:
        self.task, self.unknowns, self.terms, self.grad = task, unknowns, task.terms, grad
        self.x = np.concatenate([term.points.x.numpy() for term in self.terms])

    def losses_train(
        self, targets: Any, outputs: Any, loss_fn: Any, inputs: Any, model: Any, aux: Any = None
    ) -> list[torch.Tensor]:
        derivatives, parameters = (
            Derivatives(self.grad, inputs, outputs),
            self.task.model.parameter_values(self.unknowns),
        )
        found, first = [], 0
        for term in self.terms:
            last = first + len(term.points)
            found += residuals(term, self._reading(derivatives, term, slice(first, last)), parameters)
            first = last
        return [loss_fn(torch.zeros_like(error), error) for error in found]

    losses_test = losses_train

    def _reading(self, derivatives: Derivatives, term: Term, part: slice) -> Reading:
        # The points without a graph: nobody asks for gradients of the source term.
        return Reading(lambda field, wanted: derivatives(field, wanted)[part, 0], term.points.x)

    def train_next_batch(self, batch_size: int | None = None) -> Any:
        return self.x, None, None

    def test(self) -> Any:
        return self.x, None, None


class Watch:
    """Tells when to stop, and measures the error outside of the clock."""

    def __init__(self, task: Task, seconds: float) -> None:
        self.task, self.limit, self.until = task, seconds, seconds
        self.seconds, self.mark, self.clock = 0.0, 0.0, 0.0
        self.step, self.since, self.pace = 0, 0.0, 0.0
        self.curve: list[tuple[float, float | None]] = []

    @property
    def done(self) -> bool:
        return self.seconds >= self.limit

    def begin(self) -> None:
        self.clock = time.perf_counter()

    @property
    def iterations(self) -> int:
        """Iterations of L-BFGS to the next look: fewer towards the end. One alone DeepXDE takes for convergence."""
        return int(min(BETWEEN_LOOKS, max(2.0, (self.limit - self.seconds) / self.pace)))

    def look(self, step: int) -> bool:
        """Count the time of what was done, and tell whether to stop."""
        self.count()
        if step > self.step:
            self.pace = (self.seconds - self.since) / (step - self.step)
        self.step, self.since = step, self.seconds
        if self.seconds >= self.mark:
            self.mark = self.seconds + self.limit / 60
            self.measure()
        self.clock = time.perf_counter()
        return self.seconds >= self.until

    def measure(self) -> None:
        error = self.task.meter()
        self.curve.append((self.seconds, error if error is not None and math.isfinite(error) else None))

    def count(self) -> None:
        """Add the time since the last look."""
        now = time.perf_counter()
        self.seconds, self.clock = self.seconds + now - self.clock, now


def _callback(watch: Watch, dde: Any) -> Any:
    class Calls(dde.callbacks.Callback):
        def on_train_begin(self) -> None:
            watch.begin()

        def on_epoch_end(self) -> None:
            self.model.stop_training = watch.look(self.model.train_state.step) or self.model.stop_training
            for group in self.model.opt.param_groups:
                if "max_iter" in group:  # L-BFGS
                    group.update(_sizes(watch.iterations, "max_iter", "max_eval"))

        def on_train_end(self) -> None:
            watch.count()

    return Calls()


def _sizes(iterations: int, steps: str, evaluations: str) -> dict[str, int]:
    """Name a number of iterations and that of the evaluations, as DeepXDE relates them."""
    return {steps: iterations, evaluations: math.ceil(1.25 * iterations)}


class Side:
    """A task as DeepXDE's users set one up."""

    def __init__(self, task: Task) -> None:
        self.task, self.dde = task, library()
        free = {name: value.item() for name, value in task.model.free.items()}
        self.unknowns = {name: self.dde.Variable(value, dtype=torch.float64) for name, value in free.items()}
        self.settings = {
            "loss_weights": task.weights, "external_trainable_variables": list(self.unknowns.values()),
        }  # fmt: skip

    @cached_property
    def model(self) -> Any:
        """The model, compiled for Adam."""
        data = Residuals(self.task, self.unknowns, self.dde.grad)
        model = self.dde.Model(data, Network(self.task.model.network))
        model.compile("adam", lr=LEARNING_RATE, verbose=0, **self.settings)
        return model

    def found(self) -> dict[str, float]:
        """Unknown parameters as they are now."""
        values = self.task.model.parameter_values(self.unknowns)
        return {name: values[name].item() for name in self.unknowns}


def losses(model: Any) -> list[torch.Tensor]:
    """Return the weighted losses at the weights that a model's network has, with a graph."""
    return list(model.outputs_losses_train(model.data.train_next_batch()[0], None, None)[1])


def model_of(task: Task) -> Any:
    """Return DeepXDE's model of a task."""
    return Side(task).model


def run(name: str, seed: int, seconds: float) -> dict[str, Any]:
    """Train with Adam for a third of the time, then with L-BFGS, and return the error against seconds of training."""
    task = Task.of(name, seed)  # before the next line: torch's Sobol' points round the first to the default dtype
    side, watch = Side(task), Watch(task, seconds)
    start_loss = sum(loss.item() for loss in losses(side.model))
    watch.until = ADAM_SHARE * seconds
    silent: dict[str, Any] = {"display_every": 10**9, "callbacks": [_callback(watch, side.dde)], "verbose": 0}
    side.model.train(iterations=10**9, **silent)
    steps, watch.until = side.model.train_state.step, seconds
    side.dde.optimizers.set_LBFGS_options(maxiter=10**9)
    starts, done = 0, True
    while not watch.done and done:  # where its tolerances end it early, it starts anew with an empty history
        side.dde.optimizers.LBFGS_options.update(_sizes(watch.iterations, "iter_per_step", "fun_per_step"))
        side.model.compile("L-BFGS", verbose=0, **side.settings)
        side.model.train(**silent)
        starts, done, steps = starts + 1, side.model.train_state.step > steps, side.model.train_state.step
    watch.measure()
    return {
        "curve": watch.curve,
        "start_loss": start_loss,
        "steps": int(steps),
        "optimizer": f"Adam {LEARNING_RATE:g} for {ADAM_SHARE:.0%} of the time, then L-BFGS ({starts} starts)",
        "ended": "time" if watch.done else "L-BFGS stopped by itself, and again when it was started anew",
        "found": side.found(),
    }
