"""From a problem to a model and its residuals: networks, exact conditions, first points."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ..constraints import Condition, Dirichlet, DirichletAnsatz, Draw, Initial, Periodic
from ..errors import ConfigError
from ..jets import jet
from ..operators import NetworkConfig
from ..pde import Piecewise, Recorded, Unknown, call_with_names
from ..problem import Problem
from .estimation import Estimation
from .inputs import Inputs, repeated_conditions
from .model import Model
from .objective import ResidualObjective, Term
from .settings import ConstraintConfig, SamplerConfig

__all__ = ["build_model", "build_objective", "check_estimator", "planned", "with_values"]

_logger = logging.getLogger(__name__)
_PAIRS = 32  # pairs of points at which values are compared


def build_model(
    problem: Problem,
    network: NetworkConfig | nn.Module,
    constraint: ConstraintConfig,
    *,
    generator: torch.Generator,
    dtype: torch.dtype,
    device: torch.device | str,
) -> tuple[Model, list[Condition]]:
    """Build the model, and return with it the conditions that are left to be imposed as residuals.

    Raises:
        ConfigError: If the network does not fit the problem.
    """
    how = problem.constraint if constraint.name == "auto" else constraint.name
    soft = list(problem.conditions)
    repeated = [] if constraint.name == "soft" or isinstance(network, nn.Module) else repeated_conditions(problem)
    if isinstance(network, nn.Module):
        core = network.to(dtype=dtype, device=device)
    else:
        core = Inputs.of(problem, constraint).build(
            network, len(problem.fields), generator=generator, dtype=dtype, device=device
        )
        soft = [c for c in soft if c not in repeated]
    if how == "hard":
        core, soft = _hard(problem, core, soft, repeated)
    model = Model(core, problem.all_parameters, problem.fields, problem.domain.coords).to(dtype=dtype, device=device)
    return model, soft


def _hard(
    problem: Problem, core: nn.Module, conditions: list[Condition], repeated: Sequence[Periodic]
) -> tuple[nn.Module, list[Condition]]:
    """Impose what an ansatz can: values on boundary parts and at the first time."""
    if isinstance(problem.equation, Piecewise):
        _logger.warning("constraint=hard: conditions of a problem with regions stay residuals, as with constraint=soft")
        return core, conditions
    parts: dict[str, list[Any]] = {}
    soft: list[Condition] = []
    for condition in conditions:
        values = condition.values if isinstance(condition, Dirichlet | Initial) else {}
        exact = {k: v for k, v in values.items() if _imposable(problem, condition, k, v, repeated)}
        if not exact or len(exact) < len(values):
            soft.append(condition)
        for name, value in exact.items():
            parts.setdefault(name, []).append((_distance(problem, condition.part), value))
    if not parts:
        return core, conditions
    return DirichletAnsatz(core, problem.domain.coords, problem.fields, parts), soft


def _imposable(problem: Problem, condition: Condition, key: str, value: Any, repeated: Sequence[Periodic]) -> bool:
    """Tell whether an ansatz can have these values; what it cannot stays a residual."""
    if key not in problem.fields or condition.part == "interior":
        return False
    for periodic in repeated:
        # a face across the period: what vanishes on it does not vanish on the other one
        if not _repeats(problem, _distance(problem, condition.part), periodic):
            _logger.warning(
                '"%s" stays a residual: the distance from "%s" does not repeat in %s',
                condition.name, condition.part, periodic.coord,
            )  # fmt: skip
            return False
    if not callable(value):
        return True
    if _arguments(value) & set(problem.all_parameters):  # may be trained, and an ansatz has no parameters
        return False
    for periodic in repeated:
        if not _repeats(problem, _of_points(problem, value), periodic):
            _logger.warning(
                '"%s" stays a residual: its values for %s do not repeat in %s with their derivatives up to order %d',
                condition.name, key, periodic.coord, periodic.order,
            )  # fmt: skip
            return False
    return True


def _arguments(function: Any) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except ValueError:  # builtins such as torch.sin
        return set()


def _of_points(problem: Problem, value: Any) -> Any:
    """Make a function of points of one of the coordinates."""

    def function(x: Any) -> Any:
        columns = {name: x[..., i] for i, name in enumerate(problem.domain.coords)}
        return call_with_names(value, columns) + 0.0 * x[..., 0]

    return function


def _repeats(problem: Problem, function: Any, condition: Periodic) -> bool:
    """Tell whether a function of points repeats as the condition asks, at some pairs of points."""
    domain = problem.domain
    generator = torch.Generator().manual_seed(0)
    faces = domain.periodic_pairs(_PAIRS, condition.coord, generator=generator, dtype=torch.float64)
    along = torch.zeros(1, domain.dim, dtype=torch.float64)
    along[0, domain.coords.index(condition.coord)] = 1.0
    low, high = (jet(lambda x: function(x)[..., None], face.x, along, condition.order) for face in faces)
    return torch.allclose(low, high, rtol=1e-6, atol=1e-6 * float(low.abs().max()))


def _distance(problem: Problem, part: str) -> Any:
    return lambda x: problem.domain.distance(x, part)


def build_objective(
    problem: Problem,
    model: Model,
    conditions: Sequence[Condition],
    sampler: SamplerConfig,
    draw: Draw,
    weight: float | None = None,
    estimator: Estimation | None = None,
    moving: Collection[str] = (),
) -> ResidualObjective:
    """Record the residuals and draw their first points, and directions for the sums that are estimated.

    Args:
        problem: What is solved.
        model: Network and unknowns.
        conditions: Conditions that are imposed as residuals.
        sampler: Numbers of points.
        draw: How they are drawn.
        weight: Weight of each condition against the equation; None takes the problem's suggestion.
        estimator: How sums over coordinates are taken; None for exactly.
        moving: Parameters whose values will change.

    Raises:
        ConfigError: If a residual is not finite at these points, or the estimator does not fit the equation.
    """
    estimation = estimator or Estimation()
    recorded = planned(problem, estimation, moving)
    count = sampler.points or problem.points
    boundary = sampler.boundary_points or problem.boundary_points
    inside = draw.boundary(problem.domain, count, "interior")
    terms = [Term("equation", recorded["equation"], inside)]
    for condition in conditions:
        points = condition.sample(problem.domain, boundary, draw)
        terms.append(
            Term(condition.name, recorded[condition.name], points, condition, weight or problem.condition_weight)
        )
    objective = ResidualObjective(model, terms, estimation.unbiased).drawn(draw.generator)
    with torch.no_grad():
        for term in objective.terms:
            for name, value in zip(term.recorded.names, objective.values(term), strict=True):
                bad = int((~torch.isfinite(value)).sum())
                if bad:
                    raise ConfigError(
                        f'residual "{name}" of "{term.name}" is not finite at {bad} of {len(value)} points before '
                        "training; check coefficients, divisions and the region"
                    )
    return objective


def check_estimator(problem: Problem, estimation: Estimation) -> None:
    """Plan what an estimator makes of a problem, without a network.

    Raises:
        ConfigError: If the estimate would be biased, or takes more samples than there are coordinates.
    """
    if estimation.source is not None:
        for part in problem.record().values():
            part.estimated(estimation.source)


def planned(problem: Problem, estimation: Estimation, moving: Collection[str] = ()) -> dict[str, Recorded]:
    """Record the equation and the conditions, and plan their derivatives with an estimator.

    Sums of derivatives are gathered by the values of known parameters, but for those that move.

    Raises:
        ConfigError: If the estimate would be biased, or takes more samples than there are coordinates.
    """
    known = _known(problem, moving)
    recorded = {
        name: part.estimated(estimation.source).gathered(known) if estimation.source else part.gathered(known)
        for name, part in problem.record().items()
    }
    if estimation.source is not None and not any(part.plan.random for part in recorded.values()):
        _logger.warning(
            "estimator %s has nothing to estimate: %s has no sum over coordinates written as lap(u), bilap(u), "
            "grad_squared(u) or grad_dot(u, v) of fields; all derivatives are exact, as with estimator=exact",
            estimation.plain["name"], problem.name,
        )  # fmt: skip
    return recorded


def _known(problem: Problem, moving: Collection[str] = ()) -> dict[str, float]:
    values = problem.all_parameters
    return {name: v for name, v in values.items() if not isinstance(v, Unknown) and name not in moving}


def with_values(objective: ResidualObjective, problem: Problem, values: Mapping[str, float]) -> ResidualObjective:
    """Return the objective at other values of known parameters; those of its model are set.

    Exact sums of derivatives are gathered anew, by the new values.
    """
    objective.model.known.update(values)
    known, fresh = _known(problem) | dict(values), problem.record()
    exact = [term.recorded.estimator is None for term in objective.terms]
    return objective.with_terms(
        [
            replace(term, recorded=fresh[term.name].gathered(known)) if plain else term
            for term, plain in zip(objective.terms, exact, strict=True)
        ]
    )
