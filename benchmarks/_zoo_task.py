"""What every side of a comparison starts from: the problem, the first network and points of ``kjet.solve``."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from kjet.constraints import Draw
from kjet.jets import Derivative, GradientProducts, Quantity, Varying
from kjet.pde import Values
from kjet.problem import Problem
from kjet.registry import names, resolve
from kjet.training import ConstraintConfig, SamplerConfig
from kjet.training.model import Model
from kjet.training.objective import ResidualObjective, Term
from kjet.training.reference import ErrorMeter
from kjet.training.setup import build_model, build_objective

__all__ = ["Reading", "Task", "build", "measured", "residuals", "statement", "threads", "title"]

FEW = 3
"""Dimension in which problems of any dimension are compared: nested reverse mode takes no more."""

MANY = 8


def measured(problems: Iterable[str] | None = None) -> list[str]:
    """Names of the problems that can be compared, those with a reference solution; of all by default."""
    return [name for name in problems or names("problem") if build(name).reference is not None]


def build(name: str) -> Problem:
    """Make a problem, in a small dimension where its own is a large one."""
    return resolve("problem", name)(**_options(name)).build()


def title(name: str) -> str:
    """Name of a problem with the dimension, where that is not its own.

    >>> title("burgers"), title("hjb")
    ('burgers', 'hjb, dim = 3')
    """
    return ", ".join([name, *(f"{key} = {value}" for key, value in _options(name).items())])


def statement(name: str) -> str:
    """Equation and domain: the first sentence that describes the problem's class.

    >>> statement("burgers")
    '`u_t + u u_x = nu u_xx` on [-1, 1] x [0, 1] from `u = -sin(pi x)`, with u = 0 at both ends.'
    """
    text = " ".join(inspect.getdoc(resolve("problem", name)).split("\n\n")[0].split())  # type: ignore[union-attr]
    return re.split(r"(?<=[.])\s+(?=[A-Z])", text)[0].replace("``", "`")


def _options(name: str) -> dict[str, int]:
    own = {f.name: f.default for f in dataclasses.fields(resolve("problem", name))}.get("dim")
    return {"dim": FEW} if isinstance(own, int) and own > MANY else {}


def threads(count: int) -> None:
    """Keep this process, its libraries' threads included, on so many cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    torch.set_num_threads(count)


@dataclass(frozen=True, eq=False)
class Task:
    """A problem with all that a seed decides.

    Attributes:
        problem: What is solved.
        objective: Network and residuals with which ``kjet.solve(problem, seed=seed)`` starts.
        meter: Relative L2 error of the network at test points, all fields together.
    """

    problem: Problem
    objective: ResidualObjective
    meter: ErrorMeter

    @classmethod
    def of(cls, name: str, seed: int) -> Task:
        """Draw network and points as ``kjet.solve`` does."""
        problem, imposing, sampling = build(name), ConstraintConfig(), SamplerConfig()
        kind = resolve("operator", "mlp")
        known = {f.name for f in dataclasses.fields(kind)}
        network = kind(**{key: value for key, value in problem.network.items() if key in known})
        generator = torch.Generator().manual_seed(seed)
        double: dict[str, Any] = {"dtype": torch.float64, "device": "cpu"}
        model, soft = build_model(problem, network, imposing, generator=generator, **double)
        draw = Draw(sampling.sampler(problem.domain.dim), generator, *double.values())
        objective = build_objective(problem, model, soft, sampling, draw, imposing.weight)
        return cls(problem, objective, ErrorMeter(problem, model, None, **double))

    @property
    def model(self) -> Model:
        """Network and unknown parameters."""
        return self.objective.model

    @property
    def terms(self) -> list[Term]:
        """Groups of residuals as they are written, before kjet takes derivatives together."""
        recorded = self.problem.record()
        return [replace(term, recorded=recorded[term.name]) for term in self.objective.terms]

    @property
    def weights(self) -> list[float]:
        """Weight of the mean square of each expression of each term."""
        return [term.weight for term in self.terms for _ in term.recorded.names]


class Reading(Mapping[Any, Any]):
    """What recorded residuals read, made of derivatives that someone else takes.

    Args:
        derivative: Column of the network's output and derivative to values (n,).
        x: The points, for coefficients that vary.
    """

    def __init__(self, derivative: Callable[[int, Derivative], Any], x: Any) -> None:
        self.derivative, self.x = derivative, x

    def __getitem__(self, wanted: Any) -> _Columns:
        return _Columns(self, wanted)

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def value(self, wanted: Any, columns: tuple[int, ...]) -> Any:
        """Combine derivatives to one value at each point."""
        match wanted:
            case Quantity():
                parts = [self.derivative(columns[0], a) * c for a, c in wanted]
            case GradientProducts():
                a, b = columns
                parts = [self.derivative(a, _pure(i)) * self.derivative(b, _pure(i)) for i in wanted.axes]
            case Varying():
                chosen = self.x[..., list(wanted.axes)]
                factor = torch.as_tensor(wanted.weight(chosen), dtype=chosen.dtype).expand_as(chosen)
                slopes = [self.derivative(columns[0], _pure(i, wanted.order)) for i in wanted.axes]
                parts = [factor[:, place] * slope for place, slope in enumerate(slopes)]
            case _:
                raise TypeError(f"residuals read {type(wanted).__name__}, which this benchmark does not know")
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total


def _pure(axis: int, order: int = 1) -> Derivative:
    return Derivative(((axis, order),))


class _Columns:
    """Columns of a derivative (n, m), of which only those are taken that are asked for."""

    def __init__(self, reading: Reading, wanted: Any) -> None:
        self.reading, self.wanted = reading, wanted

    def __getitem__(self, key: tuple[Any, ...]) -> Any:
        return self.reading.value(self.wanted, key[1:])


def residuals(term: Term, reading: Reading, parameters: Mapping[str, Any]) -> list[Any]:
    """Evaluate the expressions of a term, one vector each, whose mean squares are the losses."""
    fields = term.recorded.field_values(reading)
    rows = term.recorded(Values(term.points.x, fields, parameters, term.data()))
    return [term.collapse(row) - term.offset for row in rows]
