"""jinns' side of the comparison: its training loop and optax' Adam, in float64, on the problem's own residuals.

Network, exact conditions and residuals are the torch programs of the task, translated to JAX; derivatives are nested
``jax.jvp``. JAX is set to float64 for the whole process: run it in one of its own.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jinns
import numpy as np
import optax
import torch
from jinns.parameters import EqParams, Params
from jinns.validation._validation import AbstractValidationModule

from kjet.jets import Derivative
from kjet.training.objective import Term

from ._zoo_jax import captured
from ._zoo_task import Reading, Task, residuals

__all__ = ["losses", "run"]

LEARNING_RATE = 1e-3
LOOK = 20  # steps between two looks at the clock

Wanted = tuple[int, tuple[int, ...]]
"""Column of the network's output, and the axes of its derivatives."""


class Network(eqx.Module):
    """The same network as kjet's at one point, its map of the inputs and factors for exact conditions included."""

    arrays: tuple[Any, ...]
    program: Callable[..., Any] = eqx.field(static=True)

    @classmethod
    def of(cls, task: Task) -> Network:
        core = task.model.network
        named = dict(core.named_parameters())

        def evaluate(x: torch.Tensor, *arrays: torch.Tensor) -> torch.Tensor:
            return torch.func.functional_call(core, dict(zip(named, arrays, strict=True)), (x,))

        point = task.terms[0].points.x[:1]
        arrays = [value.detach() for value in named.values()]
        return cls(tuple(jnp.asarray(a.numpy()) for a in arrays), captured(evaluate, point, *arrays))

    def __call__(self, x: Any) -> Any:
        return self.program(x[None], *self.arrays)[0]


class Group(eqx.Module):
    """A term: its points, the derivatives that it reads, and what becomes of them."""

    points: Any
    wanted: tuple[Wanted, ...] = eqx.field(static=True)
    program: Callable[..., Any] = eqx.field(static=True)
    weight: float = eqx.field(static=True)

    @classmethod
    def of(cls, task: Task, term: Term) -> Group:
        free = {name: value.detach() for name, value in task.model.free.items()}
        wanted = _read(term, task)

        def evaluate(*arguments: torch.Tensor) -> list[torch.Tensor]:
            columns = dict(zip(wanted, arguments[: len(wanted)], strict=True))
            parameters = task.model.parameter_values(dict(zip(free, arguments[len(wanted) :], strict=True)))
            return residuals(term, _reading(columns.__getitem__, term), parameters)

        columns = [torch.rand(len(term.points), dtype=torch.float64) for _ in wanted]
        program = captured(evaluate, *columns, *free.values())
        return cls(jnp.asarray(term.points.x.numpy()), wanted, program, term.weight)

    def losses(self, u: Any, params: Params, free: tuple[Any, ...]) -> list[Any]:
        """Weighted mean squares of the expressions."""
        columns = jax.vmap(lambda x: [_partial(lambda z: u(z, params), *wanted)(x) for wanted in self.wanted])
        found = self.program(*columns(self.points), *free)
        return [self.weight * jnp.mean(jnp.square(row)) for row in found]


def _read(term: Term, task: Task) -> tuple[Wanted, ...]:
    """List what a term reads, by evaluating it on numbers."""
    found: dict[Wanted, None] = {}

    def value(wanted: Wanted) -> torch.Tensor:
        found[wanted] = None
        return torch.ones(len(term.points), dtype=torch.float64)

    with torch.no_grad():
        residuals(term, _reading(value, term), task.model.parameter_values())
    return tuple(found)


def _reading(value: Callable[[Wanted], torch.Tensor], term: Term) -> Reading:
    def derivative(field: int, wanted: Derivative) -> Any:
        parts = []
        for index, c in wanted.expanded().items():
            axes = tuple(axis for axis, order in index for _ in range(order))
            parts.append(value((field, axes)) if c == 1 else c * value((field, axes)))
        return sum(parts[1:], start=parts[0])

    return Reading(derivative, term.points.x)


def _partial(fields: Callable[[Any], Any], column: int, axes: tuple[int, ...]) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        return fields(x)[column]

    return functools.reduce(_along, axes, function)


def _along(function: Callable[[Any], Any], axis: int) -> Callable[[Any], Any]:
    return lambda x: jax.jvp(function, (x,), (jnp.zeros_like(x).at[axis].set(1.0),))[1]


