"""Windows of time: the problem in each of them, the state that is handed over, and the networks joined."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..constraints import Condition, Initial, Integral, Observations, Periodic
from ..data.geometry.windows import during
from ..errors import ConfigError, listed
from ..jets import Jet, jet
from ..operators import NetworkConfig
from ..pde import Piecewise, PointFunction, Unknown
from ..problem import Problem
from ..typing import Float, Tensor
from .model import Model
from .settings import ConstraintConfig
from .setup import build_model
from .timing import time_orders

__all__ = ["Windowed", "check_windows", "joined", "window_edges", "window_models", "window_problem"]


class Windowed(nn.Module):
    """Networks of successive windows of time, each used in its own.

    Args:
        parts: Maps from points (n, d) to fields (n, m), in order of time.
        edges: Times at which the windows begin, and at which the last one ends.
        column: Column of the time. An edge belongs to the window before; times outside go to the nearest window.

    Cost: that of all networks, at all points.

    >>> first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    >>> with torch.no_grad():
    ...     joint = Windowed([first, second], [0.0, 1.0, 2.0], 0)(torch.tensor([[0.5], [1.5]]))
    >>> bool(joint[1] == second(torch.tensor([1.5])))
    True
    """

    def __init__(self, parts: Sequence[nn.Module], edges: Sequence[float], column: int) -> None:
        super().__init__()
        self.parts, self.edges, self.column = nn.ModuleList(parts), tuple(edges), column

    def forward(self, x: Float[Tensor, "n d"] | Jet) -> Any:
        """Evaluate the fields at points, or at jets of them."""
        time = (x.primal if isinstance(x, Jet) else x)[..., self.column, None]
        y: Any = self.parts[0](x)
        for part, edge in zip(self.parts[1:], self.edges[1:-1], strict=True):
            y = torch.where(time > edge, part(x), y)
        return y


def check_windows(problem: Problem) -> None:
    """Refuse problems that cannot be solved one window of time after the other.

    Raises:
        ConfigError: With the reason.
    """
    time = problem.domain.time
    if time is None:
        raise ConfigError(
            f"trainer.windows divides the time, and there is none among {listed(problem.domain.coords)}; use "
            "trainer.windows=1"
        )
    if not any(time_orders(problem).values()):
        raise ConfigError(
            f"trainer.windows hands over a state, and the equation has no derivative with respect to {time}; use "
            "trainer.windows=1"
        )
    found = [name for name, value in problem.all_parameters.items() if isinstance(value, Unknown)]
    if found:
        raise ConfigError(
            f"trainer.windows would find another value of {', '.join(found)} in each window; use trainer.windows=1 "
            "for unknown parameters"
        )
    if isinstance(problem.equation, Piecewise):  # its interfaces are those of all times
        raise ConfigError(
            "trainer.windows does not divide the interfaces between regions; use trainer.windows=1 for problems with "
            "regions"
        )
    for condition in problem.conditions:
        if isinstance(condition, Integral) or (isinstance(condition, Periodic) and condition.coord == time):
            raise ConfigError(
                f'the condition "{condition.name}" joins all times, which trainer.windows takes apart; leave it out, '
                "or use trainer.windows=1"
            )


def window_edges(problem: Problem, windows: int) -> list[float]:
    """Return the times at which windows begin, and the end."""
    at = problem.domain.coords.index(str(problem.domain.time))
    start, end = problem.domain.bounds[at].tolist()
    return [start + (end - start) * i / windows for i in range(windows)] + [end]


def window_problem(problem: Problem, start: float, end: float, before: nn.Module | None) -> Problem:
    """Return the problem from one time to another, from the state that the network of the window before has reached.

    Fields whose time derivatives are of order k in the equation are handed over with k - 1 derivatives.

    Args:
        problem: The problem at all times.
        start: First time.
        end: Last time.
        before: Model of the window before; None for the first one, which has the problem's own initial state.
    """
    domain = during(problem.domain, start, end)
    last = end >= float(problem.domain.bounds[problem.domain.coords.index(str(domain.time)), 1])
    kept: list[Condition] = []
    for condition in problem.conditions:
        if condition.part == "initial" and before is not None:
            continue
        if (condition.part == "final" and not last) or not _there(condition, domain.parts):
            continue
        if isinstance(condition, Observations):
            part = _observed(condition, str(domain.time), start, end, last)
            kept += [] if part is None else [part]
            continue
        kept.append(condition)
    parameters = _used(problem, kept)
    if before is not None:
        kept.insert(0, Initial(name="handed_over", **_state(problem, before, start)))
    return dataclasses.replace(problem, domain=domain, conditions=kept, parameters=parameters)


def _used(problem: Problem, conditions: Sequence[Condition]) -> dict[str, Any]:
    """Pick the parameters that still stand somewhere: those of the first state alone do not."""
    recorded = problem.record()
    parts = [recorded["equation"], *(recorded[condition.name] for condition in conditions)]
    names = {name for part in parts for name in part.parameters} | set(problem.domain.coords)
    return {name: value for name, value in problem.parameters.items() if name in names}


def _there(condition: Condition, parts: Sequence[str]) -> bool:
    return condition.part in ("interior", "boundary") or condition.part in parts


def _observed(condition: Observations, time: str, start: float, end: float, last: bool) -> Observations | None:
    """Pick the observations of a window."""
    at = condition.points.column(time)
    chosen = (at >= start) & ((at <= end) if last else (at < end))
    if not bool(chosen.any()):
        return None
    x, values = condition.points.x[chosen], {name: column[chosen] for name, column in condition.values.items()}
    return Observations(x, condition.points.coords, condition.name, **values)


def _state(problem: Problem, model: nn.Module, time: float) -> dict[str, Any]:
    """Values, and derivatives where the equation needs them, of all fields at a time."""
    name = str(problem.domain.time)
    return {
        f"{field}_{name * k}" if k else field: _at(problem, model, time, place, k)
        for place, (field, order) in enumerate(time_orders(problem).items())
        for k in range(order)
    }


def _at(problem: Problem, model: nn.Module, time: float, place: int, order: int) -> Any:
    """A time derivative of a field at a time, as a function of the other coordinates."""
    coords = problem.domain.coords
    column = coords.index(str(problem.domain.time))
    along = torch.eye(len(coords), dtype=torch.float64)[column : column + 1]

    def value(x: Any) -> Any:
        columns = [x[..., i] for i in range(len(coords) - 1)]
        columns.insert(column, torch.full_like(columns[0], time))
        return read(torch.stack(columns, -1))

    def read(points: Any) -> Any:
        if order == 0:
            return model(points)[..., place]
        return jet(model, points, along.to(points), order)[order, 0, :, place]

    if len(coords) == 1:
        like = next(model.parameters())
        return float(read(torch.full((1, 1), time, dtype=like.dtype, device=like.device)).detach())
    others = [name for name in coords if name != problem.domain.time]
    return PointFunction(value, others, name=f"{problem.fields[place]} at {time:.4g}", taylor=order == 0)


def window_models(
    problem: Problem,
    network: NetworkConfig | nn.Module,
    constraint: ConstraintConfig,
    edges: Sequence[float],
    **options: Any,
) -> list[Model]:
    """Build the models of all windows, to be filled with weights.

    Args:
        problem: The problem at all times.
        network: Configuration, or a module, of which each window gets a copy.
        constraint: How conditions are imposed.
        edges: Times at which windows begin, and the end.
        **options: Of :func:`kjet.training.setup.build_model`.
    """
    models: list[Model] = []
    for start, end in itertools.pairwise(edges):
        before = models[-1].requires_grad_(False) if models else None
        part = window_problem(problem, start, end, before)
        models.append(build_model(part, copy.deepcopy(network), constraint, **options)[0])
    return [model.requires_grad_(True) for model in models]


def joined(problem: Problem, models: Sequence[Model], edges: Sequence[float]) -> Model:
    """Return one model for all times."""
    column = problem.domain.coords.index(str(problem.domain.time))
    network = Windowed([model.network for model in models], edges, column)
    return Model(network, problem.all_parameters, problem.fields, problem.domain.coords)
