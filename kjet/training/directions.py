"""Drawn directions: as tensors for a checkpoint, and compared with others where the estimator chooses among several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch

from ..data import Points
from ..errors import RunError
from ..jets import Operator, Trace
from ..jets.seeds import OneHot, PerPoint, Seeds, Shared, Stacked
from ..pde import Recorded
from ..typing import Tensor
from .objective import ResidualObjective, Term

__all__ = [
    "Adaptive",
    "Snapshot",
    "adaptive_source",
    "compared",
    "pack_draws",
    "pack_term",
    "replanned",
    "unpack_draws",
    "unpack_term",
]

_POINTS = ("x", "normals", "weights")


def pack_term(term: Term) -> dict[str, Tensor]:
    """Return the points and the directions of a term as tensors by name."""
    parts = {part: getattr(term.points, part) for part in _POINTS}
    parts["factors"] = term.factors
    found = {f"points.{term.name}.{part}": value for part, value in parts.items() if value is not None}
    for kind, draws in (("draws", term.draws), ("others", term.others or ())):
        found |= {f"{kind}.{term.name}.{key}": value for key, value in pack_draws(draws).items()}
    return found


def unpack_term(term: Term, tensors: Mapping[str, Tensor], measure: float, device: torch.device) -> Term:
    """Give a term the points and the directions that :func:`pack_term` took apart.

    Args:
        term: What they belong to.
        tensors: By the names of :func:`pack_term`.
        measure: Measure that the points stand for.
        device: Where they go.

    Raises:
        RunError: If some are missing.
    """
    x, normals, weights = (_moved(tensors.get(f"points.{term.name}.{part}"), device) for part in _POINTS)
    if x is None:
        raise RunError(f'the checkpoint has no points for "{term.name}"')
    points = Points(x, term.points.coords, normals, weights, measure)
    factors = _moved(tensors.get(f"points.{term.name}.factors"), device)
    draws, others = (_stored(kind, term, tensors, device) for kind in ("draws", "others"))
    if len(draws) != len(term.recorded.plan.sources):
        raise RunError(
            f'the checkpoint has directions for {len(draws)} sums of "{term.name}", this run estimates '
            f"{len(term.recorded.plan.sources)}; resume with the estimator of the first run"
        )
    return replace(term, points=points, draws=draws, others=others or None, factors=factors)


def _moved(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    return None if tensor is None else tensor.to(device)


def _stored(kind: str, term: Term, tensors: Mapping[str, Tensor], device: torch.device) -> tuple[Seeds, ...]:
    prefix = f"{kind}.{term.name}."
    return unpack_draws(
        {key.removeprefix(prefix): value.to(device) for key, value in tensors.items() if key.startswith(prefix)}
    )


def pack_draws(draws: Sequence[Seeds]) -> dict[str, Tensor]:
    """Return the tensors of seeds by name.

    >>> pack_draws([OneHot(torch.tensor([2, 0]))])
    {'0.0.columns': tensor([2, 0])}
    """
    found = {}
    for i, seeds in enumerate(draws):
        for j, part in enumerate(seeds.parts()):
            kind, tensor = ("columns", part.columns) if isinstance(part, OneHot) else ("vectors", part.vectors)
            found[f"{i}.{j}.{kind}"] = tensor
    return found


def unpack_draws(tensors: Mapping[str, Tensor]) -> tuple[Seeds, ...]:
    """Make the seeds that :func:`pack_draws` took apart.

    >>> unpack_draws({"0.0.columns": torch.tensor([2, 0])})[0].count
    2
    """
    found: list[Seeds] = []
    while parts := _parts(tensors, len(found)):
        found.append(parts[0] if len(parts) == 1 else Stacked(tuple(parts)))
    return tuple(found)


def _parts(tensors: Mapping[str, Tensor], i: int) -> list[Seeds]:
    parts: list[Seeds] = []
    while True:
        columns, vectors = (tensors.get(f"{i}.{len(parts)}.{kind}") for kind in ("columns", "vectors"))
        if columns is not None:
            parts.append(OneHot(columns))
        elif vectors is not None:
            parts.append((Shared if vectors.ndim == 2 else PerPoint)(vectors))
        else:
            return parts


@runtime_checkable
class Adaptive(Protocol):
    """An estimator that compares several kinds of directions, as :class:`kjet.jets.estimators.Auto` does."""

    every: int

    def family(self, trace: Any, d: int) -> Any:
        """Directions of the kind that is in use."""
        ...

    def probe(self, f: Any, x: Tensor, operator: Any, generator: torch.Generator) -> bool:
        """Compare; tell whether another kind is in use now."""
        ...

    def explain(self) -> str:
        """Tell for each sum what is in use, in lines that are not indented."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what later choices depend on."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        ...


@dataclass(frozen=True)
class Snapshot:
    """An adaptive estimator as it is now: plans are remembered by value, and its own value does not change.

    Attributes:
        source: The estimator.
        version: Number of its changes.
    """

    source: Adaptive
    version: int = 0

    def family(self, trace: Any, d: int) -> Any:
        """Directions of the kind that is in use."""
        return self.source.family(trace, d)


def adaptive_source(objective: ResidualObjective) -> Adaptive | None:
    """Return the estimator that compares, if the objective has one."""
    found = [t.recorded.estimator for t in objective.terms if isinstance(t.recorded.estimator, Snapshot)]
    return found[0].source if found else None


def compared(objective: ResidualObjective, generator: torch.Generator) -> ResidualObjective:
    """Let the estimator compare its candidates at the present network; return the objective with its choice.

    Without an adaptive estimator the objective itself. Directions are drawn anew where the choice has changed.
    """
    source, changed = adaptive_source(objective), False
    if source is None:
        return objective
    for term in objective.terms:
        for trace in _traces(term.recorded):
            changed |= source.probe(objective.model, term.points.x, Operator({trace: 1.0}), generator)
    return replanned(objective).drawn(generator) if changed else objective


def replanned(objective: ResidualObjective) -> ResidualObjective:
    """Return the objective with plans for what an adaptive estimator uses now; directions have to be drawn for them."""
    terms = []
    for term in objective.terms:
        before = term.recorded.estimator
        if isinstance(before, Snapshot):
            after = Snapshot(before.source, before.version + 1)
            term = replace(term, recorded=term.recorded.estimated(after), draws=(), others=None)
        terms.append(term)
    return objective.with_terms(terms)


def _traces(recorded: Recorded) -> list[Trace]:
    """Sums over coordinates that are estimated, each once."""
    return list(recorded.plan.traces)