class Loss(eqx.Module):
    """What ``jinns.solve`` asks of a loss: the sum of all terms, and its gradient."""

    groups: tuple[Group, ...]
    u: Callable[..., Any] = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    loss_weights: Any = None
    dynamic_loss: Any = eqx.field(static=True, default=())
    update_weight_method: Any = eqx.field(static=True, default=None)

    def split(self, params: Params) -> list[Any]:
        free = tuple(getattr(params.eq_params, name) for name in self.names)
        return [loss for group in self.groups for loss in group.losses(self.u, params, free)]

    def __call__(self, params: Params, batch: Any = None) -> Any:
        total = jnp.sum(jnp.stack(self.split(params)))
        return total, total

    def values_and_grads(self, params: Params, batch: Any) -> Any:
        return jax.value_and_grad(lambda p: self(p)[0])(params)

    def ponderate_and_sum_loss(self, terms: Any) -> Any:
        return terms

    def ponderate_and_sum_gradient(self, terms: Any) -> Any:
        return terms


class Points(eqx.Module):
    """The points belong to the groups, and are the same in all steps."""

    rar_parameters: Any = None

    def get_batch(self) -> Any:
        return self, jnp.zeros(0)


class Look(AbstractValidationModule):
    """Asks the host whether to stop; it measures the error outside of its clock."""

    host: Callable[..., Any] = eqx.field(static=True, kw_only=True)
    call_every: int = eqx.field(static=True, kw_only=True, default=LOOK)

    def __call__(self, params: Params) -> Any:
        stop = jax.experimental.io_callback(self.host, jax.ShapeDtypeStruct((), bool), params)
        return self, stop, jnp.zeros(()), False


class Side:
    """A task as jinns takes it."""

    def __init__(self, task: Task) -> None:
        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_cpu_enable_async_dispatch", False)  # callbacks would wait for themselves
        self.task = task
        network = Network.of(task)
        u = jinns.nn.PINN(eq_type="PDEStatio", eqx_network=network)
        free = {name: jnp.asarray(value.item()) for name, value in task.model.free.items()}
        EqParams.clear()  # the names of another problem's
        self.params = Params(nn_params=u.init_params, eq_params=free)
        groups = tuple(Group.of(task, term) for term in task.terms)
        # A function: jinns' networks hold a slice, by which JAX could not find a compiled program again.
        self.loss = Loss(groups, lambda x, params: u(x, params), tuple(free))

    def load(self, params: Params) -> None:
        """Give kjet's model these weights, to measure it as all are measured."""
        with torch.no_grad():
            for mine, theirs in zip(self.task.model.network.parameters(), params.nn_params.arrays, strict=True):
                mine.copy_(torch.from_numpy(np.array(theirs)))
            for name, value in self.task.model.free.items():
                value.fill_(float(getattr(params.eq_params, name)))


def losses(task: Task) -> tuple[list[float], np.ndarray]:
    """Return the weighted losses at the task's weights, and the gradient of their sum in the network's parameters."""
    side = Side(task)
    gradient = jax.grad(lambda p: side.loss(p)[0])(side.params).nn_params.arrays
    found = np.concatenate([np.asarray(g).reshape(-1) for g in gradient])
    return [float(loss) for loss in side.loss.split(side.params)], found


class Clock:
    """Seconds of training, the error against them, and when to stop; a call costs no time of its own."""

    def __init__(self, side: Side, limit: float) -> None:
        self.side, self.limit = side, limit
        self.seconds, self.mark, self.steps = 0.0, 0.0, 0
        self.since: float | None = None
        self.curve: list[tuple[float, float | None]] = []

    def __call__(self, params: Params) -> Any:
        now = time.perf_counter()
        if self.since is not None:
            self.seconds, self.steps = self.seconds + now - self.since, self.steps + LOOK
        if self.seconds >= self.mark:
            self.mark = self.seconds + self.limit / 60
            self.measure(params)
        self.since = time.perf_counter()
        return np.asarray(self.seconds >= self.limit)

    def measure(self, params: Params) -> None:
        self.side.load(params)
        error = self.side.task.meter()
        self.curve.append((self.seconds, error if error is not None and math.isfinite(error) else None))


def run(name: str, seed: int, seconds: float) -> dict[str, Any]:
    """Train with Adam, and return the error against seconds of training, which the compiler's are not among."""
    task = Task.of(name, seed)
    side = Side(task)
    clock = Clock(side, seconds)
    start_loss = float(jax.jit(lambda params: side.loss(params)[0])(side.params))
    params, *_ = jinns.solve(
        n_iter=int(20_000 * seconds), init_params=side.params, data=Points(), loss=side.loss,
        optimizer=optax.adam(LEARNING_RATE), validation=Look(host=clock), verbose=False, print_loss_every=10**9,
    )  # fmt: skip
    clock.measure(params)
    return {
        "curve": clock.curve,
        "start_loss": start_loss,
        "steps": clock.steps,
        "optimizer": f"Adam {LEARNING_RATE:g} (optax)",
        "ended": "time" if clock.seconds >= seconds else "jinns stopped by itself",
        "found": task.model.found(),
    }
